//! `bulkhead init`: the whole talk, through a pipe and at a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use e2e::DEADLINE;
use fake_discord::{FakeDiscord, Portal};
use fake_weibo::{FakeWeibo, TokenFault};
use harness::program;
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// A machine with the fake `claude` in its PATH.
struct Machine {
    directory: tempfile::TempDir,
    discord: FakeDiscord,
    weibo: FakeWeibo,
}

impl Machine {
    async fn new() -> Machine {
        let machine = Machine {
            directory: tempfile::tempdir().unwrap(),
            discord: FakeDiscord::start().await,
            weibo: FakeWeibo::start().await.unwrap(),
        };
        for dir in ["bin", "My Project"] {
            fs::create_dir(machine.path(dir)).unwrap();
        }
        machine.claude("");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("etc/config.toml")
    }

    /// The `claude` of PATH, with this before it.
    fn claude(&self, before: &str) {
        let path = self.path("bin/claude");
        // Beside it, where it is a part of the same program to the sandbox.
        let beside = self.path("bin/fake-claude");
        if !beside.exists() {
            fs::copy(program("fake-claude"), &beside).unwrap();
        }
        let text = format!("#!/bin/sh\n{before} exec {} \"$@\"\n", beside.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut path = vec![self.path("bin")];
        path.extend(std::env::split_paths("/usr/bin:/bin"));
        let mut command = Command::new(program("bulkhead"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .current_dir(self.path("My Project"))
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.directory.path())
            .kill_on_drop(true);
        command
    }

    /// `api_base`: where Discord is thought to be.
    fn init(&self, api_base: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["init"]);
        command
            .args(more)
            .args(["--discord-api-base", api_base])
            .args(["--weibo-token-endpoint", &self.weibo.token_endpoint()])
            .args(["--weibo-ws-endpoint", &self.weibo.ws_endpoint()]);
        command
    }

    fn piped(&self, more: &[&str]) -> Talk {
        self.piped_to(&self.discord.api_base(), more)
    }

    fn piped_to(&self, api_base: &str, more: &[&str]) -> Talk {
        let mut command = self.init(api_base, more);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap().into_owned_fd().unwrap();
        let output = child.stdout.take().unwrap().into_owned_fd().unwrap();
        Talk::new(child, File::from(input), File::from(output))
    }

    /// What another command says of the configuration that was written.
    async fn says(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output();
        let output = tokio::time::timeout(DEADLINE, output)
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    }
}

/// The talk with a running `bulkhead init`.
struct Talk {
    child: Child,
    input: Option<File>,
    output: mpsc::UnboundedReceiver<Vec<u8>>,
    /// All that was said, and up to where it was looked at.
    said: String,
    seen: usize,
}

impl Talk {
    fn new(child: Child, input: File, mut output: File) -> Talk {
        let (tell, told) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal whose other end is closed is an error, and the end.
            while let Ok(read) = output.read(&mut piece)
                && read > 0
                && tell.send(piece[..read].to_vec()).is_ok()
            {}
        });
        Talk {
            child,
            input: Some(input),
            output: told,
            said: String::new(),
            seen: 0,
        }
    }

    /// Waits until these words are said, after those that were waited for before.
    async fn until(&mut self, words: &str) {
        let waited = async {
            loop {
                if let Some(at) = self.said[self.seen..].find(words) {
                    self.seen += at + words.len();
                    return;
                }
                let Some(piece) = self.output.recv().await else {
                    panic!("it ended without {words:?}");
                };
                self.said.push_str(&String::from_utf8_lossy(&piece));
            }
        };
        if tokio::time::timeout(DEADLINE, waited).await.is_err() {
            panic!("waited for {words:?} in\n{}", self.said);
        }
    }

    fn types(&mut self, keys: &str) {
        let input = self.input.as_mut().expect("it listens");
        input.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a question and answers it.
    async fn answer(&mut self, question: &str, answer: &str) {
        self.until(question).await;
        self.types(&format!("{answer}\n"));
    }

    /// Its exit code and all that it said.
    async fn end(mut self) -> (Option<i32>, String) {
        self.input = None;
        let rest = async {
            while let Some(piece) = self.output.recv().await {
                self.said.push_str(&String::from_utf8_lossy(&piece));
            }
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(DEADLINE, rest).await.expect("it ends");
        (status.code(), self.said)
    }
}

fn read(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[tokio::test]
async fn from_nothing_to_a_configuration_that_works() {
    let machine = Machine::new().await;
    machine.discord.portal(Portal::ContentIntent(false));
    let scene = machine.discord.scene();
    let mut talk = machine.piped(&[]);
    talk.answer("discord, weibo or both [discord]: ", "telegram")
        .await;
    talk.answer("discord, weibo or both [discord]: ", "").await;
    talk.answer(
        "The bot's token (it is not shown): ",
        "canary.canary.canary",
    )
    .await;
    talk.until("FAIL  token").await;
    talk.until("Reset Token").await;
    talk.answer("(it is not shown): ", &machine.discord.token())
        .await;
    talk.until("the bot Bulkhead").await;
    talk.until(&format!("owned by owner ({})", scene.owner))
        .await;
    talk.until("FAIL  intent").await;
    talk.answer("Press Enter once it is on", "").await;
    talk.until("FAIL  intent").await;
    talk.until("Press Enter once it is on").await;
    machine.discord.portal(Portal::ContentIntent(true));
    talk.types("\n");
    talk.until("Message Content Intent is on.").await;
    talk.until(&format!(
        "client_id={}&scope=bot+applications.commands",
        scene.application
    ))
    .await;
    let here = machine.path("My Project");
    talk.answer(&format!("works in [{}]: ", here.display()), "")
        .await;
    talk.answer("A name for the project [My-Project]: ", "no good")
        .await;
    talk.answer("A name for the project [My-Project]: ", "")
        .await;
    talk.until("answers.").await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !said.contains(&machine.discord.token()) && !said.contains("canary"),
        "{said}"
    );
    let last = said.trim_end().lines().last().unwrap().trim().to_owned();
    assert!(
        last.ends_with(&format!(
            "bulkhead run --config {}",
            machine.config().display()
        )),
        "{last}"
    );

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.config()), 0o600);
    assert_eq!(mode(machine.config().parent().unwrap()), 0o700);
    let written = read(&machine.config());
    let project = &written["projects"][0];
    let options = &project["platforms"][0]["options"];
    assert_eq!(
        options["token"].as_str(),
        Some(machine.discord.token().as_str())
    );
    assert_eq!(
        options["api_base"].as_str(),
        Some(machine.discord.api_base().as_str())
    );
    assert_eq!(
        project["agent"]["options"]["work_dir"].as_str(),
        here.to_str()
    );
    assert!(project["agent"]["options"].get("cmd").is_none());
    let (code, said) = machine.says(&["doctor"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = machine.says(&["invite"]).await;
    assert_eq!(code, Some(0), "{said}");
}

/// Who can reach Discord by a proxy alone is asked for it. The fake stands for a proxy as well: what
/// is sent to one differs in nothing but the address.
#[tokio::test]
async fn a_proxy_is_asked_for_where_discord_is_not_reached() {
    let machine = Machine::new().await;
    let address = machine.discord.api_base().replace("http://", "");
    let address = address.split('/').next().unwrap();
    let proxy = format!("http://me:canary@{address}");
    let mut talk = machine.piped_to("http://127.0.0.1:1/api/v10", &[]);
    talk.answer("discord, weibo or both", "discord").await;
    talk.answer("The bot's token", &machine.discord.token())
        .await;
    talk.until("FAIL  reach").await;
    talk.answer("A proxy on the way to Discord", "127.0.0.1:8080")
        .await;
    talk.until("FAIL  options").await;
    talk.until("proxy").await;
    talk.answer("Another proxy, none, or Enter", &proxy).await;
    talk.until("the bot Bulkhead").await;
    talk.answer("works in", "").await;
    talk.answer("A name for the project", "").await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("canary"), "{said}");
    let options = &read(&machine.config())["projects"][0]["platforms"][0]["options"];
    assert_eq!(options["proxy"].as_str(), Some(proxy.as_str()));
}

