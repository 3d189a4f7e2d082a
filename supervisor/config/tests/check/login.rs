//! How an agent gets at its model.

use super::*;
use secrecy::ExposeSecret as _;
use supervisor_config::{Auth, Secret};

fn with(options: &str) -> String {
    bent(
        "work_dir = \"/srv/web\"\n",
        &format!("work_dir = \"/srv/web\"\n{options}\n"),
    )
}

fn auth(options: &str) -> Auth {
    good(&with(options)).projects[0].agent.auth.clone()
}

fn shown(secret: &Secret) -> String {
    secret.value().unwrap().expose_secret().to_owned()
}

#[test]
fn a_key_makes_it_a_key_and_nothing_a_login() {
    assert_eq!(auth(""), Auth::Login { token: None });
    assert_eq!(auth("auth = \"login\""), Auth::Login { token: None });
    let Auth::Login { token: Some(token) } = auth("oauth_token = \"${TOKEN}\"") else {
        panic!("no token")
    };
    assert_eq!(shown(&token), "env-token");
    for written in ["", "auth = \"key\"\n"] {
        let Auth::Key {
            key,
            base_url,
            proxy,
        } = auth(&format!(
            "{written}api_key = \"${{TOKEN}}\"\nbase_url = \"http://127.0.0.1:1/x\"\nproxy = \"http://me:pw@proxy:3128\""
        ))
        else {
            panic!("no key")
        };
        assert_eq!(shown(&key), "env-token");
        assert_eq!(base_url.as_deref(), Some("http://127.0.0.1:1/x"));
        assert_eq!(shown(&proxy.unwrap()), "http://me:pw@proxy:3128");
    }
    let Auth::Key { proxy, .. } = auth("api_key = \"${TOKEN}\"\nproxy = \"http://proxy:3128\"")
    else {
        panic!("no key")
    };
    assert_eq!(shown(&proxy.unwrap()), "http://proxy:3128");
}

#[test]
fn what_does_not_go_together_is_told() {
    let at = "projects[0].agent.options";
    for (options, line, severity, key, part) in [
        (
            "auth = \"key\"",
            5,
            "error",
            "api_key",
            "is missing: write api_key",
        ),
        (
            "auth = \"key\"\napi_key = \"\"",
            8,
            "error",
            "api_key",
            "is empty",
        ),
        (
            "auth = \"login\"\napi_key = \"${TOKEN}\"",
            8,
            "error",
            "api_key",
            "auth = \"key\", or take the key out",
        ),
        (
            "auth = \"keys\"",
            7,
            "error",
            "auth",
            "did you mean \"key\"?",
        ),
        (
            "api_key = \"${TOKEN}\"\noauth_token = \"${TOKEN}\"",
            8,
            "warning",
            "oauth_token",
            "beside a key",
        ),
        (
            "base_url = \"http://x\"",
            7,
            "warning",
            "base_url",
            "ANTHROPIC_BASE_URL",
        ),
        ("proxy = \"http://x\"", 7, "warning", "proxy", "HTTPS_PROXY"),
        (
            "base_url = \"ftp://x\"",
            7,
            "error",
            "base_url",
            "must be an address",
        ),
        (
            "env = { ANTHROPIC_API_KEY = \"${TOKEN}\" }",
            7,
            "warning",
            "env",
            "can read this key: write auth = \"key\" and api_key in place of ANTHROPIC_API_KEY",
        ),
        (
            "api_key = \"${TOKEN}\"\nenv = { ANTHROPIC_BASE_URL = \"http://x\" }",
            8,
            "warning",
            "env",
            "ANTHROPIC_BASE_URL has no effect with auth = \"key\"",
        ),
    ] {
        let told = told(&with(options), &context());
        let start = format!("{line} {severity} {at}.{key}: ");
        assert!(
            told.iter()
                .any(|told| told.starts_with(&start) && told.contains(part)),
            "{options}: wanted {start}…{part} in {told:#?}"
        );
    }
}

#[test]
fn a_token_is_claude_codes_own() {
    let text = with("cmd = \"cat\"\noauth_token = \"${TOKEN}\"").replace("claudecode", "command");
    expect(
        &text,
        &context(),
        &[(
            "8 warning projects[0].agent.options.oauth_token: has no effect",
            "command",
        )],
    );
}
