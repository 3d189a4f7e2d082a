//! The command line of every peer.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::link::LinkAddress;

/// One account, bot or project of Bulkhead, in a process of its own.
///
/// The monitor starts it with its options on an inherited descriptor. By hand: write them as JSON
/// {"instance", "generation", "link_key", "options"} to a file that only you can read and name it
/// with --config-file.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Which of its kind, as configured
    #[arg(required_unless_present_any = ["describe", "check", "doctor"])]
    pub(crate) instance: Option<String>,
    /// Where the hub is: unix:PATH
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["describe", "check", "doctor"])]
    pub(crate) link: Option<LinkAddress>,
    /// Read the configuration from this file instead of the inherited descriptor
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// Print what this program is and can do, as JSON
    #[arg(long, conflicts_with = "check")]
    pub(crate) describe: bool,
    /// Read options as JSON on stdin and print every problem as KEY: WHAT
    #[arg(long)]
    pub(crate) check: bool,
    /// Read options as JSON on stdin, examine for real what they depend on, and print each finding
    /// as a line of JSON
    #[arg(long, conflicts_with_all = ["describe", "check"])]
    pub(crate) doctor: bool,
    /// With --doctor: ask nothing outside this machine, and nothing that costs money
    #[arg(long, requires = "doctor")]
    pub(crate) offline: bool,
    /// With --doctor: a process of the same account is connected now, so make no connection that
    /// could take messages from it
    #[arg(long, requires = "doctor")]
    pub(crate) running: bool,
}

impl Args {
    pub(crate) fn parse_for(
        program: &'static str,
        version: &'static str,
    ) -> Result<Args, clap::Error> {
        let command = Args::command()
            .name(program)
            .bin_name(program)
            .version(version);
        Args::from_arg_matches(&command.try_get_matches()?)
    }
}