#[tokio::test]
async fn both_platforms_and_a_directory_that_is_made() {
    let machine = Machine::new().await;
    let account = machine.weibo.account().clone();
    machine.weibo.fault(|faults| {
        faults.token = Some(TokenFault::Status(503));
        faults.token_times = Some(1);
    });
    let mut talk = machine.piped(&[]);
    talk.answer("discord, weibo or both", "both").await;
    talk.answer("The bot's token", &machine.discord.token())
        .await;
    talk.answer("The AppId: ", &account.app_id).await;
    talk.answer("The AppSecret", &account.app_secret).await;
    talk.until("HTTP 503").await;
    talk.answer("Enter to try the same again", "").await;
    talk.until(&format!("uid {}", account.owner)).await;
    talk.answer("works in", "~").await;
    talk.until("holds this config").await;
    talk.answer("works in", "~/made/here").await;
    talk.answer("Make it? [Y/n]: ", "").await;
    talk.answer("A name for the project [here]: ", "").await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&account.app_secret));
    assert!(machine.path("made/here").is_dir());
    let written = read(&machine.config());
    let platforms = written["projects"][0]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    let options = &platforms[1]["options"];
    assert_eq!(
        options["app_secret"].as_str(),
        Some(account.app_secret.as_str())
    );
    let (code, said) = machine.says(&["doctor"]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn refused_weibo_credentials_are_asked_for_again() {
    let machine = Machine::new().await;
    let account = machine.weibo.account().clone();
    let mut talk = machine.piped(&[]);
    talk.answer("discord, weibo or both", "weibo").await;
    talk.answer("The AppId: ", "1").await;
    talk.answer("The AppSecret", "canary-secret").await;
    talk.until("FAIL  token").await;
    talk.until("连接龙虾").await;
    talk.answer("The AppId: ", &account.app_id).await;
    talk.answer("The AppSecret", &account.app_secret).await;
    talk.until(&format!("uid {}", account.owner)).await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(1), "the input ended");
    assert!(!said.contains("canary-secret"));
    assert!(
        !machine.config().exists(),
        "nothing is written before the last answer"
    );
}

