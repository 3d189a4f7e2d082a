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

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use e2e::Scene;
use fake_model::FakeModel;
use harness::{Agent, Setup, real_cli};

/// What stands in the configuration, or is read by it.
const KEY: &str = "sk-ant-canary-of-this-projects-model";
const TOOL: &str = "canary-of-a-tool";
const OTHER_KEY: &str = "sk-ant-canary-of-the-other-projects-model";
const OTHER_VARIABLE: &str = "canary-in-the-other-agents-environment";
/// What stands in the environment of the monitor, and of that what the runner has too.
const OTHER_TOKEN: &str = "canary-of-the-other-bot";
const RUNNERS: &str = "canary-in-the-runners-environment";
/// What lies in files that are nobody's business.
const FILES: [(&str, &str); 5] = [
    ("state/spool/note", "canary-in-the-spool"),
    ("state/runner/demo/note", "canary-in-the-runners-state"),
    ("state/volumes/other/note", "canary-in-another-volume"),
    ("run/note", "canary-beside-the-sockets"),
    ("home/.ssh/id", "canary-in-the-home"),
];

fn plant(setup: &mut Setup, model: &str) {
    setup.agent = Agent::ClaudeCode {
        cmd: real_cli(),
        env: Vec::new(),
    };
    setup.agent_options =
        format!("allowed_tools = [\"Bash\"]\napi_key = \"{KEY}\"\nbase_url = \"{model}\"");
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.env = vec![set("OTHER_TOKEN", OTHER_TOKEN), set("XDG_CANARY", RUNNERS)];
    let api_base = &setup.discord.as_ref().unwrap().0;
    setup.platforms = format!(
        "[[projects.agent.tools]]\nname = \"nothing\"\ndescription = \"Does nothing.\"\n\
         command = [\"/bin/true\"]\nsecrets = {{ SECRET = \"{TOOL}\" }}\n\
         [[projects]]\nname = \"other\"\n[projects.agent]\ntype = \"command\"\n\
         [projects.agent.options]\nwork_dir = \"/usr/share\"\ncmd = \"/bin/cat\"\n\
         api_key = \"{OTHER_KEY}\"\nenv = {{ SOMETHING = \"{OTHER_VARIABLE}\" }}\n\
         [[projects.platforms]]\ntype = \"discord\"\nname = \"other\"\n\
         [projects.platforms.options]\ntoken = \"${{OTHER_TOKEN}}\"\napi_base = \"{api_base}\"\n"
    );
}

/// Every socket below a directory.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(sockets(&entry.path()));
        } else if kind.is_socket() {
            found.push(entry.path());
        }
    }
    found
}

/// What the real command line's Bash saw of a tree that is full of canaries.
struct Found {
    /// Answers as long as it is there.
    _model: FakeModel,
    scene: Scene,
    seen: String,
    sockets: Vec<PathBuf>,
}

async fn look(sandbox: &str) -> Found {
    let model = FakeModel::start().await.unwrap();
    let url = model.url();
    let scene = Scene::unready(|setup| {
        setup.agent_table = sandbox.to_owned();
        plant(setup, &url);
    })
    .await;
    scene.discord.set(|options| options.identify_window_ms = 0);
    scene.tree.logged("discord: connected").await;
    scene.tree.logged("weibo: connected").await;
    let tree = &scene.tree;
    for (file, canary) in FILES {
        let file = tree.directory().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, canary).unwrap();
    }
    let places = [
        tree.config(),
        tree.state_dir(),
        tree.runtime_dir(),
        tree.home(),
    ];
    let places: Vec<String> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let places = places.join(" ");
    let sockets = sockets(&tree.runtime_dir());
    assert!(sockets.len() >= 2, "{sockets:?}");
    let calls: String = sockets
        .iter()
        .map(|socket| {
            let socket = socket.display();
            format!("curl -s -m 2 --unix-socket {socket} http://x/; echo called {socket}: $?\n")
        })
        .collect();
    let script = format!(
        "env\n\
         for dir in /proc/[0-9]* /proc/self /proc/$PPID; do\n\
           cat $dir/environ $dir/cmdline $dir/maps | tr '\\0' '\\n'\n\
           cat $dir/comm; ls -l $dir/fd\n\
         done\n\
         ls -laR {places}; grep -ra . {places}; cat {config}\n\
         {calls}\
         ls -la /run /var/lib /etc/bulkhead ~\n\
         timeout 5 find / -xdev -name '*.sock' -o -xdev -name config.toml\n\
         echo looked",
        config = tree.config().display(),
    );
    fs::write(tree.work_dir().join("look.sh"), script).unwrap();
    let asked = scene.dm("#tool Bash timeout 60 sh look.sh >seen 2>&1; true\n#say that was all");
    scene
        .reply(asked, |line| line.text.contains("that was all"))
        .await;
    let seen = fs::read(tree.work_dir().join("seen")).unwrap();
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("PATH=") && seen.contains("looked"), "{seen}");
    Found {
        _model: model,
        scene,
        seen,
        sockets,
    }
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_finds_no_secret_of_the_tree() {
    let found = look("").await;
    let Found {
        scene,
        seen,
        sockets,
        ..
    } = &found;
    let token = scene.discord.token();
    let weibo = scene.weibo.account();
    let own = [&token, weibo.app_secret.as_str()];
    let told = [KEY, TOOL, OTHER_KEY, OTHER_VARIABLE, OTHER_TOKEN, RUNNERS];
    let laid = FILES.map(|(_, canary)| canary);
    for secret in own.into_iter().chain(told).chain(laid) {
        assert!(!seen.contains(secret), "{secret} is in\n{seen}");
        let logged = scene.log().count(|line| line.contains(secret));
        assert_eq!(logged, 0, "{secret} is in the log");
    }
    // It knows its model by a token of its session alone, and has inherited no configuration.
    assert!(
        seen.contains("ANTHROPIC_API_KEY=bulkhead-session-"),
        "{seen}"
    );
    assert!(!seen.contains("memfd:"), "{seen}");
    // It was looked for where it is, and is not there.
    let config = scene.tree.config();
    let absent = format!("cat: {}: No such file or directory", config.display());
    assert!(seen.contains(&absent), "{absent} is not in\n{seen}");
    for socket in sockets {
        // 7 = no connection.
        let called = format!("called {}: 7", socket.display());
        assert!(seen.contains(&called), "{called} is not in\n{seen}");
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
    // The chat is told how it is closed in, and what was refused: a file for everybody to read, but
    // none of the agent's business.
    let asked = scene.dm("#tool Bash cat /etc/fstab\n#say and that");
    let and_that = |line: &fake_discord::Line| line.text.contains("and that");
    scene.reply(asked, and_that).await;
    let asked = scene.dm("/status");
    let told = scene
        .reply(asked, |line| line.text.contains("Sandbox"))
        .await;
    for words in ["Sandbox: on (", "Refused last: ", "/etc/fstab"] {
        assert!(told.text.contains(words), "{words} in {}", told.text);
    }
}

/// Else the canaries would prove nothing.
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn without_a_sandbox_the_same_look_finds_them() {
    let Found { scene, seen, .. } = look("sandbox = \"off\"").await;
    let token = scene.discord.token();
    let told = [&token, KEY, TOOL, OTHER_KEY, OTHER_VARIABLE];
    for secret in told.into_iter().chain(FILES.map(|(_, canary)| canary)) {
        assert!(seen.contains(secret), "{secret} is not in\n{seen}");
    }
    let asked = scene.dm("/status");
    let told = scene.reply(asked, |line| line.text.contains("Sandbox"));
    assert!(told.await.text.contains("Sandbox: OFF"));
}
