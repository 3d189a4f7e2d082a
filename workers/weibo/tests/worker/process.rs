//! The binary as a process: its contract with whoever starts it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Output, Stdio};

use crate::stage::options;
use command_fds::{CommandFdExt as _, FdMapping};
use fake_hub::{FakeHub, SOON};
use fake_weibo::{Event, FakeWeibo, TokenFault};
use ipc_schema::{Body, RefuseCode};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const WORKER: &str = env!("CARGO_BIN_EXE_weibo-worker");

fn command(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(WORKER);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::from(command(arguments))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut pipe, stdin.as_bytes())
        .await
        .unwrap();
    drop(pipe);
    timeout(SOON, child.wait_with_output())
        .await
        .unwrap()
        .unwrap()
}

/// A worker with a configuration and a life line, as a monitor starts it.
struct Spawned {
    child: Child,
    alive: Option<OwnedFd>,
    notes: UnixDatagram,
    _directory: tempfile::TempDir,
}

fn spawn(hub: &FakeHub, options: &Value) -> Spawned {
    spawn_as(hub, "main", "main", options)
}

fn spawn_as(hub: &FakeHub, argument: &str, instance: &str, options: &Value) -> Spawned {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("notify");
    let notes = UnixDatagram::bind(&socket).unwrap();
    notes.set_read_timeout(Some(SOON)).unwrap();
    let (config, mut config_in) = std::io::pipe().unwrap();
    config_in
        .write_all(hub.config(instance, &options.to_string()).as_bytes())
        .unwrap();
    drop(config_in);
    let (alive, alive_in) = std::io::pipe().unwrap();
    let mut command = command(&[argument, "--link", &hub.address()]);
    command
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "config:alive")
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "100000")
        .fd_mappings(vec![
            FdMapping {
                parent_fd: config.into(),
                child_fd: 3,
            },
            FdMapping {
                parent_fd: alive.into(),
                child_fd: 4,
            },
        ])
        .unwrap();
    let child = Command::from(command).kill_on_drop(true).spawn().unwrap();
    Spawned {
        child,
        alive: Some(alive_in.into()),
        notes,
        _directory: directory,
    }
}

