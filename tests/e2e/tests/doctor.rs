//! `bulkhead doctor` and `bulkhead invite`: each failure is provoked and told with what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use e2e::{DEADLINE, Scene};
use fake_discord::{FakeDiscord, GatewayFault, Part, Portal, Times, Wire, permissions};
use fake_weibo::{Event, FakeWeibo, TokenFault};
use harness::{Agent, Setup, program};
use serde_json::{Value, json};
use tokio::process::Command;

/// Both fakes and a configuration for them; nothing runs.
struct Bench {
    discord: FakeDiscord,
    weibo: FakeWeibo,
    setup: Setup,
    directory: tempfile::TempDir,
    work_dir: PathBuf,
    state_dir: PathBuf,
}

impl Bench {
    async fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let discord = FakeDiscord::start().await;
        let weibo = FakeWeibo::start().await.unwrap();
        let mut setup = Setup::new(Agent::ClaudeCode {
            cmd: program("fake-claude"),
            env: Vec::new(),
        });
        setup.discord = Some((discord.api_base(), discord.token()));
        let account = weibo.account();
        setup.weibo = Some((
            weibo.token_endpoint(),
            weibo.ws_endpoint(),
            account.app_id.clone(),
            account.app_secret.clone(),
        ));
        let work_dir = directory.path().join("work");
        std::fs::create_dir(&work_dir).unwrap();
        Bench {
            discord,
            weibo,
            setup,
            work_dir,
            state_dir: directory.path().join("state"),
            directory,
        }
    }

    fn config(&self) -> PathBuf {
        let config = self.directory.path().join("config.toml");
        if !config.exists() {
            std::fs::write(&config, self.setup.config(&self.work_dir)).unwrap();
            mode(&config, 0o600);
        }
        config
    }

    async fn run(&self, verb: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let bulkhead = Command::new(program("bulkhead"));
        self.run_as(bulkhead, verb, arguments).await
    }

    /// The same, by a command that ends in the program.
    async fn run_as(
        &self,
        mut command: Command,
        verb: &str,
        arguments: &[&str],
    ) -> (Option<i32>, String) {
        command
            .arg(verb)
            .args(arguments)
            .arg("--config")
            .arg(self.config());
        if verb == "doctor" {
            command.arg("--state-dir").arg(&self.state_dir);
            command
                .arg("--runtime-dir")
                .arg(self.directory.path().join("run"));
        }
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path());
        let output = tokio::time::timeout(DEADLINE, command.output()).await;
        let output = output.expect("it ends").unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let (_, token) = self.setup.discord.as_ref().unwrap();
        let (.., secret) = self.setup.weibo.as_ref().unwrap();
        for secret in [token, secret].into_iter().chain(&self.weibo.tokens()) {
            assert!(!said.contains(secret.as_str()), "{secret} in\n{said}");
        }
        (output.status.code(), said)
    }

    /// What `bulkhead doctor --json` says.
    async fn doctor(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let (code, said) = self.run("doctor", &[&["--json"], arguments].concat()).await;
        (
            code,
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}")),
        )
    }

    /// This failed and nothing else, with these words.
    async fn only(&self, group: &str, check: &str, words: &[&str]) {
        let (code, said) = self.doctor(&[]).await;
        let failed = failed(&said);
        let names: Vec<_> = failed
            .iter()
            .map(|(group, finding)| (*group, finding["check"].as_str().unwrap()))
            .collect();
        assert_eq!((code, names), (Some(1), vec![(group, check)]), "{said:#}");
        let told = failed[0].1.to_string();
        for word in words {
            assert!(told.contains(word), "{word} is missing in {told}");
        }
    }
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

fn failed(said: &Value) -> Vec<(&str, &Value)> {
    let groups = said["groups"].as_array().unwrap().iter();
    let all = groups.flat_map(|group| {
        let name = group["name"].as_str().unwrap();
        let findings = group["findings"].as_array().unwrap().iter();
        findings.map(move |finding| (name, finding))
    });
    all.filter(|(_, finding)| finding["verdict"] == "fail")
        .collect()
}

