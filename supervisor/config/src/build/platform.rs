//! The platforms of a project: which worker, which account, and that no two share one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Build;
use crate::nearest;
use crate::plan::{HubOptions, Platform, ProgressStyle, Reply};
use crate::secrets::Secret;
use crate::walk::{Section, Value, is_kind};

/// The platforms whose workers come with this program.
const OURS: [&str; 2] = ["discord", "weibo"];

/// The platforms of cc-connect: a project of its config may well name one.
const PEERS: [&str; 20] = [
    "cloud_web",
    "dingtalk",
    "feishu",
    "googlechat",
    "lark",
    "line",
    "matrix",
    "max",
    "qq",
    "qqbot",
    "slack",
    "telegram",
    "tuitui",
    "webex",
    "wecom",
    "weixin",
    "wps-agentspace",
    "wps-xiezuo",
    "yuanbao",
    "cloud-web",
];

/// Options that the hub alone looks at.
const HUB_ONLY: [&str; 4] = ["name", "language", "reply", "max_reply_messages"];

/// The accounts of all projects so far.
#[derive(Default)]
pub(super) struct Accounts {
    /// Where each (type, instance) was named.
    instances: BTreeMap<(String, String), usize>,
    /// Discord's tokens and where each stands.
    tokens: Vec<(Secret, usize)>,
    /// Weibo's app ids and where each stands.
    app_ids: BTreeMap<String, usize>,
}

impl Build<'_, '_> {
    /// The platforms of a project; none if not one has a worker here, so that the project is left
    /// out. Empty if there are only mistakes.
    pub(super) fn platforms(
        &mut self,
        project: &Section,
        name: &str,
        accounts: &mut Accounts,
    ) -> Option<Vec<Platform>> {
        project.require(
            self.problems,
            "platforms",
            "write [[projects.platforms]] with a type",
        );
        let errors = self.problems.errors();
        let sections = project.tables("platforms");
        let mut platforms = Vec::new();
        for section in sections {
            if let Some(platform) = self.platform(section, name, accounts) {
                platforms.push(platform);
            }
        }
        if platforms.is_empty() && !sections.is_empty() && self.problems.errors() == errors {
            let why = "this project is left out: none of its platforms has a worker here";
            self.problems.warn(project.at, &project.path, why);
            return None;
        }
        Some(platforms)
    }

    fn platform(
        &mut self,
        section: &Section,
        project: &str,
        accounts: &mut Accounts,
    ) -> Option<Platform> {
        let kind = section.required(self.problems, "type", "write \"discord\" or \"weibo\"");
        let kind = kind.trim().to_owned();
        if kind.is_empty() {
            return None;
        }
        let program = self.worker(section, &kind)?;
        section.require(
            self.problems,
            "options",
            "write [projects.platforms.options]",
        );
        let empty = Section {
            at: section.at,
            path: section.path("options"),
            ..Section::default()
        };
        let options = section.table("options").unwrap_or(&empty);
        let instance = self.instance(section, options, &kind, project, accounts);
        match kind.as_str() {
            "discord" => self.discord(options, accounts),
            "weibo" => self.weibo(options, accounts),
            _ => {}
        }
        let (options_map, secrets) = split(options);
        let hub = HubOptions {
            language: self.language(options),
            reply: if options.text("reply") == Some("all") {
                Reply::All
            } else {
                Reply::Final
            },
            max_reply_messages: options.int("max_reply_messages"),
            progress_style: match options.text("progress_style") {
                Some("compact") => ProgressStyle::Compact,
                Some("card") => ProgressStyle::Card,
                _ => ProgressStyle::Legacy,
            },
            share_session_in_channel: options.bool("share_session_in_channel").unwrap_or(false),
            thread_isolation: options.bool("thread_isolation").unwrap_or(false),
            max_chars: options.int("max_chars"),
        };
        Some(Platform {
            kind,
            instance,
            program,
            options: options_map,
            secrets,
            hub,
        })
    }

