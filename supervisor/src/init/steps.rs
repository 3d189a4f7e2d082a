//! The questions, each followed by a try of the answer.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use supervisor_config::{SecretMode, closed_to_agents};
use worker_kit::Finding;
use worker_kit::doctor::{Manner, Verdict};

use super::ask::Ask;
use super::written::{Answers, Discord, Weibo};
use crate::Where;
use crate::doctor::shown;
use crate::examine::{Examined, Go, Subject, examine};
use crate::places::{self, Places};
use crate::tree::RUNNERS;

/// Other addresses than the usual ones.
pub(crate) struct Endpoints {
    pub(crate) discord_api_base: Option<String>,
    pub(crate) weibo_token_endpoint: Option<String>,
    pub(crate) weibo_ws_endpoint: Option<String>,
}

/// Which platforms: Discord, Weibo.
pub(crate) fn platforms(ask: &mut Ask) -> Result<(bool, bool)> {
    loop {
        let question = "Where is the agent to be reached: discord, weibo or both";
        match ask.line(question, "discord")?.to_ascii_lowercase().as_str() {
            "discord" | "d" | "1" => return Ok((true, false)),
            "weibo" | "w" | "2" => return Ok((false, true)),
            "both" | "b" | "3" => return Ok((true, true)),
            _ => ask.say("Please answer discord, weibo or both."),
        }
    }
}

/// The bot's token.
pub(crate) fn discord(ask: &mut Ask, endpoints: &Endpoints) -> Result<Discord> {
    ask.say(
        "\nDiscord. A bot of your own: https://discord.com/developers/applications, New Application, \
         then on its page Bot: Reset Token, Copy. Still there, switch on Message Content Intent and \
         press Save Changes.",
    );
    let mut bot = Discord {
        token: ask.secret("The bot's token")?,
        proxy: None,
        api_base: endpoints.discord_api_base.clone(),
    };
    let mut found = loop {
        if bot.token.expose_secret().is_empty() {
            bot.token = ask.secret("The bot's token")?;
            continue;
        }
        ask.say("Asking Discord …");
        let found = try_discord(&bot)?;
        if !found.fact("bot_name").is_empty() {
            break found;
        }
        tell(ask, &found, |_| true);
        let way = failed(&found, "reach").is_some();
        let way = way || bot.proxy.is_some() && failed(&found, "options").is_some();
        if way && another_way(ask, &mut bot.proxy)? {
            continue;
        }
        bot.token = again(ask, &found, bot.token, "The bot's token")?;
    };
    ask.say(&format!(
        "It is the bot {} (application {}), owned by {}. Without an allow list only its owner may talk \
         to the agent.",
        found.fact("bot_name"),
        found.fact("application_id"),
        found.fact("owner")
    ));
    while let Some(finding) = failed(&found, "intent") {
        ask.say(shown(finding).trim_end());
        let question = "Press Enter once it is on, or type skip to go on without it";
        if ask.line(question, "")?.eq_ignore_ascii_case("skip") {
            break;
        }
        found = try_discord(&bot)?;
    }
    if failed(&found, "intent").is_none() {
        ask.say("Message Content Intent is on.");
    }
    // Where the bot is not yet is no mistake of anybody who is only about to invite it.
    tell(ask, &found, |check| {
        !["intent", "servers", "permissions"].contains(&check)
    });
    ask.say(&format!(
        "To have it in a server, open this link in a browser, choose the server, Authorize:\n\n    {}\n",
        found.fact("invite_url")
    ));
    match found.fact("servers") {
        "" | "0" => ask.say("It is in no server yet: do that now, or whenever you like."),
        servers => ask.say(&format!("Servers that it is in already: {servers}.")),
    }
    Ok(bot)
}

fn try_discord(bot: &Discord) -> Result<Examined> {
    let mut options = json!({"token": bot.token.expose_secret()});
    let proxy = bot.proxy.as_ref().map(|proxy| proxy.expose_secret());
    give(&mut options, "proxy", proxy);
    give(&mut options, "api_base", bot.api_base.as_deref());
    look("discord-worker", &options)
}

