//! Commands in the chat: a message that begins with a slash and a known name.
//!
//! Anything else with a slash (a path, one of the agent's own commands) is a prompt, unless it is
//! so close to a known name that it is more likely a slip of the hand.

use unicode_normalization::UnicodeNormalization as _;

/// What a message asks of the hub itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A new session.
    New,
    /// End the current turn.
    Stop,
    /// How things stand.
    Status,
    /// What can be asked.
    Help,
    /// Who am I to the bot?
    Whoami,
    /// The conversation's sessions.
    List,
    /// Go on in another session: its number in the list, or its id; empty = which?
    Switch(String),
    /// The session's last messages and answers: so many; `None` = a few.
    History(Option<usize>),
    /// The session's mode; empty = which is it?
    Mode(String),
    /// The session's model; empty = which is it?
    Model(String),
    /// Make the conversation shorter; with what is to be kept, if anything was said of it.
    Compact(String),
    /// One of the operator's prompts, with what followed its name.
    Prompt {
        /// Its name.
        name: String,
        /// The rest of the line.
        args: String,
    },
    /// Looks like a slip.
    Unknown {
        /// As typed.
        name: String,
        /// The nearest known name.
        nearest: String,
    },
}

impl Command {
    /// The known name that it goes by, without its slash; of a slip, the one that was meant.
    pub fn name(&self) -> &str {
        match self {
            Command::New => "new",
            Command::Stop => "stop",
            Command::Status => "status",
            Command::Help => "help",
            Command::Whoami => "whoami",
            Command::List => "list",
            Command::Switch(_) => "switch",
            Command::History(_) => "history",
            Command::Mode(_) => "mode",
            Command::Model(_) => "model",
            Command::Compact(_) => "compact",
            Command::Prompt { name, .. } => name,
            Command::Unknown { nearest, .. } => nearest,
        }
    }
}

/// The hub's own, in the order of `/help`.
pub const BUILT_IN: [&str; 11] = [
    "new", "list", "switch", "stop", "status", "history", "mode", "model", "compact", "whoami",
    "help",
];

/// Reads a message; `None` = a prompt. `aliases` maps names to names, `prompts` names the
/// operator's commands.
pub fn read<'a>(
    message: &str,
    alias: impl Fn(&str) -> Option<&'a str>,
    prompts: &[&str],
) -> Option<Command> {
    let message = message.trim();
    let first = message.split_whitespace().next()?;
    let args = message[first.len()..].trim_start();
    let first: String = first.nfkc().collect();
    let typed = first.strip_prefix('/')?.to_lowercase();
    let name = alias(&typed)
        .map(|to| to.trim_start_matches('/'))
        .unwrap_or(&typed);
    Some(match name {
        "new" => Command::New,
        "stop" => Command::Stop,
        "status" => Command::Status,
        "help" => Command::Help,
        "whoami" => Command::Whoami,
        "list" => Command::List,
        "switch" => Command::Switch(args.trim().to_owned()),
        "history" => Command::History(args.trim().parse().ok()),
        "mode" => Command::Mode(args.trim().to_owned()),
        "model" => Command::Model(args.trim().to_owned()),
        "compact" => Command::Compact(args.trim().to_owned()),
        name if prompts.contains(&name) => Command::Prompt {
            name: name.to_owned(),
            args: args.to_owned(),
        },
        name => {
            let nearest = BUILT_IN
                .iter()
                .chain(prompts)
                .find(|known| one_slip(name, known))?;
            Command::Unknown {
                name: name.to_owned(),
                nearest: nearest.to_string(),
            }
        }
    })
}

