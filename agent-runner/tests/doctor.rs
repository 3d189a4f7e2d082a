//! `--doctor`: each thing that can be wrong is provoked, and told with what to do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{SOON, fake_acp, fake_claude};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// Something that an agent might have, and that must be in nothing that is said.
const CANARY: &str = "canary-4711-canary";

struct Examined {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Examined {
    fn of(&self, check: &str) -> &Value {
        let found = self.lines.iter().find(|line| line["check"] == check);
        found.unwrap_or_else(|| panic!("nothing of {check} in {:#?}", self.lines))
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.lines.iter().filter(|line| line["verdict"] == "fail");
        failed.map(|line| line["check"].as_str().unwrap()).collect()
    }

    /// This failed and nothing else, with these words in what it says or advises.
    fn only(&self, check: &str, words: &[&str]) {
        assert_eq!(self.code, Some(0), "it could examine");
        assert_eq!(self.failed(), [check], "{:#?}", self.lines);
        let told = self.of(check).to_string();
        for word in words {
            assert!(told.contains(word), "{word} is missing in {told}");
        }
    }
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["home", "work"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        Place { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A program that does this.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn examine(&self, more: Value, arguments: &[&str]) -> Examined {
        let mut options = json!({
            "cmd": fake_claude(),
            "work_dir": self.path("work"),
            "state_dir": self.path("state"),
            "env": {"HOME": self.path("home"), "SOME_TOKEN": CANARY},
        });
        merge(&mut options, more);
        let mut child = Command::new(env!("CARGO_BIN_EXE_agent-runner"))
            .arg("--doctor")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = options.to_string();
        stdin.write_all(text.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(SOON * 4, child.wait_with_output());
        let output = output.await.unwrap().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains(CANARY), "{said}");
        let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        Examined {
            code: output.status.code(),
            lines: said.lines().map(read).collect(),
        }
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

#[tokio::test]
async fn an_agent_that_is_well_answers_and_nothing_is_left_behind() {
    let place = Place::new();
    let found = place.examine(json!({}), &[]).await;
    assert_eq!((found.code, found.failed()), (Some(0), vec![]));
    for check in ["work_dir", "cli", "login"] {
        assert_eq!(found.of(check)["verdict"], "ok", "{:#?}", found.of(check));
    }
    assert!(found.of("cli").to_string().contains("2.1."));
    let left = files(place.dir.path());
    assert_eq!(left, [""; 0], "neither a session nor a test file");
    assert!(!place.path("state").exists());
}

#[tokio::test]
async fn the_program_is_missing() {
    let place = Place::new();
    let found = place.examine(json!({"cmd": "/nowhere/claude"}), &[]).await;
    found.only("cli", &["/nowhere/claude", "npm install", "`cmd`"]);
    let path = json!({"cmd": "", "env": {"PATH": "/nowhere"}});
    let found = place.examine(path, &[]).await;
    found.only("cli", &["`claude` is not found", "PATH (/nowhere)"]);
}

#[tokio::test]
async fn the_program_is_something_else() {
    let place = Place::new();
    let broken = place.script("claude", "echo 'no such option' >&2; exit 3");
    let found = place.examine(json!({"cmd": broken}), &[]).await;
    found.only("cli", &["ended with code 3", "no such option", "--version"]);
}

#[tokio::test]
async fn it_is_logged_out() {
    let place = Place::new();
    let checked = json!({"env": {"FAKE_CLAUDE_LOGIN": "checked"}});
    let found = place.examine(checked.clone(), &[]).await;
    found.only("login", &["not logged in", "/login", "ANTHROPIC_API_KEY"]);
    let found = place.examine(checked, &["--offline"]).await;
    assert_eq!(found.failed(), [""; 0], "offline nobody is asked");
    assert!(found.of("cli").to_string().contains("2.1."));
    assert!(!found.lines.iter().any(|line| line["check"] == "login"));
}

#[tokio::test]
async fn what_to_do_about_a_login_depends_on_what_it_is() {
    let place = Place::new();
    let dies = "[ \"$1\" = --version ] && { echo 2.1.0; exit; }\necho 'OAuth token has expired' >&2; exit 5";
    let cmd = place.script("claude", dies);
    for (login, words) in [
        (json!({}), ["it is not logged in", "auth login"]),
        (
            json!({"oauth_token": CANARY}),
            ["its token is not valid", "setup-token"],
        ),
        (
            json!({"api_key": CANARY}),
            ["its key is not valid", "api_key of"],
        ),
    ] {
        let mut options = json!({ "cmd": cmd });
        merge(&mut options, login);
        let found = place.examine(options, &[]).await;
        found.only("login", &words);
    }
}

/// The line that the doctor gives, with an agent's traps where its configuration is.
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_login_runs_nothing_that_the_agent_left() {
    let cli = std::env::var("BULKHEAD_CLAUDE").unwrap();
    let place = Place::new();
    let out = json!({"cmd": cli, "env": {"IS_SANDBOX": "1"}});
    let found = place.examine(out, &[]).await;
    let told = found.of("login").to_string();
    let told = told.replace("\\\"", "\"");
    let (_, line) = told.split_once("(d=$(mktemp").unwrap();
    let (line, _) = line.split_once(".credentials.json)").unwrap();
    let line = format!("(d=$(mktemp{line}.credentials.json)");
    let (ran, opened) = (place.path("ran"), place.path("opened"));
    let trap = place.script("trap", &format!("touch {}", ran.display()));
    let browser = place.script("browser", &format!("touch {}", opened.display()));
    let hook = json!([{"hooks": [{"type": "command", "command": trap}]}]);
    let traps = json!({
        "env": {"BROWSER": trap}, "apiKeyHelper": trap, "hooks": {"SessionStart": hook, "Setup": hook},
        "hasCompletedOnboarding": true,
    });
    fs::create_dir_all(place.path("home/.claude")).unwrap();
    for file in [
        ".claude.json",
        ".claude/.claude.json",
        ".claude/settings.json",
    ] {
        fs::write(place.path("home").join(file), traps.to_string()).unwrap();
    }
    let asks = async |line: &str| {
        let mut child = Command::new("sh")
            .args(["-c", line])
            .env("HOME", place.path("home"))
            .env("BROWSER", &browser)
            .env_remove("CLAUDE_CONFIG_DIR")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains("Paste code") {
            let read = stdout.read_buf(&mut said);
            let read = tokio::time::timeout(SOON, read).await.unwrap().unwrap();
            assert!(read > 0, "{line}: {}", String::from_utf8_lossy(&said));
        }
        // A login opens one or the other.
        let until = Instant::now() + SOON;
        while !ran.exists() && !opened.exists() {
            assert!(Instant::now() < until, "{line}");
            tokio::task::yield_now().await;
        }
        let group = Pid::from_raw(child.id().unwrap().cast_signed());
        killpg(group, Signal::SIGKILL).unwrap();
        child.wait().await.unwrap();
    };
    asks(&line).await;
    assert!(opened.exists() && !ran.exists(), "{line}");
    // They are traps.
    fs::remove_file(&opened).unwrap();
    asks(&format!("cd / && {cli} auth login")).await;
    assert!(ran.exists());
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn the_real_command_line_is_logged_in_or_out() {
    let cli = std::env::var("BULKHEAD_CLAUDE").unwrap();
    let model = fake_model::FakeModel::start().await.unwrap();
    let place = Place::new();
    let out = json!({"cmd": cli, "env": {"IS_SANDBOX": "1"}});
    let found = place.examine(out.clone(), &[]).await;
    found.only("login", &["not logged in", "/login"]);
    model.expect_key(CANARY);
    let kept = |key: &str| {
        let mut kept = out.clone();
        merge(&mut kept, json!({"api_key": key, "base_url": model.url()}));
        kept
    };
    let found = place.examine(kept(CANARY), &[]).await;
    assert_eq!(found.failed(), [""; 0]);
    let found = place.examine(kept("another"), &[]).await;
    found.only("login", &["its key is not valid", "api_key of"]);
    let model = fake_model::FakeModel::start().await.unwrap();
    let mut with_key = out;
    let env = json!({"ANTHROPIC_BASE_URL": model.url(), "ANTHROPIC_API_KEY": "dummy"});
    merge(&mut with_key, json!({ "env": env }));
    let found = place.examine(with_key, &[]).await;
    assert_eq!(found.failed(), [""; 0], "{:#?}", found.lines);
    let left = files(&place.path("home"));
    let sessions = left.iter().filter(|file| file.ends_with(".jsonl"));
    assert_eq!(sessions.count(), 0, "its session is taken away: {left:?}");
}

#[tokio::test]
async fn its_turn_fails_for_another_reason() {
    let place = Place::new();
    let dies = "[ \"$1\" = --version ] && { echo 2.1.0; exit; }\necho 'canary-4711-canary is bad' >&2; exit 5";
    let cmd = place.script("claude", dies);
    let found = place.examine(json!({"cmd": cmd}), &[]).await;
    found.only(
        "login",
        &["ended with code 5: … is bad", "say something to it"],
    );
}

#[tokio::test]
async fn what_it_started_ends_with_it() {
    let place = Place::new();
    // In a jail it has another number than outside: its words tell it.
    let nap = support::nap(7401);
    let text = format!(
        "[ \"$1\" = --version ] && {{ echo 2.1.0; exit; }}\n\
         setsid {nap} & touch up\n\
         echo '{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"ok\"}}'",
    );
    let cmd = place.script("claude", &text);
    for sandbox in [json!({}), json!("off")] {
        let found = place
            .examine(json!({"cmd": cmd, "sandbox": sandbox}), &[])
            .await;
        assert_eq!(found.failed(), [""; 0], "{:#?}", found.lines);
        assert!(place.path("work/up").exists(), "it ran");
        fs::remove_file(place.path("work/up")).unwrap();
        assert_eq!(support::processes(&nap), Vec::<i32>::new());
    }
}

#[tokio::test]
async fn the_working_directory_is_missing_or_not_to_be_written_in() {
    let place = Place::new();
    let found = place
        .examine(json!({"work_dir": "/nowhere/at/all"}), &[])
        .await;
    found.only("work_dir", &["no directory /nowhere/at/all", "mkdir -p"]);
    assert_eq!(found.of("cli")["verdict"], "ok", "the rest is examined");
    // Nobody may make a file there, not even root.
    let found = place
        .examine(json!({"work_dir": "/proc"}), &["--offline"])
        .await;
    found.only("work_dir", &["may not write in /proc", "chmod"]);
}

#[tokio::test]
async fn an_agent_over_acp_is_greeted_and_answers() {
    let place = Place::new();
    let acp = |args: Value| json!({"kind": "acp", "cmd": fake_acp(), "args": args, "home_dirs": [".fake-acp"]});
    let found = place.examine(acp(json!([])), &[]).await;
    assert_eq!((found.code, found.failed()), (Some(0), vec![]));
    assert!(found.of("cli").to_string().contains("speaks ACP, fake-acp"));
    assert_eq!(found.of("login")["verdict"], "ok");
    let found = place.examine(acp(json!(["--logged-out"])), &[]).await;
    found.only(
        "login",
        &["not logged in", "run `fake login`", "docs/agents.md"],
    );
    let found = place
        .examine(acp(json!(["--logged-out"])), &["--offline"])
        .await;
    assert_eq!(found.failed(), [""; 0], "offline it is only greeted");
    let mut odd = acp(json!(["--modes"]));
    merge(&mut odd, json!({"mode": "yolo"}));
    let found = place.examine(odd, &[]).await;
    found.only("login", &["no mode `yolo`", "free, default, plan"]);
    let other = place.script("tool", "echo 'no such option' >&2; exit 3");
    let found = place
        .examine(json!({"kind": "acp", "cmd": other, "args": ["--acp"]}), &[])
        .await;
    found.only(
        "cli",
        &["does not speak ACP", "no such option", "tool --acp"],
    );
}

#[tokio::test]
async fn a_plain_command_is_not_run() {
    let place = Place::new();
    let ran = place.path("ran");
    let cmd = place.script("tool", &format!("touch {}", ran.display()));
    let found = place
        .examine(json!({"kind": "command", "cmd": cmd}), &[])
        .await;
    assert_eq!(found.failed(), [""; 0]);
    assert!(found.of("cli").to_string().contains("not run"));
    assert!(!ran.exists());
}
