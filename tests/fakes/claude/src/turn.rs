//! A turn as a row of beats, composed from its script.
//!
//! Promises: pure; the order of the beats is that of the measured lines.
//! Does not: print; the engine plays the beats.

use std::collections::VecDeque;
use std::time::Duration;

use fake_model::pieces;
use fake_model::script::{Point, Script, ToolCall, Trouble};
use serde_json::Value;

use crate::version::Version;

/// One step of a turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Beat {
    /// Stop at a point, if anybody wants it.
    Point(Point),
    /// The prompt goes into the session file.
    Keep,
    Init,
    Requesting,
    /// The prompt is echoed, once a turn.
    Echo,
    MessageStart,
    /// The model thinks.
    Thought(String),
    TextStart,
    Delta(String),
    /// A text block is complete.
    Text(String),
    /// A tool call is complete.
    Call(ToolCall),
    /// The message is over: its blocks go into the session file.
    MessageEnd {
        calls: bool,
    },
    /// The tool's fate: it runs, is asked about or refused. What follows comes with its outcome.
    Decide,
    /// A tool came back; the model goes on.
    Outcome(Outcome),
    /// The model API failed and is tried again.
    Retry {
        trouble: Trouble,
        attempt: u32,
        most: u32,
    },
    /// It failed for good.
    GiveUp(Trouble),
    Pause(Duration),
    /// A line that is none.
    Junk(String),
    /// So many bytes without an end of line.
    Flood(usize),
    Die(i32),
    /// From here on nothing is said or heard.
    Hang,
    /// Everything said is in the session file.
    Save,
    Result,
    /// The turn is over.
    End,
}

/// What a tool came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) failed: bool,
}

/// Who wanted the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A prompt that was sent.
    Asked,
    /// An interrupted turn goes on, below the row with this uuid.
    Continued,
    /// Background work.
    Unasked,
}

/// What a turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    /// Leave to pass a point; the number tells answers apart.
    Point(u64, Point),
    Pause(u64),
    /// The answer to a question.
    Answer,
    /// A tool.
    Tool(u64),
    /// A tool of the runner's own.
    Server,
}

/// A tool call on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pending {
    pub(crate) id: String,
    pub(crate) call: ToolCall,
    /// The request id of the question, while it is open.
    pub(crate) question: Option<String>,
}

/// A turn being played.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) kind: Kind,
    /// The prompts that it answers; the last one is in the session file.
    pub(crate) prompts: Vec<String>,
    /// The uuids that `command_lifecycle` speaks of.
    pub(crate) cycle: Vec<String>,
    /// Prompts that were injected after a tool.
    pub(crate) injected: Vec<String>,
    /// What is echoed.
    pub(crate) content: Value,
    /// The whole prompt as text.
    pub(crate) text: String,
    pub(crate) script: Script,
    pub(crate) outcomes: Vec<String>,
    pub(crate) beats: VecDeque<Beat>,
    pub(crate) wait: Wait,
    pub(crate) echoed: bool,
    /// The text block that is being said.
    pub(crate) saying: Option<String>,
    /// Blocks of this message that are not in the session file: their uuid and content.
    pub(crate) blocks: Vec<(String, Value)>,
    pub(crate) message: String,
    pub(crate) index: usize,
    pub(crate) last_text: String,
    pub(crate) pending: Option<Pending>,
    pub(crate) denials: Vec<Value>,
    pub(crate) first_delta: bool,
    /// The API error that ended it.
    pub(crate) failed: Option<Trouble>,
}

impl Turn {
    pub(crate) fn new(
        kind: Kind,
        prompts: Vec<String>,
        content: Value,
        text: String,
        script: Script,
    ) -> Self {
        Self {
            kind,
            cycle: prompts.clone(),
            prompts,
            injected: Vec::new(),
            content,
            text,
            script,
            outcomes: Vec::new(),
            beats: VecDeque::new(),
            wait: Wait::Nothing,
            echoed: kind != Kind::Asked,
            saying: None,
            blocks: Vec::new(),
            message: String::new(),
            index: 0,
            last_text: String::new(),
            pending: None,
            denials: Vec::new(),
            first_delta: true,
            failed: None,
        }
    }

    /// The turn's beats up to its first tool or its end.
    pub(crate) fn open(&mut self, version: Version, most_retries: u32, logged_in: bool) {
        if self.script.silent {
            self.beats.push_back(Beat::Hang);
            return;
        }
        if self.kind == Kind::Asked {
            self.beats.push_back(Beat::Point(Point::Received));
        }
        self.beats.extend([
            Beat::Keep,
            Beat::Point(Point::Persisted),
            Beat::Init,
            Beat::Requesting,
        ]);
        self.beats.extend(self.script.junk.clone().map(Beat::Junk));
        self.beats.extend(self.script.flood.map(Beat::Flood));
        let trouble = if logged_in {
            self.script.trouble
        } else {
            Some((Trouble::LoggedOut, None))
        };
        if let Some((trouble, times)) = trouble {
            let most = if retried(trouble) { most_retries } else { 0 };
            let times = times.unwrap_or(u32::MAX);
            for attempt in 1..=times.min(most) {
                self.beats.push_back(Beat::Retry {
                    trouble,
                    attempt,
                    most,
                });
            }
            if times > most {
                self.beats.extend([
                    Beat::Echo,
                    Beat::GiveUp(trouble),
                    Beat::Save,
                    Beat::Point(Point::Saved),
                    Beat::Result,
                ]);
                self.beats
                    .extend([Beat::Point(Point::AfterResult), Beat::End]);
                return;
            }
        }
        self.beats.push_back(Beat::Point(Point::BeforeFirstDelta));
        if version.echoes_early() {
            self.beats.push_back(Beat::Echo);
        }
        self.next_message(version);
    }

