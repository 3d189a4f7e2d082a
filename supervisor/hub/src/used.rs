//! What a session has used, as the spool keeps it and as `/status` says it.

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

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
