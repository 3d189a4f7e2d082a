//! What a session has used, as the spool keeps it, as `/status` says it, and under an answer.

use render::Dialect;
use serde::{Deserialize, Serialize};

use crate::plan::Footer;
use crate::texts::Lang;
use crate::texts::progress as words;

/// The longest line under an answer, in characters.
const FOOTER: usize = 300;

/// Figures of a session; 0 = not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// Tokens in the context now.
    pub context_tokens: u64,
    /// Tokens that the context can hold.
    pub context_window: u64,
    /// What the session has cost, millionths of a dollar.
    pub cost_microusd: u64,
    /// The agent's own sum when it told it last; none: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_microusd: Option<u64>,
    /// The model that answered last.
    pub model: String,
}

impl Used {
    /// These figures once the agent has told new ones. What it does not know stays as it was. Of its
    /// sum only what has come to it since is added: an agent that was killed goes on from what it had
    /// written down, so its own sum may fall.
    pub fn and_then(self, told: Used) -> Used {
        let known = |new: u64, old: u64| if new > 0 { new } else { old };
        let counted = self.counted_microusd.unwrap_or(self.cost_microusd);
        // A new process begins with nothing counted.
        let begins = told == Used::default();
        let now = match begins {
            true => 0,
            false => known(told.cost_microusd, counted),
        };
        Used {
            context_tokens: known(told.context_tokens, self.context_tokens),
            context_window: known(told.context_window, self.context_window),
            cost_microusd: self
                .cost_microusd
                .saturating_add(now.saturating_sub(counted)),
            counted_microusd: Some(now),
            model: match told.model.is_empty() {
                true => self.model,
                false => told.model,
            },
        }
    }
}

/// The figures in words that need no language; nothing where nothing is known.
pub fn in_words(json: &str) -> String {
    let used: Used = serde_json::from_str(json).unwrap_or_default();
    let mut words = Vec::new();
    let thousands = |tokens: u64| tokens.div_ceil(1000);
    match (used.context_tokens, used.context_window) {
        (0, _) => {}
        (tokens, 0) => words.push(format!("{}k tokens", thousands(tokens))),
        (tokens, window) => {
            let percent = tokens.saturating_mul(100) / window;
            let (tokens, window) = (thousands(tokens), thousands(window));
            words.push(format!("{tokens}k/{window}k tokens ({percent} %)"));
        }
    }
    if used.cost_microusd > 0 {
        let cents = used.cost_microusd.div_ceil(10_000);
        words.push(format!("${}.{:02}", cents / 100, cents % 100));
    }
    if !used.model.is_empty() {
        words.push(used.model);
    }
    words.join(", ")
}

/// The line under an answer, as the dialect sets it; empty where there is nothing to say. `model`: the
/// one that was asked for, should the agent not have said which it was.
pub fn footer(json: &str, wanted: &Footer, model: &str, dialect: Dialect, lang: Lang) -> String {
    let used: Used = serde_json::from_str(json).unwrap_or_default();
    let mut parts = Vec::new();
    if wanted.model {
        parts.extend(
            [used.model.as_str(), model]
                .into_iter()
                .find(|it| !it.is_empty()),
        );
    }
    let context = match (used.context_tokens, used.context_window) {
        (0, _) | (_, 0) => String::new(),
        (tokens, window) => words::context(tokens.saturating_mul(100) / window, lang),
    };
    if wanted.context && !context.is_empty() {
        parts.push(&context);
    }
    if !wanted.work_dir.is_empty() {
        parts.push(&wanted.work_dir);
    }
    if parts.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|part| render::literal(part, dialect))
        .collect();
    let line: String = parts.join(" · ").chars().take(FOOTER).collect();
    match dialect {
        // Small and grey.
        Dialect::Discord => format!("-# {line}"),
        Dialect::Plain => format!("[{line}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_has_what_is_wanted_and_known() {
        let used = |context_window| {
            let used = Used {
                context_tokens: 84_000,
                context_window,
                model: "opus".into(),
                ..Used::default()
            };
            serde_json::to_string(&used).unwrap()
        };
        let all = Footer {
            model: true,
            context: true,
            work_dir: "~/my_work".into(),
        };
        let say = |json: &str, wanted: &Footer, dialect, lang| {
            footer(json, wanted, "asked", dialect, lang)
        };
        let (discord, plain) = (Dialect::Discord, Dialect::Plain);
        let known = used(200_000);
        assert_eq!(
            say(&known, &all, discord, Lang::En),
            "-# opus · context 42 % · \\~/my_work"
        );
        assert_eq!(
            say(&known, &all, plain, Lang::Zh),
            "[opus · 上下文 42% · ~/my_work]"
        );
        // What the agent did not tell is not guessed at.
        assert_eq!(say("", &all, plain, Lang::En), "[asked · ~/my_work]");
        assert_eq!(say(&used(0), &all, plain, Lang::En), "[opus · ~/my_work]");
        let context = Footer {
            context: true,
            ..Footer::default()
        };
        assert_eq!(say(&known, &context, plain, Lang::En), "[context 42 %]");
        assert_eq!(say("", &context, plain, Lang::En), "");
        assert_eq!(say(&known, &Footer::default(), plain, Lang::En), "");
        let long = Footer {
            work_dir: "x/".repeat(1000),
            ..Footer::default()
        };
        assert!(say("", &long, discord, Lang::En).chars().count() <= FOOTER + 3);
    }

    #[test]
    fn what_was_spent_is_counted_once_and_never_forgotten() {
        let told = |cost_microusd| Used {
            context_tokens: 10,
            cost_microusd,
            ..Used::default()
        };
        let after = |used: Used, cost| used.and_then(told(cost));
        let begins = |used: Used, cost_microusd| {
            used.and_then(Used {
                cost_microusd,
                ..Used::default()
            })
        };
        let used = after(after(Used::default(), 10), 30);
        assert_eq!(used.cost_microusd, 30);
        // Resumed with all of it written down.
        let resumed = after(begins(used.clone(), 30), 35);
        assert_eq!(resumed.cost_microusd, 35);
        // Killed when only 10 of it were, or nothing at all.
        assert_eq!(after(begins(used.clone(), 10), 15).cost_microusd, 35);
        assert_eq!(after(begins(used.clone(), 0), 40).cost_microusd, 70);
        // It had spent more by the end of its process than anybody was told.
        assert_eq!(after(begins(used.clone(), 33), 38).cost_microusd, 38);
        // An agent that does not tell what it begins with, or no sums.
        assert_eq!(after(after(used.clone(), 7), 12).cost_microusd, 35);
        assert_eq!(after(used.clone(), 0).cost_microusd, 30);
        // What was kept before there was any of this.
        let old: Used = serde_json::from_str(r#"{"cost_microusd":30,"model":"m"}"#).unwrap();
        let now = after(old, 32);
        assert_eq!((now.cost_microusd, now.model.as_str()), (32, "m"));
        assert_eq!(begins(now, 0).context_tokens, 10);
    }

    #[test]
    fn only_what_is_known_is_said() {
        let say = |used: &Used| in_words(&serde_json::to_string(used).unwrap());
        assert_eq!(in_words(""), "");
        assert_eq!(say(&Used::default()), "");
        let used = Used {
            context_tokens: 20_001,
            context_window: 200_000,
            cost_microusd: 1_234_567,
            model: "opus".into(),
            ..Used::default()
        };
        assert_eq!(say(&used), "21k/200k tokens (10 %), $1.24, opus");
        let used = Used {
            context_window: 0,
            ..used
        };
        assert_eq!(say(&used), "21k tokens, $1.24, opus");
    }
}