#[tokio::test]
async fn an_agent_that_is_missing_or_logged_out_is_waited_for_or_gone_without() {
    let machine = Machine::new().await;
    fs::remove_file(machine.path("bin/claude")).unwrap();
    let mut talk = machine.piped(&[]);
    talk.answer("discord, weibo or both", "").await;
    talk.answer("The bot's token", &machine.discord.token())
        .await;
    talk.answer("works in", "").await;
    talk.answer("A name for the project", "").await;
    talk.until("npm install").await;
    talk.until("Press Enter to look again").await;
    machine.claude("FAKE_CLAUDE_LOGIN=checked");
    talk.types(&format!("{}\n", machine.path("bin/claude").display()));
    talk.until("not logged in").await;
    talk.answer("Press Enter to try again, or type skip", "")
        .await;
    talk.until("/login").await;
    talk.answer("Press Enter to try again, or type skip", "skip")
        .await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    let written = read(&machine.config());
    let cmd = &written["projects"][0]["agent"]["options"]["cmd"];
    assert_eq!(cmd[0].as_str(), machine.path("bin/claude").to_str());
}

#[tokio::test]
async fn a_configuration_that_is_there_is_replaced_only_when_told() {
    let machine = Machine::new().await;
    fs::create_dir(machine.path("etc")).unwrap();
    fs::write(machine.config(), "old").unwrap();
    for answer in ["n", ""] {
        let mut talk = machine.piped(&[]);
        talk.answer("is there. Replace it? [y/N]: ", answer).await;
        let (code, said) = talk.end().await;
        assert_eq!(code, Some(1));
        assert!(said.contains("Nothing was changed"), "{said}");
    }
    assert_eq!(fs::read_to_string(machine.config()).unwrap(), "old");
    for more in [&["--force"][..], &[]] {
        let mut talk = machine.piped(more);
        if more.is_empty() {
            talk.answer("is there. Replace it? [y/N]: ", "y").await;
        }
        talk.answer("discord, weibo or both", "").await;
        talk.answer("The bot's token", &machine.discord.token())
            .await;
        talk.answer("works in", "").await;
        talk.answer("A name for the project", "").await;
        let (code, said) = talk.end().await;
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("Replace it?") || more.is_empty());
        assert_eq!(
            read(&machine.config())["projects"][0]["name"].as_str(),
            Some("My-Project")
        );
    }
    let mode = fs::metadata(machine.config()).unwrap().permissions().mode();
    assert_eq!(
        mode & 0o777,
        0o600,
        "also where the old one was open to others"
    );
    assert_eq!(fs::read_dir(machine.path("etc")).unwrap().count(), 1);
}