/// An operator's prompt with what followed the command's name put in: `{{1}}` is the first word,
/// `{{2*}}` the second and all behind it, `{{args}}` everything; `{{1:x}}` is `x` if there is no first
/// word. Where no place is left for it, it follows the prompt.
pub fn expand(prompt: &str, args: &str) -> String {
    let words: Vec<&str> = args.split_whitespace().collect();
    let mut expanded = String::with_capacity(prompt.len() + args.len());
    let (mut rest, mut placed) = (prompt, false);
    while let Some((before, place, after)) = rest.split_once("{{").and_then(|(before, rest)| {
        rest.split_once("}}")
            .map(|(place, after)| (before, place, after))
    }) {
        expanded.push_str(before);
        let (name, default) = place.split_once(':').unwrap_or((place, ""));
        match value(name.trim(), &words, args) {
            Some(value) => {
                placed = true;
                expanded.push_str(if value.is_empty() { default } else { &value });
            }
            // Braces of the operator's own.
            None => expanded.extend(["{{", place, "}}"]),
        }
        rest = after;
    }
    expanded.push_str(rest);
    if !placed && !args.is_empty() {
        expanded.push_str("\n\n");
        expanded.push_str(args);
    }
    expanded
}

/// What a place stands for; `None` = it is no place.
fn value(name: &str, words: &[&str], args: &str) -> Option<String> {
    if name == "args" {
        return Some(args.to_owned());
    }
    let (number, rest) = match name.strip_suffix('*') {
        Some(number) => (number, true),
        None => (name, false),
    };
    let first = number.parse::<usize>().ok()?.checked_sub(1)?;
    let behind = words.get(first..).unwrap_or_default();
    Some(if rest {
        behind.join(" ")
    } else {
        behind.first().copied().unwrap_or_default().to_owned()
    })
}

/// Whether two words differ by one letter too many, too few, wrong, or two neighbours swapped.
fn one_slip(typed: &str, known: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (typed.chars().collect(), known.chars().collect());
    if a.len().abs_diff(b.len()) > 1 || b.len() < 3 {
        return false;
    }
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    let off = |s: &[char], n: usize| s.get(n..).unwrap_or_default().to_vec();
    off(a, 1) == off(b, 1)
        || off(a, 1) == b
        || a == off(b, 1)
        || (a.len() >= 2 && b.len() >= 2 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(message: &str) -> Option<Command> {
        read(message, |name| (name == "n").then_some("/new"), &["review"])
    }

    #[test]
    fn known_names_are_commands() {
        assert_eq!(plain("/new"), Some(Command::New));
        assert_eq!(plain("  ／STOP "), Some(Command::Stop));
        assert_eq!(plain("/n"), Some(Command::New));
        assert_eq!(
            plain("/review the last commit"),
            Some(Command::Prompt {
                name: "review".into(),
                args: "the last commit".into()
            })
        );
    }

    #[test]
    fn the_hubs_own_go_by_the_names_that_they_are_read_from() {
        for name in BUILT_IN {
            assert_eq!(plain(&format!("/{name}")).unwrap().name(), name);
        }
        assert_eq!(plain("/review x").unwrap().name(), "review");
        assert_eq!(plain("/stp").unwrap().name(), "stop");
    }

    #[test]
    fn prompts_take_what_follows_their_name() {
        for (prompt, args, expanded) in [
            ("review {{1}} for {{2*:bugs}}", "src", "review src for bugs"),
            (
                "review {{1}} for {{2*:bugs}}",
                "src slow loops",
                "review src for slow loops",
            ),
            ("say {{args}}!", "a b", "say a b!"),
            ("say {{args:nothing}}", "", "say nothing"),
            ("tidy up", "src", "tidy up\n\nsrc"),
            ("tidy up", "", "tidy up"),
            ("keep {{ this }} and {{", "", "keep {{ this }} and {{"),
            ("{{0}}{{1}}", "x", "{{0}}x"),
        ] {
            assert_eq!(expand(prompt, args), expanded, "{prompt} ← {args}");
        }
    }

    #[test]
    fn a_slip_is_told() {
        for (typed, nearest) in [
            ("/stp", "stop"),
            ("/statsu", "status"),
            ("/hlep", "help"),
            ("/newx", "new"),
        ] {
            let Some(Command::Unknown { nearest: found, .. }) = plain(typed) else {
                panic!("{typed} is no slip")
            };
            assert_eq!(found, nearest);
        }
    }

    #[test]
    fn everything_else_is_a_prompt() {
        for prompt in [
            "hello",
            "/etc/hosts is broken",
            "/context",
            "/",
            "",
            "new",
            "what is /new",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
    }
}