impl Spawned {
    /// Reads notes until one is such; all of them.
    async fn notes_until(&self, such: &str) -> Vec<String> {
        let (notes, such) = (self.notes.try_clone().unwrap(), such.to_string());
        let reading = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !seen.iter().any(|note: &String| note.contains(&such)) {
                let n = notes
                    .recv(&mut buffer)
                    .unwrap_or_else(|_| panic!("no {such} in {seen:?}"));
                seen.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
            }
            seen
        });
        reading.await.unwrap()
    }

    /// Waits for its end: the exit code and the log.
    async fn end(self) -> (Option<i32>, String) {
        let output = timeout(SOON, self.child.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

#[tokio::test]
async fn it_says_what_it_is_and_checks_options() {
    let output = run(&["--describe"], "").await;
    let described: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&described["kind"], &described["schema_max"]),
        (&json!("weibo"), &json!(1))
    );
    assert_eq!(described["capabilities"]["text_limit"], json!(2000));
    let output = run(&["--check"], r#"{"app_id": "1", "app_secret": "canary"}"#).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    let output = run(&["--check"], r#"{"app_id": "", "app_sekret": "canary"}"#).await;
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8(output.stdout).unwrap();
    let keys: Vec<_> = words
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(keys, ["app_sekret", "app_id", "app_secret"]);
    assert!(words.contains("did you mean `app_secret`") && !words.contains("canary"));
    assert_eq!(run(&["--check"], "{").await.status.code(), Some(78));
    assert_eq!(run(&["--version"], "").await.status.code(), Some(0));
    assert_eq!(run(&["--help"], "").await.status.code(), Some(0));
    assert_eq!(run(&[], "").await.status.code(), Some(64));
    assert_eq!(
        run(&["main", "--link", "nowhere"], "").await.status.code(),
        Some(64)
    );
}

#[tokio::test]
async fn a_bad_configuration_is_held_with_words() {
    let output = run(&["main", "--link", "unix:/nowhere"], "").await;
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(words.contains("--config-file"), "{words}");

    let hub = FakeHub::start().unwrap();
    let bad = json!({"app_id": "1", "app_secret": "canary", "alow_from": "x"});
    let (code, words) = spawn(&hub, &bad).end().await;
    assert_eq!(code, Some(78));
    assert!(
        words.contains("alow_from") && words.contains("allow_from"),
        "{words}"
    );
    assert!(!words.contains("canary"));

    let good = json!({"app_id": "1", "app_secret": "canary"});
    let (code, words) = spawn_as(&hub, "main", "other", &good).end().await;
    assert_eq!(code, Some(78));
    assert!(words.contains("other"), "{words}");
}

#[tokio::test]
async fn a_configuration_file_does_by_hand() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    let config = hub.config("main", &options(&weibo).to_string());
    File::create(&path)
        .unwrap()
        .write_all(config.as_bytes())
        .unwrap();
    let path = path.to_str().unwrap();
    let arguments = ["main", "--link", &hub.address(), "--config-file", path];
    let child = Command::from(command(&arguments))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    weibo.connected(1).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = timeout(SOON, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn it_is_ready_without_hub_or_platform_alive_and_ends_with_its_parent() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    hub.die();
    weibo.fault(|faults| faults.token = Some(TokenFault::Status(500)));
    let mut spawned = spawn(&hub, &options(&weibo));
    spawned.notes_until("READY=1").await;
    spawned
        .notes_until("STATUS=cannot get a token: HTTP 500; next try in")
        .await;
    spawned.notes_until("WATCHDOG=1").await;
    weibo.fault(|faults| faults.token = None);
    hub.come_back();
    let uid = weibo.account().owner;
    spawned
        .notes_until(&format!("STATUS=connected as uid {uid}"))
        .await;
    hub.linked(1).await.unwrap();
    weibo.user_says(uid, "hello");
    hub.wait(|body| matches!(body, Body::Inbound(_)).then_some(()))
        .await
        .unwrap();
    drop(spawned.alive.take());
    spawned.notes_until("STOPPING=1").await;
    let (code, log) = spawned.end().await;
    assert_eq!(code, Some(0));
    assert!(
        log.contains(&format!(
            "INFO weibo-worker main: weibo: connected uid={uid}"
        )),
        "{log}"
    );
    assert!(log.contains("the parent is gone"));
    assert!(!log.contains("hello"), "no bodies in the log");
}

#[tokio::test]
async fn a_hub_of_another_grammar_holds_it() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    hub.rule(|rules| rules.refuse = Some(RefuseCode::Schema));
    let (code, log) = spawn(&hub, &options(&weibo)).end().await;
    assert_eq!(code, Some(76));
    assert!(log.contains("one release"), "{log}");
}

#[tokio::test]
async fn nothing_of_the_contract_is_left_open_for_children() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let spawned = spawn(&hub, &options(&weibo));
    weibo.connected(1).await.unwrap();
    // What whoever runs the tests left open is not the worker's doing.
    let theirs = left_open("self");
    let left: Vec<_> = left_open(&spawned.child.id().unwrap().to_string());
    let ours: Vec<_> = left
        .into_iter()
        .filter(|number| !theirs.contains(number))
        .collect();
    assert_eq!(ours, [0; 0], "would reach a child");
}

/// The descriptors behind stdin, stdout and stderr that a child would inherit.
fn left_open(process: &str) -> Vec<i32> {
    let number = |entry: &std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let stays = |entry: &std::fs::DirEntry| {
        // The one that lists the directory may be gone by now.
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i64::from_str_radix(flags.trim(), 8).ok()?;
        (flags & i64::from(nix::libc::O_CLOEXEC) == 0).then_some(())
    };
    std::fs::read_dir(format!("/proc/{process}/fdinfo"))
        .unwrap()
        .filter_map(|entry| {
            entry
                .ok()
                .filter(|entry| stays(entry).is_some())
                .as_ref()
                .and_then(number)
        })
        .filter(|number| *number > 2)
        .collect()
}