    /// The worker's program. None leaves the platform out, with a warning or an error.
    fn worker(&mut self, section: &Section, kind: &str) -> Option<PathBuf> {
        let (at, path) = (section.at("type"), section.path("type"));
        if !is_kind(kind) {
            let why = "a platform's type has small letters, digits, - and _ only, and at most 32";
            self.problems.error(at, &path, why);
            return None;
        }
        let program = (self.cx.worker)(kind);
        if program.is_some() {
            return program;
        }
        if OURS.contains(&kind) {
            let why = format!(
                "needs the program `{kind}-worker`, which is in none of {}: this Bulkhead was built or installed without it; put the one of the same release beside `bulkhead` (from the sources: cargo install --path workers/{kind})",
                self.cx.looked_in()
            );
            self.problems.error(at, &path, why);
            // Nothing is started from a plan with errors: the rest can be checked all the same.
            return Some(PathBuf::new());
        }
        if PEERS.contains(&kind) {
            let why = format!(
                "this platform is left out: `{kind}` is not in this version, and there is no plugin `{kind}-worker`"
            );
            self.problems.warn(at, &path, why);
            return None;
        }
        match nearest::nearest(kind, OURS.into_iter()) {
            Some((near, _)) => {
                let why = format!("there is no platform `{kind}`; did you mean \"{near}\"?");
                self.problems.error(at, &path, why);
            }
            None => {
                let why = format!(
                    "this platform is left out: there is no plugin `{kind}-worker` in {}; install it beside `bulkhead`",
                    self.cx.looked_in()
                );
                self.problems.warn(at, &path, why);
            }
        }
        None
    }

    /// The name of the account: written, or `main` for the first of its type, or the project's.
    fn instance(
        &mut self,
        section: &Section,
        options: &Section,
        kind: &str,
        project: &str,
        accounts: &mut Accounts,
    ) -> String {
        let (at_table, written) = match (section.text("name"), options.text("name")) {
            (Some(name), _) => (section, Some(name.trim())),
            (None, name) => (options, name.map(str::trim)),
        };
        let (at, path) = (at_table.at("name"), at_table.path("name"));
        let first = !accounts.instances.keys().any(|(other, _)| other == kind);
        let instance = match written {
            Some(name) if slug(name) == name => name.to_owned(),
            // cc-connect let a Weibo account have any name: it is made to fit instead of refused.
            Some(name)
                if kind == "weibo" && section.text("name").is_none() && !slug(name).is_empty() =>
            {
                let better = slug(name);
                let why = format!(
                    "an account's name has small letters, digits and - only: `{better}` is used"
                );
                self.problems.warn(at, &path, why);
                better
            }
            Some(name) => {
                let better = slug(name);
                let better = if better.is_empty() { "main" } else { &better };
                let why = format!(
                    "an account's name is part of a process's name: small letters, digits and - only, a letter or digit first and last, at most 32; write \"{better}\", say"
                );
                self.problems.error(at, &path, why);
                return better.to_owned();
            }
            None if first => "main".to_owned(),
            None => slug(project),
        };
        let key = (kind.to_owned(), instance.clone());
        if let Some(other) = accounts.instances.get(&key) {
            let line = self.problems.line(*other);
            let why = format!(
                "two {kind} accounts are named `{instance}`, the other one in line {line}: write another name = \"…\" beside type"
            );
            self.problems.error(at, &path, why);
        } else {
            accounts.instances.insert(key, section.at("type"));
        }
        instance
    }

