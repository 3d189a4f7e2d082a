//! The fake model API as a program: prints its address and serves until SIGTERM or SIGINT.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use fake_kit::control::{ready_line, told_to_stop};
use fake_model::FakeModel;

/// A model API on loopback that the real Claude Code talks to.
///
/// Use it: ANTHROPIC_BASE_URL=the printed address ANTHROPIC_API_KEY=anything claude -p "hello".
/// What a turn does is told by lines in its prompt: #say TEXT, #chars N, #tool NAME ARG, #ask Q | A | B, #plan TEXT,
/// #hold POINT, #error STATUS [TIMES], #drop, #pace MS.
/// With FAKE_MODEL_KEY set in the environment, every other key is refused; without it any key is good.
/// Control: GET /control/ledger?since=N&wait_ms=MS, POST /control/next {"script": "…"}, POST /control/release {"point": "…"}.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Options {
    /// Where to listen; port 0 lets the kernel pick.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let model = FakeModel::start_at(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is the port taken?", options.listen))?;
    if let Ok(key) = std::env::var("FAKE_MODEL_KEY") {
        model.expect_key(&key);
    }
    // The signals are watched before the line is printed: whoever reads it may stop us at once.
    tokio::select! {
        biased;
        told = told_to_stop() => told.context("cannot watch for SIGTERM and SIGINT"),
        never = say_ready(&model) => match never {},
    }
}

/// Prints the one line that says where it is, then waits for ever.
#[allow(clippy::print_stdout)]
async fn say_ready(model: &FakeModel) -> std::convert::Infallible {
    println!("{}", ready_line("fake-model", &[("url", &model.url())]));
    std::future::pending().await
}
