//! `bulkhead init`: from nothing to a configuration that works, by questions.
//!
//! Promises: every answer is tried for real before it is taken, and what is wrong is told with where
//! to click or what to type; nothing is written before the last answer, and no file replaced that
//! nobody said to replace. Secrets go to the program that tries them and into the file, nowhere else.

mod ask;
mod steps;
mod written;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::places;
use ask::Ask;
use steps::Endpoints;
use written::{Answers, Told};

/// What can be said beforehand.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// Where to write the configuration.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace a configuration that is there, without asking.
    #[arg(long)]
    force: bool,
    /// Another address of Discord's, for tests.
    #[arg(long, value_name = "URL", hide = true)]
    discord_api_base: Option<String>,
    /// Another address of Weibo's tokens, for tests.
    #[arg(long, value_name = "URL", hide = true)]
    weibo_token_endpoint: Option<String>,
    /// Another address of Weibo's WebSocket, for tests.
    #[arg(long, value_name = "URL", hide = true)]
    weibo_ws_endpoint: Option<String>,
}

/// Asks, tries, writes; 1 if nothing was written.
pub(crate) fn init(args: InitArgs) -> Result<ExitCode> {
    let usual = places::config(None);
    let config = args.config.unwrap_or_else(|| usual.clone());
    let config = std::path::absolute(&config).unwrap_or(config);
    let endpoints = Endpoints {
        discord_api_base: args.discord_api_base,
        weibo_token_endpoint: args.weibo_token_endpoint,
        weibo_ws_endpoint: args.weibo_ws_endpoint,
    };
    let mut ask = Ask::new();
    let there = std::fs::symlink_metadata(&config).is_ok();
    let told = if !there {
        Told::Keep
    } else if args.force
        || ask.yes(
            &format!("{} is there. Replace it?", config.display()),
            false,
        )?
    {
        Told::Replace
    } else {
        let shown = config.display();
        ask.say(&format!(
            "Nothing was changed. To check it: bulkhead doctor --config {}\n\
             To write another: bulkhead init --config FILE",
            word(&shown.to_string())
        ));
        return Ok(ExitCode::FAILURE);
    };

    ask.say(&format!(
        "This writes {} once every answer has been tried; Ctrl-C gives up before.\n",
        config.display()
    ));
    let (discord, weibo) = steps::platforms(&mut ask)?;
    let mut answers = Answers::default();
    if discord {
        answers.discord = Some(steps::discord(&mut ask, &endpoints)?);
    }
    if weibo {
        answers.weibo = Some(steps::weibo(&mut ask, &endpoints)?);
    }
    steps::project(&mut ask, &mut answers, &config)?;
    steps::agent(&mut ask, &mut answers)?;

    let text = written::text(&answers)?;
    let warnings = written::proven(&text, &config, &answers)?;
    written::write(&config, &text, told)?;
    ask.say(&format!(
        "\n{} is written; only you can read it.",
        config.display()
    ));
    for warning in warnings {
        ask.say(&format!("To look at: {warning}"));
    }
    let named = (config != usual).then_some(config.as_path());
    ask.say(&format!(
        "Everything once more: {}\nStart it with:\n\n    {}\n",
        command("doctor", named),
        command("run", named)
    ));
    Ok(ExitCode::SUCCESS)
}

/// The exact command to type here.
fn command(verb: &str, config: Option<&Path>) -> String {
    let myself = std::env::current_exe().unwrap_or_else(|_| "bulkhead".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .map(|dir| dir.join("bulkhead"))
        .find(|program| program.is_file());
    let same = in_path.is_some_and(|found| found.canonicalize().ok() == myself.canonicalize().ok());
    let program = if same {
        "bulkhead".to_owned()
    } else {
        word(&myself.display().to_string())
    };
    match config {
        Some(config) => format!(
            "{program} {verb} --config {}",
            word(&config.display().to_string())
        ),
        None => format!("{program} {verb}"),
    }
}

/// A word as a shell takes it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        assert_eq!(word("/a/b-c.toml"), "/a/b-c.toml");
        assert_eq!(word("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(word(""), "''");
        let told = command("run", Some(Path::new("/x y/c.toml")));
        assert!(told.ends_with(" run --config '/x y/c.toml'"), "{told}");
        assert!(command("run", None).ends_with(" run"));
    }
}
