//! The requests that write a message or answer an interaction, each in its documented form.
//!
//! Every body that can hold a text holds `allowed_mentions` too; [`crate::form`] puts it there.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::form::no_pings;
use crate::snowflake::Id;

use super::Call;
use super::limits::Key;

/// Stands in a path where the token of an interaction goes; see [`super::Rest::once_hook`].
pub(crate) const TOKEN: &str = "{token}";
/// Only whoever acted sees it.
pub(crate) const EPHEMERAL: u64 = 1 << 6;
/// Without a push notification.
const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;

/// A message, so far: `content`, `embeds`, `components`, …
pub(crate) type Body = Map<String, Value>;

/// A new message. A repeat with the same nonce is recognised; `refer`: the message that it refers to.
pub(crate) fn post(
    channel: &str,
    mut body: Body,
    nonce: &str,
    refer: Option<&str>,
    silent: bool,
) -> Call {
    body.insert("nonce".into(), json!(nonce));
    body.insert("enforce_nonce".into(), json!(true));
    if let Some(message) = refer {
        let reference = json!({"message_id": message, "fail_if_not_exists": false});
        body.insert("message_reference".into(), reference);
    }
    set_flags(&mut body, silent, false);
    call(
        Method::POST,
        "POST /channels/{}/messages",
        channel,
        format!("/channels/{channel}/messages"),
        Some(body),
    )
}

/// A message that stands, changed. What `body` names empty is taken away.
pub(crate) fn edit(channel: &str, message: &str, body: Body) -> Call {
    call(
        Method::PATCH,
        "PATCH /channels/{}/messages/{}",
        channel,
        format!("/channels/{channel}/messages/{message}"),
        Some(body),
    )
}

/// The deferred answer to an interaction, at last. The limits of an interaction are its own.
pub(crate) fn original(application: Id, interaction: Id, body: Body) -> Call {
    call(
        Method::PATCH,
        "PATCH /webhooks/{}/{}/messages/@original",
        interaction,
        format!("/webhooks/{application}/{TOKEN}/messages/@original"),
        Some(body),
    )
}

/// A further answer to an interaction, for whoever acted alone.
pub(crate) fn follow_up(application: Id, interaction: Id, mut body: Body, silent: bool) -> Call {
    set_flags(&mut body, silent, true);
    call(
        Method::POST,
        "POST /webhooks/{}/{}",
        interaction,
        format!("/webhooks/{application}/{TOKEN}"),
        Some(body),
    )
}

/// How an interaction is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ack {
    /// Something was pressed: its message stays as it is, for now.
    Pressed,
    /// A command was chosen: its answer comes later.
    Command {
        /// Only whoever chose it is to see the answer.
        private: bool,
    },
}

/// The first word to an interaction.
pub(crate) fn callback(interaction: Id, ack: Ack) -> Call {
    let body = match ack {
        // It shows nothing, so there is nothing in it that could ping.
        Ack::Pressed => json!({"type": 6}),
        Ack::Command { private } => {
            let flags = if private { EPHEMERAL } else { 0 };
            json!({"type": 5, "data": {"flags": flags, "allowed_mentions": no_pings()}})
        }
    };
    Call {
        body: Some(body),
        ..call(
            Method::POST,
            "POST /interactions/{}/{}/callback",
            interaction,
            format!("/interactions/{interaction}/{TOKEN}/callback"),
            None,
        )
    }
}

fn set_flags(body: &mut Body, silent: bool, private: bool) {
    let silent = if silent { SUPPRESS_NOTIFICATIONS } else { 0 };
    let flags = silent | if private { EPHEMERAL } else { 0 };
    if flags != 0 {
        body.insert("flags".into(), json!(flags));
    }
}

fn call(
    method: Method,
    route: &'static str,
    major: impl ToString,
    path: String,
    body: Option<Body>,
) -> Call {
    Call {
        method,
        key: Key {
            route,
            major: major.to_string(),
        },
        path,
        body: body.map(Value::Object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::visible;

    #[test]
    fn case_11_mentions_none() {
        let body = || visible("@everyone <@1>", None, "");
        let nobody = json!({"parse": [], "replied_user": false});
        for written in [
            post("5", body(), "r-0", Some("77"), true),
            edit("5", "6", body()),
            original(Id(1), Id(2), body()),
            follow_up(Id(1), Id(2), body(), true),
        ] {
            assert_eq!(written.body.unwrap()["allowed_mentions"], nobody);
        }
        let ack = callback(Id(2), Ack::Command { private: true });
        assert_eq!(ack.body.unwrap()["data"]["allowed_mentions"], nobody);
    }

    #[test]
    fn a_post_is_recognised_when_it_is_repeated() {
        let call = post("5", visible("x", None, ""), "r-0", Some("77"), true);
        let body = call.body.unwrap();
        assert_eq!(
            (body["nonce"].as_str(), body["enforce_nonce"].as_bool()),
            (Some("r-0"), Some(true))
        );
        assert_eq!(
            body["message_reference"],
            json!({"message_id": "77", "fail_if_not_exists": false})
        );
        assert_eq!(body["flags"], json!(4096));
        assert_eq!(call.path, "/channels/5/messages");
        let plain = post("5", visible("x", None, ""), "r-0", None, false);
        let plain = plain.body.unwrap();
        assert!(plain.get("message_reference").is_none() && plain.get("flags").is_none());
    }

    #[test]
    fn an_interaction_is_answered_by_its_token_and_never_by_a_nonce() {
        let call = follow_up(Id(1), Id(2), visible("x", None, ""), true);
        assert_eq!(call.path, "/webhooks/1/{token}");
        let body = call.body.unwrap();
        assert_eq!(body["flags"], json!(4096 | 64));
        assert!(body.get("nonce").is_none());
        let ack = callback(Id(2), Ack::Pressed);
        assert_eq!(ack.path, "/interactions/2/{token}/callback");
        assert_eq!(ack.body.unwrap(), json!({"type": 6}));
    }
}
