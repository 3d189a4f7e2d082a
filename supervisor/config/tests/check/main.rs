//! What a check says about configs that people write, and about the machine around them.

// A helper of tests that fails may say so like a test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod accounts;
mod home;
mod login;
mod machine;
mod secrets;
mod text;
mod tools;
mod values;

use std::path::{Path, PathBuf};

use supervisor_config::{Checked, Context, Own, Place, Plan, SecretMode, Severity, check};

fn context() -> Context {
    Context {
        env: Box::new(|name| match name {
            "TOKEN" => Some("env-token".to_owned()),
            "EMPTY" => Some(String::new()),
            "BASE" => Some("/srv".to_owned()),
            _ => None,
        }),
        is_root: false,
        require_run_as_user: false,
        secrets: SecretMode::Resolve,
        worker: Box::new(|kind| {
            ["discord", "weibo"]
                .contains(&kind)
                .then(|| PathBuf::from(format!("/w/{kind}-worker")))
        }),
        worker_dirs: vec!["/w".into()],
        program: Box::new(|name| Some(PathBuf::from(name))),
        place: Box::new(|path| match path.to_str() {
            Some("/missing") => Place::Missing,
            Some("/file") => Place::Other,
            Some("/hidden") => Place::Hidden,
            _ => Place::Directory,
        }),
        credentials_dir: None,
        home: Some(PathBuf::from("/home/me")),
        own: Box::new(|data_dir| {
            let state = data_dir.unwrap_or(Path::new("/home/me/.local/state/bulkhead"));
            let own = |path, what| Own { path, what };
            vec![
                own(state.join("spool"), "what was said in chats"),
                own("/run/user/1/bulkhead".into(), "the sockets"),
            ]
        }),
        real: Box::new(|path| match path.strip_prefix("/link") {
            Ok(rest) => Path::new("/home/me").join(rest),
            Err(_) => path.to_owned(),
        }),
    }
}

/// A config that is right, line by line, so that a test can bend one.
const GOOD: &str = r#"[[projects]]
name = "web"
[projects.agent]
type = "claudecode"
[projects.agent.options]
work_dir = "/srv/web"
[[projects.platforms]]
type = "discord"
[projects.platforms.options]
token = "abc"
"#;

const WEIBO: &str = r#"[[projects.platforms]]
type = "weibo"
[projects.platforms.options]
app_id = "7"
app_secret = "s3cret"
"#;

fn run(text: &str, cx: &Context) -> Checked {
    check(text, Path::new("config.toml"), cx)
}

/// Each problem as `LINE SEVERITY PATH: MESSAGE`.
fn told(text: &str, cx: &Context) -> Vec<String> {
    let checked = run(text, cx);
    let errors = checked
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    assert_eq!(
        checked.plan.is_none(),
        errors,
        "a plan if and only if there is no error"
    );
    checked
        .problems
        .iter()
        .map(|p| format!("{} {} {}: {}", p.line, p.severity, p.key_path, p.message))
        .collect()
}

fn good(text: &str) -> Plan {
    let checked = run(text, &context());
    assert_eq!(checked.problems, [], "{text}");
    checked.plan.expect("a plan")
}

/// Asserts that exactly these problems are told: each starts and goes on with the given texts.
#[track_caller]
fn expect(text: &str, cx: &Context, expected: &[(&str, &str)]) {
    let told = told(text, cx);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (start, part)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(start) && told.contains(part),
            "{told}\n  wanted {start} … {part}"
        );
    }
}

fn bent(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
