//! A platform of somebody's own, in another language: the worker of docs/examples in the real tree.
//!
//! It needs Python with the package msgpack, which a bare machine has not; `.ci/run` makes an
//! environment with it and runs these.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fake_claude::ClaudeControl;
use harness::{Agent, DEADLINE, Setup, Tree, program};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PASSWORD: &str = "open-sesame-canary";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/lines-worker")
}

/// The Python that has msgpack.
fn python() -> String {
    std::env::var("BULKHEAD_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

struct Scene {
    tree: Tree,
    _claude: ClaudeControl,
    address: SocketAddr,
    _plugins: tempfile::TempDir,
}

/// A tree whose only platform is the example, found by its name on PATH.
async fn scene(options: &str) -> Scene {
    let plugins = tempfile::tempdir().unwrap();
    let worker = plugins.path().join("lines-worker");
    let script = format!(
        "#!/bin/sh\nexec {} {} \"$@\"\n",
        python(),
        example().display()
    );
    std::fs::write(&worker, script).unwrap();
    std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let claude = ClaudeControl::start().await.unwrap();
    let mut setup = Setup::new(Agent::ClaudeCode {
        cmd: program("fake-claude"),
        env: vec![(fake_claude::CONTROL.to_owned(), claude.address().to_owned())],
    });
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    setup.platforms = format!(
        "[[projects.platforms]]\ntype = \"lines\"\n[projects.platforms.options]\n\
         listen = \"{address}\"\npassword = \"{PASSWORD}\"\nowner = \"ada\"\n{options}\n"
    );
    setup.path = Some(plugins.path().to_owned());
    let tree = Tree::start(&setup);
    Scene {
        tree,
        _claude: claude,
        address,
        _plugins: plugins,
    }
}

struct Person {
    lines: tokio::io::Lines<BufReader<tokio::net::tcp::OwnedReadHalf>>,
    writer: tokio::net::tcp::OwnedWriteHalf,
}

impl Person {
    async fn connect(scene: &Scene, name: &str, password: &str) -> Person {
        let (reader, writer) = TcpStream::connect(scene.address)
            .await
            .unwrap()
            .into_split();
        let mut person = Person {
            lines: BufReader::new(reader).lines(),
            writer,
        };
        person.say(&format!("{name} {password}")).await;
        person
    }

    async fn say(&mut self, text: &str) {
        self.writer
            .write_all(format!("{text}\n").as_bytes())
            .await
            .unwrap();
    }

    /// Reads lines until one holds `words`; all of them.
    async fn hears(&mut self, words: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(words) {
            let line = timeout(DEADLINE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no {words:?} in {heard:?}"));
            let line = line
                .unwrap()
                .unwrap_or_else(|| panic!("closed after {heard:?}"));
            heard += &(line + "\n");
        }
        heard
    }
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn people_talk_to_the_agent_through_the_example_worker_whatever_is_killed() {
    let mut scene = scene("").await;
    scene.tree.logged("bulkhead is running").await;
    let mut ada = Person::connect(&scene, "ada", PASSWORD).await;
    ada.say("hello there").await;
    ada.hears("hello there").await;

    // A long answer comes whole, in pieces that run together.
    ada.say("#chars 9000").await;
    ada.say("#say that was all").await;
    let long = ada.hears("that was all").await;
    assert!(long.chars().count() > 9000);

    // A stranger is told how to be let in, by the hub's words.
    let mut bob = Person::connect(&scene, "bob", PASSWORD).await;
    bob.say("let me in").await;
    let refused = bob.hears("allow_from").await;
    assert!(refused.contains("bob"), "{refused}");
    let mut eve = Person::connect(&scene, "ada", "guess").await;
    eve.hears("wrong name or password").await;

    // The hub is killed: the worker keeps its people, links again and goes on.
    let since = scene.tree.log.next();
    scene.tree.kill("hub").await;
    ada.say("after the hub").await;
    ada.hears("after the hub").await;
    scene.tree.logged_since(since, "linked to the hub").await;

    // An answer to somebody who is not there waits for them, also when the worker is killed.
    let since = scene.tree.log.next();
    ada.say("#say while you were away").await;
    drop(ada);
    scene.tree.logged_since(since, "inbound").await;
    let before = scene.tree.kill("lines-main").await;
    scene.tree.back("lines-main", before).await;
    let mut ada = Person::connect(&scene, "ada", PASSWORD).await;
    ada.hears("while you were away").await;

    // An end in order, and no secret anywhere.
    let code = scene.tree.stop().await.unwrap();
    assert_eq!(code, Some(0));
    for entry in scene.tree.log.snapshot() {
        assert!(!entry.what.contains(PASSWORD), "{}", entry.what);
    }
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn bad_options_of_the_example_worker_hold_it_with_words() {
    let scene = scene("alow_from = \"bob\"").await;
    let held = |status: &harness::Status| {
        let lines = Tree::process(status, "lines-main");
        lines["state"] == "held"
            && lines["status"]
                .as_str()
                .unwrap_or_default()
                .contains("alow_from")
    };
    scene.tree.status_where(held).await;
}