    /// The beats of the model's next message.
    pub(crate) fn next_message(&mut self, version: Version) {
        let message = self.script.message(&self.outcomes);
        self.beats.push_back(Beat::MessageStart);
        for text in &message.thoughts {
            if !version.echoes_early() {
                self.beats.push_back(Beat::Echo);
            }
            self.beats.push_back(Beat::Thought(text.clone()));
        }
        for text in &message.texts {
            self.beats.push_back(Beat::TextStart);
            for piece in pieces(text) {
                self.beats.push_back(Beat::Delta(piece));
                self.after_delta();
            }
            if !version.echoes_early() {
                self.beats.push_back(Beat::Echo);
            }
            self.beats.push_back(Beat::Text(text.clone()));
        }
        match message.tool {
            Some(call) => {
                if !version.echoes_early() {
                    self.beats.push_back(Beat::Echo);
                }
                self.beats.push_back(Beat::Call(call));
                self.after_delta();
                self.beats
                    .extend([Beat::MessageEnd { calls: true }, Beat::Decide]);
            }
            None => {
                self.beats.extend([
                    Beat::Point(Point::BeforeResult),
                    Beat::MessageEnd { calls: false },
                ]);
                self.beats
                    .extend([Beat::Save, Beat::Point(Point::Saved), Beat::Result]);
                self.beats
                    .extend([Beat::Point(Point::AfterResult), Beat::End]);
            }
        }
    }

    fn after_delta(&mut self) {
        self.beats.extend(self.script.pace.map(Beat::Pause));
        if std::mem::take(&mut self.first_delta) {
            self.beats.push_back(Beat::Point(Point::FirstDelta));
            self.beats.extend(self.script.exit.map(Beat::Die));
        }
    }

    /// Whether an interrupt still changes something.
    pub(crate) fn can_be_stopped(&self) -> bool {
        !matches!(self.wait, Wait::Point(_, Point::Saved | Point::AfterResult))
    }
}

/// The command line tries again what may pass; a wrong request or a missing login does not.
fn retried(trouble: Trouble) -> bool {
    !matches!(
        trouble,
        Trouble::LoggedOut | Trouble::Status(400 | 403 | 404 | 413)
    )
}

/// The `error` of an `assistant` line, and of `api_retry`.
pub(crate) fn error_name(trouble: Trouble, retrying: bool) -> &'static str {
    match trouble.status() {
        401 | 403 => "authentication_failed",
        429 => "rate_limit",
        529 if retrying => "overloaded",
        500..=599 => "server_error",
        _ => "unknown",
    }
}

/// What the user is told.
pub(crate) fn error_words(trouble: Trouble) -> String {
    match trouble {
        Trouble::LoggedOut => "Not logged in · Please run /login".to_owned(),
        Trouble::Status(401) => "Invalid API key · Fix external API key".to_owned(),
        Trouble::Status(429) => {
            format!("API Error: Request rejected (429) · {}", trouble.message())
        }
        Trouble::Status(status) => format!("API Error: {status} {}", trouble.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn beats(prompt: &str, most: u32, logged_in: bool) -> Vec<Beat> {
        let mut turn = Turn::new(
            Kind::Asked,
            vec!["u".into()],
            json!(prompt),
            prompt.into(),
            Script::parse(prompt),
        );
        turn.open(Version::V2_1_329, most, logged_in);
        turn.beats.into()
    }

    fn count(beats: &[Beat], wanted: impl Fn(&Beat) -> bool) -> usize {
        beats.iter().filter(|beat| wanted(beat)).count()
    }

    #[test]
    fn trouble_is_tried_again_as_often_as_allowed() {
        let retry = |beat: &Beat| matches!(beat, Beat::Retry { .. });
        let give_up = |beat: &Beat| matches!(beat, Beat::GiveUp(_));
        let at = |prompt, most| {
            let beats = beats(prompt, most, true);
            (count(&beats, retry), count(&beats, give_up))
        };
        assert_eq!(at("#error 529", 3), (3, 1));
        assert_eq!(at("#error 529 2", 3), (2, 0));
        assert_eq!(at("#error 529 3", 3), (3, 0));
        assert_eq!(at("#error 529 4", 3), (3, 1));
        assert_eq!(at("#error 400", 3), (0, 1));
        assert_eq!(at("hello", 3), (0, 0));
        assert_eq!(count(&beats("hello", 3, false), give_up), 1);
    }

    #[test]
    fn a_turn_stops_at_its_first_tool() {
        let beats = beats("#tool Bash ls\n#say done", 0, true);
        assert_eq!(beats.last(), Some(&Beat::Decide));
        assert_eq!(
            count(&beats, |beat| *beat == Beat::Point(Point::FirstDelta)),
            1
        );
    }
}
