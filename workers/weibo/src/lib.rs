//! One Weibo account: the assistant's direct messages to the hub, and replies back.
//!
//! Promises:
//! - **It stays.** Whatever the token endpoint or the WebSocket do, it asks again, ever more slowly
//!   but for ever, and the status says in words how things stand.
//! - **A reply is counted as delivered only after a sign of life that came after it** on the same
//!   connection. What has none when the connection drops is sent again under a new message id: it
//!   may stand twice, nothing else may, and nothing is missing.
//! - **Strangers cost nothing**: access is checked first, by the allow list or, without one, by the
//!   owner that the token endpoint names.
//! - **Secrets stay inside**: neither the secret nor the token is in a log, a status or an error.
//!
//! Bounds: a message that was read from Weibo and not yet accepted by the hub is lost if this
//! process is killed, since Weibo is not known to send it again.
//!
//! The wire format follows what clients of the Open IM service are seen to send and to accept; there
//! is no official specification.

mod access;
mod connect;
mod dedup;
mod doctor;
mod frame;
mod heard;
mod intake;
mod message;
mod options;
mod outbox;
mod refusal;
mod send_file;
mod session;
mod token;
mod veil;
mod worker;

use ipc_schema::Capabilities;
use serde_json::Value;
use worker_kit::{Context, Doctor, OptionProblem, Platform, Stop};

pub use options::Options;

/// The platform.
#[derive(Debug)]
pub struct Weibo;

/// A whole reply goes out at once, since nothing acknowledges its chunks one by one.
const WINDOW: u32 = 64;
const TEXT_LIMIT: u32 = 2000;

impl Platform for Weibo {
    const KIND: &'static str = "weibo";
    const PROGRAM: &'static str = "weibo-worker";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;

    fn check(options: &Value) -> Vec<OptionProblem> {
        options::check(options)
    }

    fn capabilities(options: Option<&Options>) -> Capabilities {
        Capabilities {
            text_limit: options.map_or(TEXT_LIMIT, |options| options.max_chars),
            dialect: "plain".into(),
            joins_chunks: true,
            window: WINDOW,
            files: true,
            file_limit: send_file::LARGEST_FILE,
            language: "zh".into(),
            ..Capabilities::default()
        }
    }

    async fn doctor(options: Options, doctor: &mut Doctor) {
        doctor::examine(options, doctor).await;
    }

    async fn run(options: Options, context: Context) -> Result<(), Stop> {
        worker::run(options, context).await
    }
}
