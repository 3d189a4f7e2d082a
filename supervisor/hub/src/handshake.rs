//! Whether a peer is let onto its link.
//!
//! Who it is follows from the socket that it came in on; the key proves that the monitor started
//! it, and that it is not older than the newest of its kind.

use ipc_schema::{Body, Hello, LinkSecret, Refuse, RefuseCode, agree};

/// Judges the first envelope of a link to `peer`; `newest` is the highest generation that was let
/// in before. The agreed schema, or what to answer.
pub fn judge(
    first: &Body,
    peer: &str,
    secret: &LinkSecret,
    newest: u64,
) -> Result<(Hello, u32), Refuse> {
    let Body::Hello(hello) = first else {
        return Err(refuse(
            RefuseCode::Protocol,
            "the first envelope must be a Hello".into(),
        ));
    };
    // The key first: whoever has none learns nothing else.
    if !secret.proves(peer, hello.generation, &hello.link_key) {
        return Err(refuse(
            RefuseCode::Key,
            format!("the link key is not the one that {peer} was started with"),
        ));
    }
    if hello.generation < newest {
        return Err(refuse(
            RefuseCode::Key,
            format!("a newer {peer} (start {newest}) is linked already"),
        ));
    }
    let Some(schema) = agree(hello.schema_min, hello.schema_max) else {
        return Err(refuse(
            RefuseCode::Schema,
            format!(
                "this hub speaks schema {} to {}, {} speaks {} to {}: install the same release of both",
                ipc_schema::SCHEMA_MIN,
                ipc_schema::SCHEMA,
                hello.software,
                hello.schema_min,
                hello.schema_max
            ),
        ));
    };
    Ok((hello.clone(), schema))
}

fn refuse(code: RefuseCode, hint: String) -> Refuse {
    Refuse { code, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::Capabilities;

    fn hello(secret: &LinkSecret, generation: u64) -> Hello {
        Hello {
            schema_min: 1,
            schema_max: 1,
            software: "test".into(),
            peer_kind: "discord".into(),
            instance: "main".into(),
            generation,
            capabilities: Capabilities::default(),
            link_key: secret.key("discord-main", generation),
        }
    }

    fn code(body: &Body, newest: u64) -> Option<RefuseCode> {
        judge(body, "discord-main", &LinkSecret::new([7; 32]), newest)
            .err()
            .map(|r| r.code)
    }

    #[test]
    fn the_right_key_is_let_in() {
        let secret = LinkSecret::new([7; 32]);
        assert_eq!(code(&Body::Hello(hello(&secret, 3)), 3), None);
        assert_eq!(code(&Body::Hello(hello(&secret, 4)), 3), None);
    }

    #[test]
    fn a_key_is_good_for_one_peer_and_one_generation() {
        let secret = LinkSecret::new([7; 32]);
        let mut other = hello(&secret, 3);
        other.link_key = secret.key("weibo-main", 3);
        assert_eq!(code(&Body::Hello(other), 0), Some(RefuseCode::Key));
        let mut later = hello(&secret, 3);
        later.generation = 4;
        assert_eq!(code(&Body::Hello(later), 0), Some(RefuseCode::Key));
        assert_eq!(
            code(&Body::Hello(hello(&secret, 2)), 3),
            Some(RefuseCode::Key)
        );
        let strange = hello(&LinkSecret::new([8; 32]), 3);
        assert_eq!(code(&Body::Hello(strange), 0), Some(RefuseCode::Key));
    }

    #[test]
    fn another_grammar_is_refused_by_name() {
        let secret = LinkSecret::new([7; 32]);
        let mut newer = hello(&secret, 3);
        (newer.schema_min, newer.schema_max) = (90, 91);
        assert_eq!(code(&Body::Hello(newer), 0), Some(RefuseCode::Schema));
    }

    #[test]
    fn anything_but_a_hello_is_refused() {
        assert_eq!(code(&Body::Unknown, 0), Some(RefuseCode::Protocol));
    }
}
