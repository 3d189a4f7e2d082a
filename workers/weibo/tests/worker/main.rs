//! The real worker between a Weibo that obeys what is known of it and a hub without a mind.
//!
//! What has gone wrong with other clients, and the test that shows what happens here; `session` are the
//! tests of `src/session`, with the real waits in simulated time, `e2e` those of `tests/e2e/tests/weibo.rs`,
//! with the real hub and spool:
//!
//! | case | tests |
//! |---|---|
//! | the token endpoint refuses, fails or says something else | [`token`]`::token_401`, `token_403`, `token_429`, `token_500`, `token_timeout`, `token_code_nonzero`, `token_html`, `token_without_an_answer`; `session::refused_credentials`, `failing_token_endpoint`, `failing_refresh` |
//! | the token expires in mid-connection | [`token`]`::expiry_in_mid_connection` |
//! | close 4002, once and for ever | [`token`]`::close_4002_once`, `close_4002_while_a_reply_waits`, `close_4002_for_ever`; `session::close_4002_for_ever` has the requests a minute |
//! | the token endpoint hangs | [`token`]`::hung_token_endpoint`, `token_timeout` |
//! | a drop in the middle of a reply, replies without a connection | [`replies`]`::tcp_drop_in_a_20_chunk_reply`, `replies_while_disconnected` |
//! | a peer that says nothing | [`connection`]`::silent_peer`; `session::silent_peer` |
//! | every form of pong | [`connection`]`::pong_as_text`, `pong_as_json`, `pong_as_frame` |
//! | a picture of 10 MiB | [`inbound`]`::image_frame_of_14_mb` |
//! | ids of all kinds | [`inbound`]`::ids_numeric_absent_and_repeated`; `e2e::ids_after_100_000_others_and_a_restart` |
//! | floods | [`inbound`]`::strangers_flooding`, `ten_thousand_messages_in_a_minute`; `e2e::a_flood_is_taken_in_whole_and_answered_now_and_then` |
//! | frames that nobody knows | [`connection`]`::unknown_frame_types`, `junk_json` |
//! | `kill -9` in mid-reply | [`process`]`::kill9_in_mid_reply`; `e2e::kill9_in_mid_reply` |
//! | five drops in a row | [`process`]`::five_drops_in_a_row`; `session::five_drops_in_a_row` |
//! | a secret that is repeated to us | [`process`]`::no_secret_is_ever_written` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod connection;
mod files;
mod inbound;
mod process;
mod replies;
mod stage;
mod token;
