//! Which command line is played: every rule in which the measured versions differ, by name.
//!
//! The rules were read off transcripts of the real ones; `agent-runner/tests/fixtures` holds them.

/// A version that was measured, or what an older one lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// 2.1.329.
    #[default]
    V2_1_329,
    /// 2.1.197: the newest that installs on Node 20.
    V2_1_197,
    /// As 2.1.197, but it knows no `session_state_changed`, whatever the environment asks.
    Older,
}

impl Version {
    /// Reads `FAKE_CLAUDE_AS`.
    ///
    /// # Errors
    /// Words for an unknown name.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "2.1.329" => Ok(Self::V2_1_329),
            "2.1.197" => Ok(Self::V2_1_197),
            "older" => Ok(Self::Older),
            _ => Err(format!(
                "FAKE_CLAUDE_AS={name}: there are 2.1.329, 2.1.197 and older"
            )),
        }
    }

    /// What `--version` prints.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::V2_1_329 => "2.1.329",
            Self::V2_1_197 => "2.1.197",
            Self::Older => "2.1.100",
        }
    }

    const fn is_newest(self) -> bool {
        matches!(self, Self::V2_1_329)
    }

    /// Knows `session_state_changed`.
    pub(crate) const fn tells_state(self) -> bool {
        !matches!(self, Self::Older)
    }

    /// Prints `command_lifecycle` lines.
    pub(crate) const fn tells_lifecycle(self) -> bool {
        self.is_newest()
    }

    /// Echoes the prompt before the first event of the stream; the others before the first finished block.
    pub(crate) const fn echoes_early(self) -> bool {
        self.is_newest()
    }

    /// Tells how much the model has thought.
    pub(crate) const fn counts_thinking(self) -> bool {
        self.is_newest()
    }

    /// Names the prompts that a line answers, and in the answer to an interrupt those that wait.
    pub(crate) const fn names_prompts(self) -> bool {
        self.is_newest()
    }

    /// Without the resume flag: a prompt that stands in the file with nothing after it runs when it is sent again.
    pub(crate) const fn reruns_bare_prompts(self) -> bool {
        self.is_newest()
    }

    /// A line of white space is no error.
    pub(crate) const fn skips_blank_lines(self) -> bool {
        self.is_newest()
    }

    /// `set_permission_mode` knows what modes there are.
    pub(crate) const fn judges_modes(self) -> bool {
        self.is_newest()
    }

    /// `--resume` finds a session of another working directory.
    pub(crate) const fn resumes_anywhere(self) -> bool {
        self.is_newest()
    }

    /// The blocks are in the file at `result` even without the eager flag.
    pub(crate) const fn saves_before_result(self) -> bool {
        self.is_newest()
    }

    /// SIGINT in a turn ends it with a `result`.
    pub(crate) const fn results_on_sigint(self) -> bool {
        self.is_newest()
    }

    /// SIGTERM ends a running tool too.
    pub(crate) const fn ends_tools(self) -> bool {
        self.is_newest()
    }

    /// `terminal_reason` of a turn that an API error ended.
    pub(crate) const fn reason_of_trouble(self) -> &'static str {
        if self.is_newest() {
            "api_error"
        } else {
            "completed"
        }
    }

    /// Marks a block that was cut in the session file.
    pub(crate) const fn marks_cut_blocks(self) -> bool {
        self.is_newest()
    }

    /// Echoes an answer to a question before it says that it runs again.
    pub(crate) const fn echoes_answers_first(self) -> bool {
        self.is_newest()
    }

    /// An `allow` may leave out `updatedInput`.
    pub(crate) const fn allows_without_input(self) -> bool {
        self.is_newest()
    }
}