#[tokio::test]
async fn what_is_well_is_told_and_nothing_is_left_behind() {
    let bench = Bench::new().await;
    let (code, said) = bench.run("doctor", &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    for group in ["this machine", "discord-main", "weibo-main", "runner-demo"] {
        assert!(lines.contains(&group), "{group} in\n{said}");
    }
    for check in [
        "config",
        "mode",
        "state",
        "disk",
        "token",
        "intent",
        "permissions",
        "connection",
        "login",
    ] {
        assert!(
            said.contains(&format!("  ok    {check} ")),
            "{check} in\n{said}"
        );
    }
    assert!(said.contains("Nothing failed"), "{said}");
    assert!(!bench.state_dir.exists(), "it changes nothing");
    assert_eq!(std::fs::read_dir(&bench.work_dir).unwrap().count(), 0);
}

#[tokio::test]
async fn a_bad_token_is_told_and_the_rest_examined_all_the_same() {
    let mut bench = Bench::new().await;
    let (api_base, _) = bench.setup.discord.clone().unwrap();
    bench.setup.discord = Some((api_base, "canary.canary.canary".into()));
    bench
        .only("discord-main", "token", &["refuses", "Reset Token"])
        .await;
    let (code, said) = bench.run("doctor", &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("  FAIL  token ") && said.contains("        → open https://discord.com"),
        "{said}"
    );
    assert!(said.contains("1 failed"), "{said}");
    let (code, said) = bench.run("invite", &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("Reset Token"), "{said}");
}

#[tokio::test]
async fn the_content_intent_is_off() {
    let bench = Bench::new().await;
    bench.discord.portal(Portal::ContentIntent(false));
    bench
        .only(
            "discord-main",
            "intent",
            &["switch on Message Content Intent"],
        )
        .await;
}

#[tokio::test]
async fn a_permission_is_missing_in_a_served_channel() {
    let mut bench = Bench::new().await;
    let scene = bench.discord.scene();
    bench.setup.discord_options = format!("allow_channels = \"{}\"", scene.general);
    bench
        .discord
        .deny(scene.bot, scene.general, permissions::SEND_MESSAGES);
    bench
        .only(
            "discord-main",
            "permissions",
            &["#general", "lacks Send Messages"],
        )
        .await;
}

#[tokio::test]
async fn the_gateway_is_down() {
    let bench = Bench::new().await;
    let refused = GatewayFault::RefuseUpgrade { status: 503 };
    bench.discord.gateway_fault(refused, Times::Always);
    bench
        .only("discord-main", "gateway", &["503", "firewall"])
        .await;
}

#[tokio::test]
async fn discord_is_down() {
    let bench = Bench::new().await;
    bench.discord.outage(Part::Main).await;
    bench
        .only("discord-main", "reach", &["no connection"])
        .await;
}

#[tokio::test]
async fn the_clocks_differ() {
    let bench = Bench::new().await;
    bench.discord.advance(Duration::from_secs(3600));
    bench
        .only("discord-main", "clock", &["behind Discord", "timedatectl"])
        .await;
}

#[tokio::test]
async fn the_weibo_token_is_refused() {
    let bench = Bench::new().await;
    bench
        .weibo
        .fault(|faults| faults.token = Some(TokenFault::Echo));
    bench
        .only("weibo-main", "token", &["refuses", "连接龙虾"])
        .await;
}

#[tokio::test]
async fn the_agent_is_missing() {
    let mut bench = Bench::new().await;
    bench.setup.agent = Agent::ClaudeCode {
        cmd: "/nowhere/claude".into(),
        env: Vec::new(),
    };
    bench
        .only("runner-demo", "cli", &["/nowhere/claude", "npm install"])
        .await;
}

#[tokio::test]
async fn the_agent_is_logged_out() {
    let mut bench = Bench::new().await;
    bench.setup.agent = Agent::ClaudeCode {
        cmd: program("fake-claude"),
        env: vec![("FAKE_CLAUDE_LOGIN".into(), "checked".into())],
    };
    bench
        .only("runner-demo", "login", &["not logged in", "/login"])
        .await;
    let (code, said) = bench.doctor(&["--offline"]).await;
    assert_eq!(
        (code, failed(&said).len()),
        (Some(0), 0),
        "offline nobody is asked: {said:#}"
    );
    let asked = |wire: &Wire| matches!(wire, Wire::Request { .. });
    let before = bench.discord.wire().count(asked);
    bench.run("doctor", &["--offline"]).await;
    assert_eq!(bench.discord.wire().count(asked), before);
}

#[tokio::test]
async fn the_work_dir_is_not_to_be_written_in() {
    let mut bench = Bench::new().await;
    // Nobody may make a file there, not even root.
    bench.work_dir = "/proc".into();
    let (code, said) = bench.doctor(&["--offline"]).await;
    assert_eq!(code, Some(1));
    let failed = failed(&said);
    assert_eq!((failed[0].0, failed.len()), ("runner-demo", 1), "{said:#}");
    assert!(failed[0].1.to_string().contains("may not write in /proc"));
}

#[tokio::test]
async fn the_state_directory_is_not_to_be_written_in() {
    let mut bench = Bench::new().await;
    bench.state_dir = "/proc/bulkhead".into();
    bench
        .only(
            "this machine",
            "state",
            &["/proc/bulkhead cannot be written", "chown"],
        )
        .await;
}

/// On a disk of one megabyte, which a user may mount in namespaces of its own.
#[tokio::test]
async fn the_disk_is_full() {
    const MOUNTED: &str = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"";
    let bench = Bench::new().await;
    std::fs::create_dir(&bench.state_dir).unwrap();
    let on_small_disk = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED]);
        command.arg(&bench.state_dir).arg(program);
        command
    };
    let allowed = on_small_disk(Path::new("true")).output().await.unwrap();
    if !allowed.status.success() {
        let why = String::from_utf8_lossy(&allowed.stderr);
        eprintln!("skipped: this kernel refuses namespaces or mounts in them: {why}");
        return;
    }
    let command = on_small_disk(&program("bulkhead"));
    let arguments = ["--json", "--offline"];
    let (code, said) = bench.run_as(command, "doctor", &arguments).await;
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    let failed = failed(&said);
    assert_eq!((code, failed.len()), (Some(1), 1), "{said:#}");
    let (group, finding) = failed[0];
    assert_eq!((group, &finding["check"]), ("this machine", &json!("disk")));
    let told = finding.to_string();
    for word in ["MiB free for", "no message can be accepted", "make room"] {
        assert!(told.contains(word), "{word} is missing in {told}");
    }
}