#[tokio::test]
async fn without_a_test_address_none_is_written() {
    let machine = Machine::new().await;
    let mut command = machine.command(&["init"]);
    command.args(["--weibo-token-endpoint", &machine.weibo.token_endpoint()]);
    command.args(["--weibo-ws-endpoint", &machine.weibo.ws_endpoint()]);
    let help = machine.says(&["init", "--help"]).await.1;
    assert!(
        !help.contains("api-base") && !help.contains("endpoint"),
        "{help}"
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap().into_owned_fd().unwrap();
    let output = child.stdout.take().unwrap().into_owned_fd().unwrap();
    let mut talk = Talk::new(child, File::from(input), File::from(output));
    let account = machine.weibo.account().clone();
    talk.answer("discord, weibo or both", "weibo").await;
    talk.answer("The AppId: ", &account.app_id).await;
    talk.answer("The AppSecret", &account.app_secret).await;
    talk.answer("works in", "").await;
    talk.answer("A name for the project", "").await;
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        !fs::read_to_string(machine.config())
            .unwrap()
            .contains("api_base")
    );
}

/// The end of a terminal that a person sits at, and a talk at the other end.
fn at_terminal(machine: &Machine) -> (Talk, OwnedFd) {
    let terminal = openpty(None, None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut command = machine.init(&machine.discord.api_base(), &[]);
    command.stdin(end()).stdout(end()).stderr(end());
    let child = command.spawn().unwrap();
    let keys = File::from(terminal.master);
    let screen = keys.try_clone().unwrap();
    (Talk::new(child, keys, screen), terminal.slave)
}

fn shows(terminal: &OwnedFd) -> bool {
    let flags = tcgetattr(terminal).unwrap().local_flags;
    flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
}

#[tokio::test]
async fn a_secret_is_not_shown_at_a_terminal_and_everything_else_is() {
    let machine = Machine::new().await;
    let (mut talk, terminal) = at_terminal(&machine);
    talk.answer("discord, weibo or both [discord]: ", "discord")
        .await;
    talk.until("The bot's token (it is not shown): ").await;
    // Typed with a slip that is mended.
    talk.types(&format!("x\x7f{}\r", machine.discord.token()));
    talk.until("the bot Bulkhead").await;
    assert!(shows(&terminal), "the terminal is as it was");
    let dir = machine.path("My Project");
    talk.answer("works in", dir.to_str().unwrap()).await;
    talk.answer("A name for the project", "shown-name").await;
    talk.until("bulkhead run").await;
    drop(terminal);
    let (code, said) = talk.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("shown-name"),
        "what is no secret is shown: {said}"
    );
    assert!(!said.contains(&machine.discord.token()), "{said}");
    let token = &read(&machine.config())["projects"][0]["platforms"][0]["options"]["token"];
    assert_eq!(token.as_str(), Some(machine.discord.token().as_str()));
}

#[tokio::test]
async fn ctrl_c_while_a_secret_is_typed_leaves_the_terminal_as_it_was() {
    let machine = Machine::new().await;
    let (mut talk, terminal) = at_terminal(&machine);
    talk.answer("discord, weibo or both [discord]: ", "").await;
    talk.until("The bot's token (it is not shown): ").await;
    talk.types("half\x03");
    talk.until("given up; nothing was written").await;
    let status = tokio::time::timeout(DEADLINE, talk.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(shows(&terminal));
    assert!(!talk.said.contains("half"));
    assert!(!machine.config().exists());
}
