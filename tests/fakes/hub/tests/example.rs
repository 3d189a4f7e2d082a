//! The worker of docs/examples against the link's protocol, one promise at a time.
//!
//! It needs Python with the package msgpack, which a bare machine has not; `.ci/run` makes an
//! environment with it and runs these.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::process::Stdio;

use fake_hub::{FakeHub, SOON, chunk};
use ipc_schema::{Access, Activity, Body, Deferred, Failure, OpenTurns, RefuseCode};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

struct Bench {
    hub: FakeHub,
    worker: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Bench {
        let hub = FakeHub::start().unwrap();
        let bench = Bench::with(hub);
        bench.hub.linked(1).await.unwrap();
        bench
    }

    fn with(hub: FakeHub) -> Bench {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.json");
        let options = format!(r#"{{"listen":"127.0.0.1:{port}","password":"p","owner":"ada"}}"#);
        std::fs::write(&config, hub.config("main", &options)).unwrap();
        let python = std::env::var("BULKHEAD_PYTHON").unwrap_or_else(|_| "python3".into());
        let worker = Command::new(python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../docs/examples/lines-worker"
            ))
            .args(["main", "--link", &hub.address()])
            .arg("--config-file")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Bench {
            hub,
            worker,
            port,
            _directory: directory,
        }
    }

    async fn person(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream
            .write_all(format!("{name} p\n").as_bytes())
            .await
            .unwrap();
        stream
    }

    async fn inbound(&self, n: usize) -> ipc_schema::Inbound {
        let inbound = |body: &Body| match body {
            Body::Inbound(inbound) => Some(inbound.clone()),
            _ => None,
        };
        self.hub.wait_nth(n, inbound).await.unwrap()
    }

    async fn delivered(&self, n: usize) -> String {
        let delivered = |body: &Body| match body {
            Body::Delivered(delivered) => Some(delivered.key.clone()),
            _ => None,
        };
        self.hub.wait_nth(n, delivered).await.unwrap()
    }

    /// Its end: exit code and log.
    async fn end(mut self) -> (Option<i32>, String) {
        let status = timeout(SOON, self.worker.wait()).await.unwrap().unwrap();
        let mut log = String::new();
        let mut stderr = self.worker.stderr.take().unwrap();
        stderr.read_to_string(&mut log).await.unwrap();
        (status.code(), log)
    }

    fn terminate(&self) {
        let pid = self.worker.id().unwrap().to_string();
        let killed = std::process::Command::new("kill").arg(&pid).status();
        assert!(killed.unwrap().success());
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    timeout(SOON, stream.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    line
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn messages_are_offered_in_order_until_they_are_accepted() {
    let bench = Bench::start().await;
    bench.hub.rule(|rules| rules.accept = false);
    let mut ada = bench.person("ada").await;
    ada.write_all(b"one\ntwo\n").await.unwrap();
    let first = bench.inbound(1).await;
    assert_eq!((&*first.text, &*first.address), ("one", "ada"));
    assert_eq!(
        (&*first.conversation, first.access),
        ("dm:ada", Access::Granted)
    );
    assert!(first.direct && first.sender.owner);
    bench.hub.say(Body::Deferred(Deferred {
        event_id: first.event_id.clone(),
        retry_after_ms: 20,
        why: String::new(),
    }));
    assert_eq!(
        bench.inbound(2).await,
        first,
        "offered again, and not overtaken"
    );
    bench.hub.drop_link();
    bench.hub.linked(2).await.unwrap();
    assert_eq!(bench.inbound(3).await, first, "offered again on a new link");
    bench.hub.accept(&first.event_id);
    let second = bench.inbound(4).await;
    assert_eq!(second.text, "two");
    bench.hub.accept(&second.event_id);
    let mut bob = bench.person("bob").await;
    bob.write_all(b"secret words\n").await.unwrap();
    let refused = bench.inbound(5).await;
    assert_eq!((refused.access, &*refused.text), (Access::Refused, ""));
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn a_chunk_is_posted_once_however_often_it_is_handed_out() {
    let bench = Bench::start().await;
    bench.hub.rule(|rules| rules.keep_results = false);
    let mut ada = BufReader::new(bench.person("ada").await);
    ada.write_all(b"hello\n").await.unwrap();
    bench.inbound(1).await;
    let pieces = ["a long ", "answer"];
    for (index, text) in (0..2).zip(pieces) {
        let key = format!("k-{index}");
        bench
            .hub
            .say(Body::Deliver(chunk(&key, "k", index, 2, "ada", text)));
    }
    assert_eq!(line(&mut ada).await, "a long answer\n");
    bench.delivered(2).await;
    bench.hub.drop_link();
    bench.hub.linked(2).await.unwrap();
    assert_eq!(bench.delivered(3).await, "k-0", "told again on a new link");
    bench.delivered(4).await;
    bench.hub.rule(|rules| rules.keep_results = true);
    let again = || {
        bench
            .hub
            .say(Body::Deliver(chunk("k-0", "k", 0, 2, "ada", "a long ")))
    };
    again();
    bench.delivered(5).await;
    again(); // kept by now, and remembered all the same
    bench.delivered(6).await;
    bench
        .hub
        .say(Body::Deliver(chunk("l-0", "l", 0, 1, "ada", "more")));
    assert_eq!(line(&mut ada).await, "more\n");
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn many_chunks_are_granted_and_who_is_not_there_is_said() {
    let bench = Bench::start().await;
    let failed = |body: &Body| match body {
        Body::DeliveryFailed(failed) => Some(failed.failure),
        _ => None,
    };
    for n in 0..200 {
        let key = format!("k-{n}");
        bench
            .hub
            .say(Body::Deliver(chunk(&key, &key, 0, 1, "nobody", "x")));
    }
    let last = bench.hub.wait_nth(200, failed).await.unwrap();
    assert!(matches!(last, Failure::Retry(_)));
    let granted = |body: &Body| matches!(body, Body::Credit(_)).then_some(());
    bench.hub.wait_nth(6, granted).await.unwrap();
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn an_unknown_kind_is_answered_and_a_known_one_of_no_use_is_not() {
    let bench = Bench::start().await;
    bench.hub.say(Body::Activity(Activity {
        address: "ada".into(),
        turn: "t".into(),
        working: true,
    }));
    bench
        .hub
        .say(Body::OpenTurns(OpenTurns { turns: Vec::new() }));
    let nack = |body: &Body| match body {
        Body::Nack(nack) => Some(nack.id),
        _ => None,
    };
    assert_eq!(bench.hub.wait(nack).await.unwrap(), 3);
    bench.hub.raw(&[0, 0, 0, 1, 0xc1]); // no frame: the link falls, the worker does not
    bench.hub.linked(2).await.unwrap();
}

#[tokio::test]
#[ignore = "needs python3 with msgpack: pip install msgpack, and BULKHEAD_PYTHON=/path/to/python3"]
async fn it_ends_in_order_and_with_codes_that_say_why() {
    let bench = Bench::start().await;
    bench.terminate();
    assert_eq!(bench.end().await.0, Some(0));

    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.refuse = Some(RefuseCode::Schema));
    let (code, log) = Bench::with(hub).end().await;
    assert_eq!(code, Some(76), "{log}");
    assert!(log.contains("another grammar"), "{log}");
}