    fn discord(&mut self, options: &Section, accounts: &mut Accounts) {
        let why = "copy it from the Discord developer portal: your application > Bot > Reset Token";
        options.require(self.problems, "token", why);
        let Some(token) = options.secret("token") else {
            return;
        };
        let (at, path) = (options.at("token"), options.path("token"));
        if let Some(text) = token.exposed() {
            if text.starts_with("Bot ") {
                let why = "must be the token alone, without `Bot ` before it";
                self.problems.error(at, &path, why);
            } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
                self.problems.error(
                    at,
                    &path,
                    "has blanks or line breaks in it; copy the token again",
                );
            }
        }
        if let Some((_, other)) = accounts.tokens.iter().find(|(other, _)| other == token) {
            let line = self.problems.line(*other);
            let why = format!(
                "this is the token of line {line} again: two connections of one bot would hear everything twice; make a second application for a second bot, or take one platform out"
            );
            self.problems.error(at, &path, why);
        } else {
            accounts.tokens.push((token.clone(), at));
        }
        let proxy = |name| options.written(name) && !options.written("proxy");
        for name in ["proxy_username", "proxy_password"]
            .into_iter()
            .filter(|name| proxy(name))
        {
            self.problems.warn(
                options.at(name),
                &options.path(name),
                "has no effect without `proxy`",
            );
        }
    }

    fn weibo(&mut self, options: &Section, accounts: &mut Accounts) {
        let why = "write what the Weibo app shows for your account";
        options.require(self.problems, "app_id", why);
        options.require(self.problems, "app_secret", why);
        if let Some(id) = options.text("app_id") {
            if let Some(other) = accounts.app_ids.get(id) {
                let line = self.problems.line(*other);
                let why = format!(
                    "this is the account of line {line} again: two connections of one account would take messages from each other; take one platform out"
                );
                self.problems
                    .error(options.at("app_id"), &options.path("app_id"), why);
            } else {
                accounts.app_ids.insert(id.to_owned(), options.at("app_id"));
            }
        }
        for (name, open, what, safe) in [
            ("token_endpoint", "http://", "the app_secret", "https"),
            ("ws_endpoint", "ws://", "the token and every message", "wss"),
        ] {
            let Some(host) = options.text(name).and_then(|url| url.strip_prefix(open)) else {
                continue;
            };
            if !is_loopback(host) {
                let why = format!("sends {what} unencrypted; write {safe}://");
                self.problems
                    .warn(options.at(name), &options.path(name), why);
            }
        }
    }
}

/// The worker's options and, apart from them, its secrets.
fn split(
    options: &Section,
) -> (
    serde_json::Map<String, serde_json::Value>,
    BTreeMap<String, Secret>,
) {
    let mut plain = serde_json::Map::new();
    let mut secrets = BTreeMap::new();
    for (name, entry) in &options.entries {
        if HUB_ONLY.contains(&name.as_str()) {
            continue;
        }
        let value = match &entry.value {
            Value::Secret(secret) => {
                secrets.insert(name.clone(), secret.clone());
                continue;
            }
            Value::Bool(yes) => (*yes).into(),
            Value::Int(number) => (*number).into(),
            Value::Number(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(list) => list.clone().into(),
            Value::Json(json) => json.clone(),
            _ => continue,
        };
        plain.insert(name.clone(), value);
    }
    (plain, secrets)
}

/// A name made to fit: small letters, digits and `-`, at most 32; empty if nothing is left of it.
fn slug(name: &str) -> String {
    let fit: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let fit: String = fit.trim_matches('-').chars().take(32).collect();
    fit.trim_end_matches('-').to_owned()
}

/// Whether an address without its scheme stays on this machine.
fn is_loopback(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|here| host.starts_with(here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        assert_eq!(slug("My_Backend.v2"), "my-backend-v2");
        assert_eq!(slug("微博"), "");
        assert_eq!(slug(&"a".repeat(40)).len(), 32);
        assert_eq!(slug("-main-"), "main");
    }

    #[test]
    fn loopback() {
        assert!(
            is_loopback("127.0.0.1:80/x") && is_loopback("localhost") && is_loopback("[::1]:1")
        );
        assert!(!is_loopback("open-im.api.weibo.com/ws") && !is_loopback("1270.0.0.1"));
    }
}