#[tokio::test]
async fn the_machines_clock_is_behind_its_own_files() {
    let bench = Bench::new().await;
    let config = std::fs::File::open(bench.config()).unwrap();
    config
        .set_modified(SystemTime::now() + Duration::from_secs(7200))
        .unwrap();
    bench
        .only("this machine", "clock", &["still to come", "timedatectl"])
        .await;
}

#[tokio::test]
async fn the_configuration_is_wrong_or_open_to_others() {
    let bench = Bench::new().await;
    mode(&bench.config(), 0o666);
    bench
        .only("this machine", "mode", &["others may change", "chmod 600"])
        .await;
    let (_, said) = bench.run("doctor", &["--offline"]).await;
    assert!(said.contains("other users can read it"), "{said}");
    let wrong = bench
        .setup
        .config(&bench.work_dir)
        .replace("token =", "tokn =");
    std::fs::write(bench.config(), wrong).unwrap();
    mode(&bench.config(), 0o600);
    let (code, said) = bench.run("doctor", &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("  FAIL  config") && said.contains("did you mean `token`?"),
        "{said}"
    );
}

#[tokio::test]
async fn the_link_asks_for_exactly_what_is_used() {
    let bench = Bench::new().await;
    let (code, said) = bench.run("invite", &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let application = bench.discord.scene().application;
    let link = format!(
        "https://discord.com/oauth2/authorize?client_id={application}\
         &scope=bot+applications.commands&permissions=309237763136"
    );
    assert!(said.lines().any(|line| line == link), "{said}");
    assert!(said.starts_with("discord-main, Bulkhead:"), "{said}");
}

#[tokio::test]
async fn without_a_discord_bot_there_is_no_link() {
    let mut bench = Bench::new().await;
    let discord = bench.setup.discord.take();
    let config = bench.config();
    bench.setup.discord = discord;
    let (code, said) = bench.run("invite", &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("names no Discord bot") && said.contains(config.to_str().unwrap()),
        "{said}"
    );
}

#[tokio::test]
async fn a_running_tree_is_examined_and_not_disturbed() {
    let scene = Scene::start().await;
    let counts = || {
        let identify = |wire: &Wire| matches!(wire, Wire::Identify { .. });
        let connected = |event: &Event| matches!(event, Event::Connected { .. });
        (
            scene.discord.wire().count(identify),
            scene.weibo.protocol().count(connected),
        )
    };
    let before = counts();
    let (config, state) = (scene.tree.config(), scene.tree.state_dir());
    let arguments = [
        "doctor",
        "--config",
        config.to_str().unwrap(),
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let (code, said, _) = scene.tree.ask(&arguments).await.unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("not tried: a worker of this account runs"),
        "{said}"
    );
    assert_eq!(
        counts(),
        before,
        "no session is spent and no second connection made"
    );
    let asked = scene.dm("#say still here");
    scene.reply(asked, |line| line.text == "still here").await;
    scene.weibo_dm("#say here too");
    assert_eq!(scene.bubbles(1).await[0].text, "here too");
    let status = scene.tree.status().await.unwrap();
    for name in ["discord-main", "weibo-main", "runner-demo"] {
        assert_eq!(harness::Tree::process(&status, name)["restarts"], 0);
    }
}
