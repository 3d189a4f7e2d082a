//! Conversations and sessions.

use super::samples::{conversation, session, spool};
use crate::Session;

fn ids(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.id.as_str()).collect()
}

#[test]
fn a_conversation_is_replaced_as_a_whole() {
    let spool = spool();
    let mut ann = conversation("ann");
    assert_eq!(
        spool.conversation("p", "discord-main", "ann").unwrap(),
        None
    );
    spool.put_conversation(&ann).unwrap();
    spool.put_conversation(&conversation("bob")).unwrap();
    ann.session = "the next".into();
    ann.shared = false;
    ann.address = "channel 2".into();
    spool.put_conversation(&ann).unwrap();
    assert_eq!(
        spool.conversation("p", "discord-main", "ann").unwrap(),
        Some(ann)
    );
    assert_eq!(
        spool.conversation("p", "discord-main", "bob").unwrap(),
        Some(conversation("bob"))
    );
    assert_eq!(
        spool.conversation("q", "discord-main", "ann").unwrap(),
        None
    );
}

#[test]
fn sessions_are_listed_by_their_last_use() {
    let spool = spool();
    for (id, conversation, used_at) in [
        ("s1", "ann", 1),
        ("s2", "ann", 2),
        ("s3", "bob", 3),
        ("s4", "ann", 2),
    ] {
        spool
            .put_session(&session(id, conversation, used_at))
            .unwrap();
    }
    let of = |limit| {
        spool
            .sessions_of("p", "discord-main", "ann", limit)
            .unwrap()
    };
    assert_eq!(ids(&of(9)), ["s4", "s2", "s1"]);
    spool.put_session(&session("s1", "ann", 5)).unwrap();
    assert_eq!(ids(&of(2)), ["s1", "s4"]);
    assert_eq!(ids(&spool.sessions(3).unwrap()), ["s1", "s3", "s4"]);
    assert_eq!(spool.session("s1").unwrap(), Some(session("s1", "ann", 5)));
    assert_eq!(spool.session("s9").unwrap(), None);
}
