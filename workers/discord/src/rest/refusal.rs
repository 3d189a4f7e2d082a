//! What a refusal means for what was to be written. Pure.
//!
//! Source: Discord's "Opcodes and Status Codes".

use super::answer::Refused;

/// What becomes of a post that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Post {
    /// The first try had succeeded, and somebody has deleted the message since.
    Delivered,
    /// Try again without referring to a message.
    WithoutReference,
    /// It never will be; in words.
    Never(String),
    /// It never will be, and it is a fault of ours; in words.
    OurFault(String),
}

/// Reads the refusal of a post. `repeated`: an earlier try with the same nonce may have succeeded;
/// `refers`: it refers to a message.
pub(crate) fn post(refused: &Refused, repeated: bool, refers: bool) -> Post {
    let Refused {
        status,
        code,
        words,
        field,
    } = refused;
    let never = |what: &str| Post::Never(what.into());
    match code {
        10008 if repeated => Post::Delivered,
        160_002 if refers => Post::WithoutReference,
        50035 if refers && field == "message_reference" => Post::WithoutReference,
        10003 => never("the channel is gone"),
        10004 => never("the bot is no longer in that server"),
        50001 => never("the bot cannot see the channel: give its role View Channel there"),
        50013 => never(
            "the bot may not write in the channel: give its role Send Messages there (in threads: \
             Send Messages in Threads)",
        ),
        50007 => never("the user takes no direct messages from the bot, or blocks it"),
        50083 => never("the thread is archived"),
        160_005 => never("the thread is locked"),
        _ if is_our_fault(refused) => Post::OurFault(our_fault(refused)),
        _ => Post::Never(format!(
            "Discord refuses it: HTTP {status}, code {code}, {words}"
        )),
    }
}

/// Whether Discord could not read what was sent.
pub(crate) fn is_our_fault(refused: &Refused) -> bool {
    matches!(refused.code, 50006 | 50035 | 50109)
}

/// That, in words.
pub(crate) fn our_fault(refused: &Refused) -> String {
    let Refused {
        code, words, field, ..
    } = refused;
    let field = if field.is_empty() {
        String::new()
    } else {
        format!(" in {field}")
    };
    format!("Discord cannot read the message{field} ({code} {words})")
}

/// Whether a right is missing that a plainer message may do without. A card falls away in silence
/// where it may not be, and nothing is left of a message that has no more (`card`).
pub(crate) fn wants_a_right(refused: &Refused, card: bool) -> bool {
    refused.code == 50013 || card && refused.code == 50006
}

/// Whether the files are too large together, or one is where the server takes less.
pub(crate) fn is_too_large(refused: &Refused) -> bool {
    refused.status == 413 || refused.code == 40005
}

/// Whether the message that was to be changed is gone for good, or too old for it.
pub(crate) fn is_past_changing(refused: &Refused) -> bool {
    matches!(refused.code, 10008 | 30046)
}

/// Whether an interaction can no longer be answered: its token is over, or it never was
/// acknowledged.
pub(crate) fn is_over(refused: &Refused) -> bool {
    matches!(refused.code, 10015 | 10062 | 50027) || refused.status == 401
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64, field: &str) -> Refused {
        Refused {
            status: 400,
            code,
            field: field.into(),
            ..Refused::default()
        }
    }

    #[test]
    fn what_becomes_of_a_refused_post() {
        for code in [10003, 10004, 50001, 50013, 50007, 50083, 160_005, 0, 99] {
            assert!(
                matches!(post(&refused(code, ""), true, true), Post::Never(_)),
                "{code}"
            );
        }
        for code in [50006, 50035] {
            assert!(
                matches!(
                    post(&refused(code, "content"), true, true),
                    Post::OurFault(_)
                ),
                "{code}"
            );
        }
        assert_eq!(post(&refused(10008, ""), true, false), Post::Delivered);
        assert!(matches!(
            post(&refused(10008, ""), false, false),
            Post::Never(_)
        ));
        assert_eq!(
            post(&refused(160_002, ""), false, true),
            Post::WithoutReference
        );
        assert!(matches!(
            post(&refused(160_002, ""), false, false),
            Post::Never(_)
        ));
        assert_eq!(
            post(&refused(50035, "message_reference"), false, true),
            Post::WithoutReference
        );
    }
}