#[tokio::test]
async fn no_secret_is_ever_written() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    // Everything that can repeat a secret does.
    weibo.fault(|faults| {
        faults.token = Some(TokenFault::Echo);
        faults.token_times = Some(2);
        faults.upgrade = Some(403);
        faults.upgrade_times = Some(2);
        faults.close = Some(fake_weibo::Close {
            code: 4002,
            reason: "invalid token".into(),
        });
        faults.close_times = Some(2);
        faults.repeat_token = true;
        faults.file = Some(fake_weibo::FileFault::Status(413));
    });
    let mut spawned = spawn(&hub, &options(&weibo));
    let mut written = spawned.notes_until("STATUS=connected as uid").await;
    for token in weibo.tokens() {
        let escaped: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let secret = &weibo.account().app_secret;
        for words in [
            json!(token),
            json!(format!("/ws?token={escaped}")),
            json!(secret),
        ] {
            weibo.raw(&json!({"type": "error", "message": words}).to_string());
            weibo.raw(&json!({"type": words}).to_string());
        }
    }
    let owner = weibo.account().owner.to_string();
    let file = hub.keep_file("a.txt", "", b"x");
    hub.say(Body::Deliver(ipc_schema::Deliver {
        files: vec![file],
        ..fake_hub::chunk("a-0", "a", 0, 1, &owner, "see")
    }));
    let failed = |body: &Body| matches!(body, Body::DeliveryFailed(_)).then_some(());
    hub.wait(failed).await.unwrap();
    weibo.cut();
    weibo.connected(4).await.unwrap();
    let pid = spawned.child.id().unwrap();
    for name in ["cmdline", "environ"] {
        written.push(std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap());
    }
    drop(spawned.alive.take());
    let notes = spawned.notes.try_clone().unwrap();
    let (code, log) = spawned.end().await;
    assert_eq!(code, Some(0));
    notes.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(n) = notes.recv(&mut buffer) {
        written.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
    }
    for met in [
        "correct them in the configuration",
        "invalid token",
        "HTTP 403",
        "reports an error",
        "unknown type",
        "HTTP 413",
    ] {
        assert!(log.contains(met), "{met} was not met: {log}");
    }
    written.push(log);
    // The link key is the one secret that is meant for the hub.
    let said = hub.ledger().filter_map(|seen| seen.body().cloned());
    written.extend(said.iter().map(|body| format!("{body:?}")));
    let written = written.join("\n");
    let mut secrets = weibo.tokens();
    assert!(secrets.len() >= 3);
    secrets.push(weibo.account().app_secret.clone());
    secrets.push(fake_hub::KEY.into());
    for secret in secrets {
        let json = json!(secret).to_string();
        let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let debug = format!("{secret:?}");
        for form in [
            &*secret,
            json.trim_matches('"'),
            &*escaped,
            debug.trim_matches('"'),
        ] {
            assert!(!written.contains(form), "{form} in {written}");
        }
    }
}

#[tokio::test]
async fn each_trouble_of_the_token_is_told_in_words() {
    for (fault, words) in [
        (
            TokenFault::Status(401),
            "refuses app_id and app_secret (HTTP 401)",
        ),
        (
            TokenFault::Status(403),
            "refuses app_id and app_secret (HTTP 403)",
        ),
        (TokenFault::Status(500), "cannot get a token: HTTP 500"),
        (
            TokenFault::Code(40001),
            "app_secret (code 40001 no); correct them",
        ),
        (TokenFault::Html, "the answer is no JSON"),
        (TokenFault::Hang, "the token endpoint does not answer"),
        (TokenFault::Drop, "the token endpoint cannot be reached"),
    ] {
        let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
        weibo.fault(|faults| faults.token = Some(fault));
        let mut options = options(&weibo);
        options["timing"]["request_ms"] = json!(100);
        let spawned = spawn(&hub, &options);
        spawned.notes_until(words).await;
    }
}

/// With stable time between them each is the first: the wait does not grow.
#[tokio::test]
async fn five_drops_in_a_row() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let mut options = options(&weibo);
    options["timing"]["backoff_min_ms"] = json!(50);
    options["timing"]["backoff_max_ms"] = json!(60_000);
    options["timing"]["stable_ms"] = json!(1);
    options["timing"]["heartbeat_ms"] = json!(2);
    let spawned = spawn(&hub, &options);
    for drop in 1..=5 {
        weibo.connected(drop).await.unwrap();
        // Its first ping comes when it has been connected for longer than the stable time.
        let this = drop as u64 - 1;
        let ping =
            |event: &Event| matches!(event, Event::Ping { connection } if *connection == this);
        weibo.wait_events(1, ping).await.unwrap();
        weibo.cut();
        let notes = spawned.notes_until("connecting again in").await;
        let words = notes.last().unwrap();
        let wait = words.split("again in ").nth(1).unwrap();
        let ms: u64 = wait.strip_suffix(" ms").unwrap().parse().unwrap();
        assert!((50..=63).contains(&ms), "drop {drop}: {words}");
    }
}

