//! The product and its fakes, for a person to try.
//!
//! Builds every program, starts a Discord, a Weibo and the real process tree between them in a
//! temporary directory, and then either lets a person talk to it and kill its processes
//! ([`person`]), or plays a conversation and counts what became of it ([`script`]).
//!
//! Promises: nothing shown is canned. Answers come from the fakes' ledgers of what people saw, the
//! table from `bulkhead status`, the rest from the log.
//! Does not: touch a network, or anything outside its directory; `--agent claude` does both, as the
//! person's own Claude Code does.

#![allow(clippy::print_stdout, reason = "a command line's output")]

mod agent;
mod news;
mod person;
mod scene;
mod script;
mod tally;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::{Agent, Who};
use crate::scene::Scene;

/// Try Bulkhead: talk to an agent as a Discord or a Weibo user, kill any process, and see that
/// nothing is lost or said twice.
///
/// Everything runs on this machine: a Discord and a Weibo of the demo's own, the real processes
/// between them, and an agent that does what it is told.
#[derive(Debug, Parser)]
#[command(name = "demo", bin_name = "cargo demo")]
struct Args {
    /// Play a conversation, kill every process in the middle of it, and count: exits with 1 unless
    /// each message was answered once. The default where stdin is no terminal
    #[arg(long)]
    script: bool,

    /// Who answers: an agent of the demo's own, or your Claude Code (`claude` on PATH, or what
    /// BULKHEAD_CLAUDE names), with your login and at your expense
    #[arg(long, value_enum, default_value_t = Who::Fake)]
    agent: Who,

    /// Self-test of the count: the fake Discord forgets nonces and sessions, so that the message
    /// whose confirmation is lost stands twice. The script must then say so and exit with 1
    #[arg(long, requires = "script")]
    break_dedup: bool,
}

fn main() -> ExitCode {
    // `cargo demo -- --script` is as good as `cargo demo --script`.
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "--") {
        words.remove(1);
    }
    match run(&Args::parse_from(words)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it should.
fn run(args: &Args) -> Result<bool> {
    let agent = Agent::find(args.agent)?;
    println!(
        "Building every program, then starting them; the first time this takes a few minutes."
    );
    let programs = harness::programs();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let well = runtime.block_on(show(args, &agent))?;
    println!("{}", next(programs));
    Ok(well)
}

async fn show(args: &Args, agent: &Agent) -> Result<bool> {
    let mut scene = Scene::start(agent).await?;
    let script = args.script || !std::io::stdin().is_terminal();
    let show = async {
        if script {
            return script::play(&scene, args.break_dedup).await;
        }
        person::talk(&scene).await.map(|()| true)
    };
    let played = tokio::select! {
        played = show => played,
        // A script that was cut off has shown nothing.
        told = told_to_end() => told.map(|()| !script),
    };
    if played.is_err() {
        eprintln!("The last lines of the log:\n{}", scene.log(30));
    }
    println!("\nStopping.");
    let code = scene.tree.stop().await?;
    println!(
        "Stopped in order{}.",
        match code {
            Some(0) => String::new(),
            _ => format!(", with exit code {code:?}"),
        }
    );
    played
}

/// Waits until somebody wants this to end: the tree must not be left behind.
async fn told_to_end() -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = hangup.recv() => {}
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// The next real commands.
fn next(programs: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let bulkhead = programs.join("bulkhead");
    let bulkhead = bulkhead.strip_prefix(&here).unwrap_or(&bulkhead).display();
    format!(
        "\nNext, with a bot of your own (docs/discord.md, docs/weibo.md):\n\n  \
         cp docs/config.example.toml config.toml && chmod 600 config.toml\n  \
         $EDITOR config.toml      # the bot's token and your project's directory\n  \
         {bulkhead} check --config config.toml\n  \
         {bulkhead} run --config config.toml"
    )
}
