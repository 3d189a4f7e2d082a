//! The fake Discord for use by hand: the library with a command line and the HTTP control surface.

use std::io::Write;
use std::net::SocketAddr;

use clap::Parser;
use fake_discord::{FakeDiscord, Options, control};
use fake_kit::{Server, control::ready_line, control::told_to_stop};

const CONTROL: &str = "\
Control surface (JSON over HTTP on the control address; ids may be strings or numbers):
  GET  /control/health  /control/world
  GET  /control/ledger?since=N&wait_ms=MS   what people saw, by long poll
  GET  /control/wire?since=N&wait_ms=MS     what bots did, by long poll
  GET  /control/transcript?channel=ID
  POST /control/say      {\"user\",\"channel\",\"text\",\"reply_to\"?,\"quiet\"?,\"files\"?:[{\"name\",\"base64\"}]}
  POST /control/dm       {\"user\",\"text\"}
  POST /control/edit     {\"user\",\"message\",\"text\"}
  POST /control/delete   {\"user\",\"message\"}
  POST /control/click    {\"user\",\"message\",\"custom_id\"}
  POST /control/choose   {\"user\",\"message\",\"custom_id\",\"values\":[]}
  POST /control/command  {\"user\",\"channel\",\"name\",\"options\"?:[]}
  POST /control/react    {\"user\",\"message\",\"emoji\",\"on\"?:true}
  POST /control/thread   {\"user\",\"channel\",\"message\"?,\"name\"}
  POST /control/wait_reply {\"channel\",\"after\",\"wait_ms\"?:10000}
  POST /control/user     {\"name\",\"guild\"?}      POST /control/channel {\"guild\",\"name\"}
  POST /control/fault    {\"gateway\":…} {\"now\":…} {\"rest\":…} {\"portal\":…} or \"clear\"
  POST /control/release  {\"hold\"}               POST /control/advance {\"ms\"}
  POST /control/options  {\"rate_limits\":false}  POST /control/outage  {\"part\":\"main\",\"on\":true}
Faults, for example:
  {\"gateway\":{\"what\":\"no_hello\",\"times\":{\"next\":2}}}     {\"gateway\":{\"what\":{\"refuse_resume\":{}},\"times\":\"always\"}}
  {\"now\":{\"reconnect\":{\"mute\":true}}}   {\"now\":{\"close\":{\"code\":4009}}}   {\"now\":{\"cut\":{}}}   {\"now\":\"mute\"}
  {\"rest\":{\"method\":\"POST\",\"route\":\"/channels/{channel.id}/messages\",\"what\":\"lose_response\"}}
  {\"rest\":{\"times\":{\"for_ms\":60000},\"what\":{\"cloudflare\":{}}}}
  {\"portal\":{\"content_intent\":false}}   {\"portal\":\"void_token\"}
";

/// A Discord on loopback: gateway and REST v10 with the documented rules, faults on request.
#[derive(Parser)]
#[command(name = "fake-discord", version, after_help = CONTROL)]
struct Cli {
    /// Where REST and the gateway listen; port 0: the kernel picks.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the control surface listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// No REST rate limits.
    #[arg(long)]
    no_rate_limits: bool,
    /// Heartbeat interval in milliseconds.
    #[arg(long, default_value_t = Options::default().heartbeat_ms)]
    heartbeat_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let options = Options {
        rate_limits: !cli.no_rate_limits,
        heartbeat_ms: cli.heartbeat_ms,
        ..Options::default()
    };
    let fake = FakeDiscord::start_at(cli.listen, options).await?;
    let surface = Server::start(cli.control, control::router(fake.clone())).await?;
    let scene = fake.scene();
    let line = ready_line(
        "fake-discord",
        &[
            ("api", &fake.api_base()),
            ("gateway", &fake.gateway_url()),
            ("control", &surface.url()),
            ("token", &fake.token()),
            ("bot", &scene.bot.to_string()),
            ("guild", &scene.guild.to_string()),
            ("channel", &scene.general.to_string()),
            ("owner", &scene.owner.to_string()),
        ],
    );
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    told_to_stop().await?;
    Ok(())
}
