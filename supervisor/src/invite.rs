//! `bulkhead invite`: the link with which somebody adds a bot to a server.
//!
//! The link asks for exactly the permissions that are used. Discord itself says for which application
//! it is: its worker asks.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use supervisor_config::SecretMode;
use worker_kit::doctor::{Line, Manner, Verdict};

use crate::Where;
use crate::check::{self, BAD_CONFIG};
use crate::doctor::{shown, worker};
use crate::examine::{Go, examine};
use crate::places;
use crate::status::print;

/// Prints a link for each Discord bot; 1 if there is none for one of them.
pub(crate) fn invite(config: Option<PathBuf>) -> Result<ExitCode> {
    let config = places::config(config);
    let checked = check::read(&config, SecretMode::Resolve, &Where::default());
    let Some(plan) = checked.plan else {
        for problem in &checked.problems {
            eprintln!("{problem}");
        }
        return Ok(ExitCode::from(BAD_CONFIG));
    };
    let bots = plan.projects.iter().flat_map(|project| &project.platforms);
    let bots: Vec<_> = bots.filter(|bot| bot.kind == "discord").collect();
    if bots.is_empty() {
        bail!("{} names no Discord bot", config.display());
    }
    let mut every = true;
    for bot in bots {
        let name = bot.process_name();
        let subject = match worker(bot, Manner::default()) {
            Ok(subject) => subject,
            Err(finding) => bail!("{name}: {}", finding.says),
        };
        let found = examine(&subject, |line| match line {
            Line::Fact(fact) if fact.fact == "invite_url" => Go::Enough,
            _ => Go::On,
        });
        match found.fact("invite_url") {
            "" => {
                every = false;
                eprintln!("{name}: there is no link, because:");
                let failed = found.findings.iter();
                for finding in failed.filter(|finding| finding.verdict != Verdict::Ok) {
                    eprint!("{}", shown(finding));
                }
            }
            link => print(&format!("{name}, {}:\n{link}\n", found.fact("bot_name"))),
        }
    }
    if every {
        print(
            "\nOpen it in a browser, choose a server in which you have Manage Server, Authorize.\n",
        );
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
