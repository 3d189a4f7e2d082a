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

/// The hub's own, in the order of `/help`.
pub const BUILT_IN: [&str; 5] = ["new", "stop", "status", "help", "whoami"];

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
            "/compact",
            "/",
            "",
            "new",
            "what is /new",
        ] {
            assert_eq!(plain(prompt), None, "{prompt}");
        }
    }
}
