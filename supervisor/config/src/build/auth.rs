//! How an agent gets at its model: its own login, or a key that the runner keeps.

use super::Build;
use crate::plan::Auth;
use crate::secrets::Secret;
use crate::walk::Section;

/// Variables that hold a key of the model's API.
const KEYS: [&str; 2] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];
/// Variables that lead an agent elsewhere than to its runner.
const LEAD_AWAY: [&str; 5] = [
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
];

impl Build<'_, '_> {
    /// None if there is no key where one was asked for, which has been reported then.
    pub(super) fn auth(&mut self, options: &Section) -> Option<Auth> {
        let has_key = options.written("api_key");
        let auth = match options.text("auth") {
            Some("key") => self.key(options),
            Some("login") if has_key => {
                let why = "has no place beside auth = \"login\": write auth = \"key\", or take the key out";
                self.problems
                    .error(options.at("api_key"), &options.path("api_key"), why);
                None
            }
            // What it said was wrong, and has been reported.
            None if options.written("auth") => None,
            None if has_key => self.key(options),
            _ => Some(Auth::Login {
                token: options.secret("oauth_token").cloned(),
            }),
        };
        match &auth {
            Some(Auth::Login { .. }) => self.around_a_login(options),
            Some(Auth::Key { .. }) => self.around_a_key(options),
            None => {}
        }
        auth
    }

    fn key(&mut self, options: &Section) -> Option<Auth> {
        let why = "write api_key = \"${ANTHROPIC_API_KEY}\", or auth = \"login\" for the agent's own login";
        options.require(self.problems, "api_key", why);
        let open = || {
            options
                .text("proxy")
                .map(|url| Secret::Resolved(url.into()))
        };
        Some(Auth::Key {
            key: options.secret("api_key").cloned()?,
            base_url: options.text("base_url").map(str::to_owned),
            proxy: options.secret("proxy").cloned().or_else(open),
        })
    }

    fn around_a_login(&mut self, options: &Section) {
        for (name, instead) in [("base_url", "ANTHROPIC_BASE_URL"), ("proxy", "HTTPS_PROXY")] {
            if options.written(name) {
                let why = format!(
                    "has no effect without auth = \"key\": an agent with a login of its own finds {instead} in env"
                );
                self.problems
                    .warn(options.at(name), &options.path(name), why);
            }
        }
        let env = options.env("env");
        for name in KEYS.into_iter().filter(|name| env.contains_key(*name)) {
            let why = format!(
                "the agent, and whatever it runs, can read this key: write auth = \"key\" and api_key in place of {name}, and it stays with the runner"
            );
            self.problems
                .warn(options.at("env"), &options.path("env"), why);
        }
    }

    fn around_a_key(&mut self, options: &Section) {
        if options.written("oauth_token") {
            let why = "has no effect beside a key: take one of the two out";
            self.problems
                .warn(options.at("oauth_token"), &options.path("oauth_token"), why);
        }
        let env = options.env("env");
        let others = KEYS.into_iter().chain(LEAD_AWAY);
        for name in others.filter(|name| env.contains_key(*name)) {
            let why = format!(
                "{name} has no effect with auth = \"key\": the agent calls the model through its runner; base_url and proxy say how the runner does"
            );
            self.problems
                .warn(options.at("env"), &options.path("env"), why);
        }
    }
}
