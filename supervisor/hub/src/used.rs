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
    /// The model that answered last.
    pub model: String,
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
    fn only_what_is_known_is_said() {
        let say = |used: &Used| in_words(&serde_json::to_string(used).unwrap());
        assert_eq!(in_words(""), "");
        assert_eq!(say(&Used::default()), "");
        let used = Used {
            context_tokens: 20_001,
            context_window: 200_000,
            cost_microusd: 1_234_567,
            model: "opus".into(),
        };
        assert_eq!(say(&used), "21k/200k tokens (10 %), $1.24, opus");
        let used = Used {
            context_window: 0,
            ..used
        };
        assert_eq!(say(&used), "21k tokens, $1.24, opus");
    }
}