/// Asks for a proxy where Discord was not reached; whether there is now another way to try.
fn another_way(ask: &mut Ask, proxy: &mut Option<SecretString>) -> Result<bool> {
    let question = match proxy {
        None => {
            "A proxy on the way to Discord (http://HOST:PORT or socks5://HOST:PORT), or Enter for none"
        }
        Some(_) => "Another proxy, none, or Enter to keep it",
    };
    // It may have a password in it.
    let typed = ask.secret(question)?;
    match typed.expose_secret() {
        "" => return Ok(false),
        "none" => *proxy = None,
        _ => *proxy = Some(typed),
    }
    Ok(true)
}

/// The account's id and secret.
pub(crate) fn weibo(ask: &mut Ask, endpoints: &Endpoints) -> Result<Weibo> {
    ask.say(
        "\nWeibo. In the Weibo app write 连接龙虾 to @微博龙虾助手; it answers with an AppId and an AppSecret.",
    );
    loop {
        let app_id = ask.line("The AppId", "")?;
        let mut secret = ask.secret("The AppSecret")?;
        if app_id.is_empty() || secret.expose_secret().is_empty() {
            continue;
        }
        loop {
            let account = Weibo {
                app_id: app_id.clone(),
                app_secret: secret,
                token_endpoint: endpoints.weibo_token_endpoint.clone(),
                ws_endpoint: endpoints.weibo_ws_endpoint.clone(),
            };
            ask.say("Asking Weibo …");
            let found = try_weibo(&account)?;
            tell(ask, &found, |_| true);
            if !has_failed(&found) {
                let uid = match found.fact("uid") {
                    "" => "unknown".to_owned(),
                    uid => uid.to_owned(),
                };
                ask.say(&format!(
                    "The account is that of uid {uid}. Without an allow list only they may talk to the \
                     agent."
                ));
                return Ok(account);
            }
            if failed(&found, "token").is_some() {
                break;
            }
            // Trouble on the way: the answers may be good.
            secret = again(ask, &found, account.app_secret, "The AppSecret")?;
        }
    }
}

fn try_weibo(account: &Weibo) -> Result<Examined> {
    let secret = account.app_secret.expose_secret();
    let mut options = json!({"app_id": account.app_id, "app_secret": secret});
    give(
        &mut options,
        "token_endpoint",
        account.token_endpoint.as_deref(),
    );
    give(&mut options, "ws_endpoint", account.ws_endpoint.as_deref());
    look("weibo-worker", &options)
}

/// The directory that the agent works in, and what it is called.
pub(crate) fn project(ask: &mut Ask, answers: &mut Answers, config: &Path) -> Result<()> {
    let surroundings = places::surroundings(SecretMode::Placeholders, &Where::default());
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    ask.say("");
    let dir = loop {
        let answer = ask.line(
            "The directory that the agent works in",
            &here.display().to_string(),
        )?;
        let dir = whole(&answer);
        if let Some(why) = closed_to_agents(&dir, config, &surroundings) {
            ask.say(&why);
            continue;
        }
        if dir.is_dir() {
            break dir;
        }
        if std::fs::symlink_metadata(&dir).is_ok() {
            ask.say(&format!("{} is no directory.", dir.display()));
            continue;
        }
        if ask.yes(&format!("There is no {}. Make it?", dir.display()), true)? {
            match std::fs::create_dir_all(&dir) {
                Ok(()) => break dir,
                Err(error) => ask.say(&format!("It cannot be made: {error}")),
            }
        }
    };
    let usual = name_of(&dir);
    answers.work_dir = dir;
    answers.project = loop {
        let name = ask.line("A name for the project", &usual)?;
        if is_name(&name) {
            break name;
        }
        ask.say("Letters a-z, digits, - _ and . only, a letter or digit first, at most 64.");
    };
    Ok(())
}

