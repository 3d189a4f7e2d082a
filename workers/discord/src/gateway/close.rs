//! What Discord's close codes ask for. Pure.
//!
//! Source: Discord's "Opcodes and Status Codes", gateway close event codes of v10.

/// Only a person can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fatal {
    /// 4004: the token is refused.
    Token,
    /// 4010, 4011: the bot is in too many servers for one connection.
    Shards,
    /// 4012: this version of the gateway is no more.
    Version,
    /// 4013: an intent that Discord does not know.
    BadIntents,
    /// 4014: an intent that is not switched on in the developer portal.
    Intents,
}

/// What to do after a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The session goes on.
    Resume,
    /// It does not.
    Identify,
    /// Stop.
    Stop(Fatal),
}

/// By the code of the close frame; none if there was no frame.
pub(crate) fn after(code: Option<u16>) -> After {
    match code {
        Some(4004) => After::Stop(Fatal::Token),
        Some(4010 | 4011) => After::Stop(Fatal::Shards),
        Some(4012) => After::Stop(Fatal::Version),
        Some(4013) => After::Stop(Fatal::BadIntents),
        Some(4014) => After::Stop(Fatal::Intents),
        Some(4003 | 4007 | 4009) => After::Identify,
        _ => After::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for code in [
            4000, 4001, 4002, 4005, 4006, 4008, 1000, 1001, 1006, 4999, 0,
        ] {
            assert_eq!(after(Some(code)), After::Resume, "{code}");
        }
        assert_eq!(after(None), After::Resume);
        for code in [4003, 4007, 4009] {
            assert_eq!(after(Some(code)), After::Identify, "{code}");
        }
        for code in [4004, 4010, 4011, 4012, 4013, 4014] {
            assert!(matches!(after(Some(code)), After::Stop(_)), "{code}");
        }
    }
}
