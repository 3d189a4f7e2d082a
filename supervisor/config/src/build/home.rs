//! Where an agent lives: its volume, its persona, and whether its project's own files are trusted.

use super::Build;
use crate::plan::{AgentKind, Auth, Volume, VolumeScope};
use crate::problems::shown;
use crate::walk::Section;

/// The longest text that is appended to a system prompt, bytes: it shares one argument of the agent's
/// command line, which has 128 KiB, with the persona and the project's own words.
const APPENDED: usize = 30 << 10;

impl Build<'_, '_> {
    pub(super) fn volume(
        &mut self,
        options: &Section,
        kind: AgentKind,
        auth: Option<&Auth>,
    ) -> Option<Volume> {
        let (at, path) = (options.at("volume_scope"), options.path("volume_scope"));
        let scope = match options.text("volume_scope") {
            Some("session") => VolumeScope::Session,
            _ => VolumeScope::Project,
        };
        let Some(name) = options.text("volume").map(str::trim) else {
            if options.written("volume_scope") {
                let why = "has no effect without a volume";
                self.problems.warn(at, &path, why);
            }
            return None;
        };
        if !is_name(name) {
            let why = format!(
                "`{}` is no volume's name: letters a-z and A-Z, digits, - _ and ., no . first, at most 64; it becomes a directory below the state directory",
                shown(name)
            );
            self.problems
                .error(options.at("volume"), &options.path("volume"), why);
            return None;
        }
        let env = options.env("env");
        let claude = kind == AgentKind::ClaudeCode;
        if claude && env.contains_key("CLAUDE_CONFIG_DIR") {
            let why = "CLAUDE_CONFIG_DIR has no effect with a volume: that is where it is";
            self.problems
                .warn(options.at("env"), &options.path("env"), why);
        }
        let given = GIVEN.iter().any(|name| env.contains_key(*name));
        let stored = auth == Some(&Auth::Login { token: None }) && !given;
        if claude && scope == VolumeScope::Session && stored {
            let why = "a login is kept in the volume, and each session has a new one: nobody would be logged in; write oauth_token, or auth = \"key\"";
            self.problems.warn(at, &path, why);
        }
        Some(Volume {
            name: name.to_owned(),
            scope,
        })
    }

    pub(super) fn persona(&mut self, options: &Section) -> Option<String> {
        let name = options.text("persona")?.trim();
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            let why = "is a file of the volume or of the work dir: a name such as \"persona.md\", without / in front and without ..";
            self.problems
                .error(options.at("persona"), &options.path("persona"), why);
        }
        Some(name.to_owned())
    }

    pub(super) fn appended(&mut self, options: &Section) -> Option<String> {
        let name = "append_system_prompt";
        let text = options.text(name)?;
        if text.len() > APPENDED {
            let why = "is longer than 30 KiB, which does not fit on the agent's command line: put it into a file and name that as persona, or into the project's CLAUDE.md";
            self.problems
                .error(options.at(name), &options.path(name), why);
        }
        Some(text.to_owned())
    }
}

/// Variables by which an agent gets at its model without a login that is kept.
const GIVEN: [&str; 6] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
];

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