#[tokio::test]
async fn five_drops_in_a_row_without_stable_time_wait_ever_longer() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let mut options = options(&weibo);
    options["timing"]["backoff_min_ms"] = json!(1);
    options["timing"]["backoff_max_ms"] = json!(200);
    weibo.fault(|faults| faults.upgrade = Some(503));
    let spawned = spawn(&hub, &options);
    let mut longest = 0;
    while longest <= 100 {
        let notes = spawned.notes_until("connecting again in").await;
        let waits = notes
            .iter()
            .filter_map(|note| note.split("again in ").nth(1));
        let ms = waits.filter_map(|wait| wait.strip_suffix(" ms")?.parse().ok());
        longest = ms.max().unwrap_or(longest).max(longest);
    }
}

#[tokio::test]
async fn wss_is_never_spoken_in_the_clear() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let mut options = options(&weibo);
    options["ws_endpoint"] = json!(format!("wss://127.0.0.1:{port}/ws/stream"));
    let spawned = spawn(&hub, &options);
    let (mut stream, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    let mut first = [0; 3];
    let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first);
    timeout(SOON, read).await.unwrap().unwrap();
    assert_eq!(first[..2], [0x16, 3], "the beginning of a TLS handshake");
    drop(stream);
    spawned.notes_until("cannot connect").await;
}

/// The stated bound: what was read from Weibo and not accepted is lost with the worker, since Weibo
/// is not known to send it again; what was accepted is not.
#[tokio::test]
async fn killed_between_reading_and_accepted_loses_that_message_and_no_other() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let owner = weibo.account().owner;
    let texts = || {
        hub.ledger()
            .filter_map(|seen| seen.inbound().map(|inbound| inbound.text.clone()))
    };
    let nth = |n: usize| {
        let inbound = |body: &Body| matches!(body, Body::Inbound(_)).then_some(());
        hub.wait_nth(n, inbound)
    };
    let mut spawned = spawn(&hub, &options(&weibo));
    weibo.connected(1).await.unwrap();
    weibo.user_says(owner, "accepted");
    nth(1).await.unwrap();
    hub.die();
    weibo.user_says(owner, "read");
    let said = |event: &Event| matches!(event, Event::Said { .. });
    weibo.wait_events(2, said).await.unwrap();
    spawned.child.kill().await.unwrap();
    let ended = |event: &Event| matches!(event, Event::Closed { .. });
    weibo.wait_events(1, ended).await.unwrap();
    weibo.user_says(owner, "while away");
    hub.come_back();
    let again = spawn(&hub, &options(&weibo));
    nth(2).await.unwrap();
    assert_eq!(texts(), ["accepted", "while away"]);
    drop(again);
}

/// The next one sends the rest as a new message.
#[tokio::test]
async fn kill9_in_mid_reply() {
    let (weibo, hub) = (FakeWeibo::start().await.unwrap(), FakeHub::start().unwrap());
    let owner = weibo.account().owner;
    let say = |from: u32, to: u32| {
        for index in from..to {
            let text = crate::stage::piece("a", index);
            let key = format!("a-{index}");
            let chunk = fake_hub::chunk(&key, "a", index, 10, &owner.to_string(), &text);
            hub.say(Body::Deliver(chunk));
        }
    };
    let mut spawned = spawn(&hub, &options(&weibo));
    weibo.connected(1).await.unwrap();
    hub.linked(1).await.unwrap();
    say(0, 4);
    let delivered = |body: &Body| matches!(body, Body::Delivered(_)).then_some(());
    hub.wait_nth(4, delivered).await.unwrap();
    spawned.child.kill().await.unwrap();
    let again = spawn(&hub, &options(&weibo));
    hub.linked(2).await.unwrap();
    say(4, 10);
    hub.wait_nth(10, delivered).await.unwrap();
    let bubbles = weibo.bubbles(owner);
    let texts: Vec<_> = bubbles.iter().map(|bubble| bubble.text.as_str()).collect();
    assert_eq!(texts, ["<a0><a1><a2><a3>", "<a4><a5><a6><a7><a8><a9>"]);
    assert_eq!(weibo.violations(), [""; 0]);
    drop(again);
}