/// Claude Code and its login.
pub(crate) fn agent(ask: &mut Ask, answers: &mut Answers) -> Result<()> {
    ask.say("\nLooking for claude, and for its login by a turn of one line …");
    loop {
        let found = try_agent(answers)?;
        tell(ask, &found, |_| true);
        let program = failed(&found, "cli").is_some();
        if !has_failed(&found) {
            let (program, version) = (found.fact("program"), found.fact("version"));
            ask.say(&format!("{program}, version {version}, answers."));
            return Ok(());
        }
        let question = if program {
            "Press Enter to look again, type the whole path of claude, or skip"
        } else {
            "Press Enter to try again, or type skip"
        };
        match ask.line(question, "")?.as_str() {
            "" => {}
            "skip" => return Ok(()),
            path if program => answers.cmd = Some(whole(path).display().to_string()),
            _ => ask.say("Please press Enter, or type skip."),
        }
    }
}

fn try_agent(answers: &Answers) -> Result<Examined> {
    let state = Places::new(None, None).state_dir;
    let mut options = json!({
        "kind": "claudecode",
        "work_dir": answers.work_dir,
        "state_dir": state.join(RUNNERS).join(&answers.project),
    });
    give(&mut options, "cmd", answers.cmd.as_deref());
    look("agent-runner", &options)
}

/// Has one of our programs try the answers.
fn look(program: &str, options: &Value) -> Result<Examined> {
    let program = places::program(program).with_context(|| {
        format!("{program} is not installed: it belongs beside bulkhead, from the same release")
    })?;
    let subject = Subject {
        program,
        options: options.to_string().into(),
        manner: Manner::default(),
    };
    Ok(examine(&subject, |_| Go::On))
}

fn give(options: &mut Value, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        options[key] = value.into();
    }
}

/// Shows what is not well, of the checks that `which` wants.
fn tell(ask: &Ask, found: &Examined, which: impl Fn(&str) -> bool) {
    let bad = found.findings.iter().filter(|it| it.verdict != Verdict::Ok);
    for finding in bad.filter(|finding| which(&finding.check)) {
        ask.say(shown(finding).trim_end());
    }
}

fn failed<'a>(found: &'a Examined, check: &str) -> Option<&'a Finding> {
    let mut failed = found
        .findings
        .iter()
        .filter(|it| it.verdict == Verdict::Fail);
    failed.find(|finding| finding.check == check)
}

fn has_failed(found: &Examined) -> bool {
    found.findings.iter().any(|it| it.verdict == Verdict::Fail)
}

/// Another secret, or the same where that may have been good and the trouble was on the way.
fn again(
    ask: &mut Ask,
    found: &Examined,
    secret: SecretString,
    question: &str,
) -> Result<SecretString> {
    if failed(found, "token").is_some() || failed(found, "options").is_some() {
        return ask.secret(question);
    }
    let typed = ask.secret(&format!("{question}, or Enter to try the same again"))?;
    Ok(if typed.expose_secret().is_empty() {
        secret
    } else {
        typed
    })
}

/// A path from / on; `~` is the home directory.
fn whole(path: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    let path = match path.strip_prefix("~/") {
        Some(rest) => home().map_or_else(|| PathBuf::from(path), |home| home.join(rest)),
        None if path == "~" => home().unwrap_or_else(|| PathBuf::from(path)),
        None => PathBuf::from(path),
    };
    std::path::absolute(&path).unwrap_or(path)
}

/// A project's name, after its directory.
fn name_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .take(64)
        .collect();
    let name = name.trim_matches(['-', '.', '_']);
    if name.is_empty() { "my-project" } else { name }.to_owned()
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_after_its_directory() {
        for (dir, name) in [
            ("/home/me/My Project", "My-Project"),
            ("/srv/.hidden", "hidden"),
            ("/", "my-project"),
            ("/微博", "my-project"),
        ] {
            assert_eq!(name_of(Path::new(dir)), name);
            assert!(is_name(name));
        }
        assert!(!is_name("") && !is_name("-a") && !is_name("a b") && !is_name(&"a".repeat(65)));
    }

    #[test]
    fn a_path_starts_at_the_root() {
        assert_eq!(whole("/a/b"), Path::new("/a/b"));
        assert!(whole("a").is_absolute() && whole("~/a").ends_with("a"));
    }
}
