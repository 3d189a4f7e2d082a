//! The fake Weibo by hand: prints one line with its addresses, then serves until it is told to stop.

use std::net::SocketAddr;

use clap::Parser;
use fake_kit::control;
use fake_weibo::{Account, FakeWeibo};

/// A Weibo that obeys what is known of it.
///
/// Control surface: POST /control/say {"uid","text"}, /control/send {"payload"}, /control/raw
/// {"text"}, /control/faults {…}, /control/cut, /control/close {"code","reason"}; GET
/// /control/faults, /control/bubbles?uid=, /control/shown?since=&wait_ms=,
/// /control/protocol?since=&wait_ms=, /control/health.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 lets the kernel pick
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The account's id
    #[arg(long, default_value_t = Account::default().app_id)]
    app_id: String,
    /// The account's secret; nothing real
    #[arg(long, default_value_t = Account::default().app_secret)]
    app_secret: String,
    /// The account's owner
    #[arg(long, default_value_t = Account::default().owner)]
    owner: u64,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the line is what callers wait for")]
async fn main() -> anyhow::Result<()> {
    let Args {
        listen,
        app_id,
        app_secret,
        owner,
    } = Args::parse();
    let weibo = FakeWeibo::start_on(
        listen,
        Account {
            app_id,
            app_secret,
            owner,
        },
    )
    .await?;
    let facts = [
        ("token_endpoint", weibo.token_endpoint()),
        ("ws_endpoint", weibo.ws_endpoint()),
        ("control", format!("http://{}/control", weibo.addr())),
        ("app_id", weibo.account().app_id.clone()),
        ("owner", weibo.account().owner.to_string()),
    ];
    let facts: Vec<_> = facts
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    println!("{}", control::ready_line("fake-weibo", &facts));
    control::told_to_stop().await?;
    Ok(())
}
