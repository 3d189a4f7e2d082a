//! The real Claude Code in the whole tree: told to look for secrets wherever there are some, its Bash
//! finds none.
//!
//! Ignored unless asked for, since the command line is not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE=/path/to/claude cargo test -p e2e --test real_sandbox -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::Scene;
use fake_model::FakeModel;
use harness::{Agent, real_cli};

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_finds_no_secret_of_the_tree() {
    let cli = real_cli();
    let model = FakeModel::start().await.unwrap();
    let url = model.url();
    let scene = Scene::with(|setup| {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        setup.agent = Agent::ClaudeCode {
            cmd: cli,
            env: vec![
                set("ANTHROPIC_BASE_URL", &url),
                set("ANTHROPIC_API_KEY", "dummy-key"),
            ],
        };
        setup.agent_options = "allowed_tools = [\"Bash\"]".into();
    })
    .await;
    scene.discord.set(|options| options.identify_window_ms = 0);
    let config = std::fs::read_to_string(scene.tree.config()).unwrap();
    let secrets: Vec<String> = config
        .lines()
        .filter(|line| line.starts_with("token =") || line.starts_with("app_secret ="))
        .filter_map(|line| serde_json::from_str(line.split_once('=')?.1.trim()).ok())
        .collect();
    assert_eq!(secrets.len(), 2, "one of each platform");
    let tree = &scene.tree;
    let places = [
        tree.config(),
        tree.state_dir(),
        tree.runtime_dir(),
        tree.home(),
    ];
    for place in &places {
        assert!(place.exists(), "{}", place.display());
    }
    let places: Vec<String> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let script = format!(
        "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/maps | tr '\\0' '\\n'\n\
         ls -laR {places}; grep -ra . {places}; cat {config}; ls -la /run /var/lib /etc/bulkhead ~\n\
         find / -xdev -name '*.sock' -o -xdev -name config.toml\n\
         for pid in $(ls /proc | grep '^[0-9]'); do cat /proc/$pid/comm; ls -l /proc/$pid/fd; done\n\
         echo looked",
        places = places.join(" "),
        config = tree.config().display(),
    );
    std::fs::write(tree.work_dir().join("look.sh"), script).unwrap();
    let asked = scene.dm("#tool Bash sh look.sh >seen 2>&1; true\n#say that was all");
    scene
        .reply(asked, |line| line.text.contains("that was all"))
        .await;
    let seen = std::fs::read(tree.work_dir().join("seen")).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("PATH=") && seen.contains("looked"), "{seen}");
    for secret in &secrets {
        assert!(!seen.contains(secret.as_str()), "{seen}");
    }
    // Nor is anybody else of the tree to be seen.
    for other in [
        "bulkhead",
        "discord-worker",
        "weibo-worker",
        "hub.sock",
        "config.toml\n",
    ] {
        let lines = seen.lines().filter(|line| line.trim() == other);
        assert_eq!(lines.count(), 0, "{other} in {seen}");
    }
}
