//! What of a message could not be taken along, for a word to its sender.

use ipc_schema::Inbound;

/// In words of each language that the hub speaks. No secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// In English; the agent reads it too.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Missing {
    /// The same in both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Missing {
        Missing {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// With what it is about before it.
    pub fn of(self, en: &str, zh: &str) -> Missing {
        Missing {
            en: format!("{en}: {}", self.en),
            zh: format!("{zh}：{}", self.zh),
        }
    }

    /// Notes it in an event.
    pub fn note(self, inbound: &mut Inbound) {
        let before = inbound.left_out.len();
        inbound.left_out_zh.resize(before, String::new());
        inbound.left_out.push(self.en);
        inbound.left_out_zh.push(self.zh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_stay_side_by_side() {
        let mut inbound = Inbound {
            left_out: vec!["old".into()],
            ..Inbound::default()
        };
        let gone = Missing::new("it is gone", "已不存在");
        gone.of("a.zip", "a.zip").note(&mut inbound);
        assert_eq!(inbound.left_out, ["old", "a.zip: it is gone"]);
        assert_eq!(inbound.left_out_zh, ["", "a.zip：已不存在"]);
    }
}
