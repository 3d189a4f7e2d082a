//! The command `bulkhead`: the monitor's role, the hub's role, and what an operator types.
//!
//! It composes the other crates and decides nothing itself: [`tree`] turns a plan into processes,
//! the monitor runs them, and the rest asks a running tree over its control sockets.

mod check;
mod doctor;
mod examine;
mod init;
mod invite;
mod places;
mod queue;
mod run;
mod status;
mod tree;
mod volume;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use places::Places;

/// Talk to your coding agents from Discord and Weibo.
#[derive(Parser)]
#[command(name = "bulkhead", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the tree lives.
#[derive(Args, Clone, Default)]
struct Where {
    /// The directory of a running tree's sockets.
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
    /// The directory of what must survive.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Set up a first project by questions, each answer tried at once.
    Init(init::InitArgs),
    /// Print the link with which a Discord bot is added to a server.
    Invite {
        /// The configuration.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Examine for real everything that has to be right, and say what to do about what is not.
    Doctor {
        /// The configuration.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Ask nothing outside this machine, and nothing that costs money.
        #[arg(long)]
        offline: bool,
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Start everything and keep it running until SIGTERM or `bulkhead stop`.
    Run {
        /// The configuration.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        at: Where,
    },
    /// Check a configuration: every problem at once, with its line.
    Check {
        /// The configuration.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// For another machine: do not read secrets (`${VAR}` and secret files may be absent here),
        /// and do not look at this kernel.
        #[arg(long)]
        without_secrets: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Show each process of the running tree and what its platform says.
    Status {
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Start one process anew, also one that is held.
    Restart {
        /// As `bulkhead status` shows it, for example discord-main.
        name: String,
        #[command(flatten)]
        at: Where,
    },
    /// Stop the running tree in order.
    Stop {
        #[command(flatten)]
        at: Where,
    },
    /// Read the configuration again and restart only what changed.
    Reload {
        #[command(flatten)]
        at: Where,
    },
    /// What waits to be posted, and what could not be.
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// The sessions last used.
    Sessions {
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
    /// The volumes of agents: their configuration, memory and history.
    Volume {
        #[command(subcommand)]
        command: volume::VolumeCommand,
    },
    /// The directories of sessions that have one of their own.
    Workspace {
        #[command(subcommand)]
        command: WorkspaceCommand,
    },
    /// The hub's role; the monitor starts it.
    #[command(hide = true)]
    Hub,
    /// Prepares a process and becomes its program; the monitor starts it.
    #[command(hide = true, disable_help_flag = true)]
    Launch {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Subcommand)]
enum WorkspaceCommand {
    /// List them, with what is kept for the work in it.
    List {
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
}

#[derive(Subcommand)]
enum QueueCommand {
    /// List replies that could not be posted.
    List {
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Try one of them again.
    Retry {
        /// Its id, as `bulkhead queue list` shows it.
        reply: String,
        #[command(flatten)]
        at: Where,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Init(args) => init::init(args),
        Command::Invite { config } => invite::invite(config),
        Command::Doctor {
            config,
            offline,
            json,
            at,
        } => doctor::doctor(config, offline, json, &at),
        Command::Run { config, at } => run::run(config, &at),
        Command::Check {
            config,
            without_secrets,
            at,
        } => check::check(config, without_secrets, &at),
        Command::Status { json, at } => status::status(&places(&at), json),
        Command::Restart { name, at } => {
            status::order(&places(&at), &monitor::control::Request::Restart(name))
        }
        Command::Stop { at } => status::order(&places(&at), &monitor::control::Request::Stop),
        Command::Reload { at } => status::order(&places(&at), &monitor::control::Request::Reload),
        Command::Queue {
            command: QueueCommand::List { json, at },
        } => queue::list(&places(&at), json),
        Command::Queue {
            command: QueueCommand::Retry { reply, at },
        } => queue::retry(&places(&at), reply),
        Command::Workspace {
            command: WorkspaceCommand::List { json, at },
        } => queue::workspaces(&places(&at), json),
        Command::Sessions { json, at } => queue::sessions(&places(&at), json),
        Command::Volume { command } => volume::volume(command),
        // Its errors are in the log already.
        Command::Hub => {
            Ok(hub::run::run().map_or_else(|e| ExitCode::from(e.code()), |()| ExitCode::SUCCESS))
        }
        Command::Launch { args } => monitor::launch::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bulkhead: {error:#}");
        ExitCode::FAILURE
    })
}

fn places(at: &Where) -> Places {
    Places::new(at.state_dir.clone(), at.runtime_dir.clone())
}
