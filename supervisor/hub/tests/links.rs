//! Junk on a link closes that link and hurts nobody else. Real sockets, the hub's real loop.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use desk::*;
use hub::engine::Engine;
use hub::link::{Door, admit};
use hub::serve::{Inputs, serve};
use interprocess::local_socket::tokio::Listener;
use ipc_schema::*;
use spool::Spool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

const SECRET: [u8; 32] = [7; 32];
const DEADLINE: Duration = Duration::from_secs(20);

struct Peer {
    stream: UnixStream,
    decoder: Decoder,
}

impl Peer {
    async fn connect(socket: &Path) -> Peer {
        let stream = UnixStream::connect(socket).await.unwrap();
        Peer {
            stream,
            decoder: Decoder::default(),
        }
    }

    async fn welcomed(socket: &Path, generation: u64) -> Peer {
        let mut peer = Peer::connect(socket).await;
        peer.say(hello(WORKER, generation, SECRET)).await;
        assert!(matches!(peer.hear().await, Some(Body::Welcome(_))));
        peer
    }

    async fn say(&mut self, body: Body) {
        let frame = encode(&Envelope {
            id: 1,
            trace: "t".into(),
            body,
        })
        .unwrap();
        self.raw(&frame).await;
    }

    async fn raw(&mut self, bytes: &[u8]) {
        // The hub may have closed it already.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next thing the hub says; `None` at the end of the link.
    async fn hear(&mut self) -> Option<Body> {
        let next = async {
            let mut buffer = [0; 4096];
            loop {
                if let Some(envelope) = self.decoder.next().unwrap() {
                    return Some(envelope.body);
                }
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(n) => self.decoder.feed(&buffer[..n]),
                }
            }
        };
        tokio::time::timeout(DEADLINE, next)
            .await
            .expect("the hub says or does something")
    }
}

fn hello(peer: &str, generation: u64, secret: [u8; 32]) -> Body {
    Body::Hello(Hello {
        schema_min: SCHEMA_MIN,
        schema_max: SCHEMA,
        software: "test".into(),
        peer_kind: "discord".into(),
        instance: "main".into(),
        generation,
        capabilities: worker_can(),
        link_key: LinkSecret::new(secret).key(peer, generation),
    })
}

/// A hub with one door, and a client's part.
async fn with_hub<F: Future<Output = ()>>(test: impl FnOnce(std::path::PathBuf) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("link.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let listener = std::os::fd::OwnedFd::from(listener);
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            let (report, links) = mpsc::channel(64);
            let (_ask, asks) = mpsc::channel(1);
            let listener = Listener::UdSocket(listener.try_into().unwrap());
            let door = Door {
                peer: WORKER.into(),
                secret: LinkSecret::new(SECRET),
                report,
            };
            tokio::task::spawn_local(admit(listener, door));
            let spool = Rc::new(Spool::in_memory().unwrap());
            let engine = Engine::new(plan(), spool, 1, 1).unwrap();
            let (end, ended) = oneshot::channel::<()>();
            let inputs = Inputs { links, asks };
            let drained = async { drop(ended.await) };
            let hub = tokio::task::spawn_local(serve(engine, inputs, drained, |_| ()));
            test(socket).await;
            end.send(()).unwrap();
            hub.await.unwrap().unwrap();
        })
        .await;
}

/// Whether the link still does its work.
async fn works(peer: &mut Peer, event: &str) -> bool {
    peer.say(inbound(event, "ann", "/whoami")).await;
    let mut accepted = false;
    while let Some(body) = peer.hear().await {
        match body {
            Body::Accepted(it) if it.event_id == event => accepted = true,
            Body::Deliver(deliver) => {
                let done = Delivered {
                    key: deliver.key,
                    platform_id: "m".into(),
                    ..Delivered::default()
                };
                peer.say(Body::Delivered(done)).await;
                return accepted;
            }
            _ => {}
        }
    }
    false
}

#[tokio::test]
async fn strangers_with_junk_are_sent_away_and_the_link_goes_on() {
    with_hub(|socket| async move {
        let mut good = Peer::welcomed(&socket, 1).await;
        assert!(works(&mut good, "e1").await);
        let noise: Vec<u8> = (0..5000u32).map(|n| (n * 167 % 251) as u8).collect();
        let hello_frame = encode(&Envelope {
            id: 1,
            trace: String::new(),
            body: hello(WORKER, 1, SECRET),
        })
        .unwrap();
        for (name, bytes) in [
            ("4 GiB", u32::MAX.to_be_bytes().to_vec()),
            ("an empty frame", vec![0; 4]),
            ("noise", noise),
            (
                "half a frame",
                hello_frame[..hello_frame.len() / 2].to_vec(),
            ),
        ] {
            let mut stranger = Peer::connect(&socket).await;
            stranger.raw(&bytes).await;
            stranger.stream.shutdown().await.unwrap();
            assert_eq!(stranger.hear().await, None, "{name}");
        }
        for body in [
            hello(WORKER, 1, [8; 32]),
            hello("weibo-main", 1, SECRET),
            inbound("e9", "eve", "let me in"),
        ] {
            let mut stranger = Peer::connect(&socket).await;
            stranger.say(body).await;
            assert!(matches!(stranger.hear().await, Some(Body::Refuse(_))));
            assert_eq!(stranger.hear().await, None);
        }
        assert!(works(&mut good, "e2").await);
    })
    .await;
}

#[tokio::test]
async fn junk_from_a_welcomed_peer_costs_its_link_only() {
    with_hub(|socket| async move {
        let mut greedy = Peer::welcomed(&socket, 1).await;
        greedy.raw(&[0xff; 64]).await;
        assert_eq!(greedy.hear().await, None);
        let mut again = Peer::welcomed(&socket, 1).await;
        assert!(works(&mut again, "e1").await);
    })
    .await;
}

#[tokio::test]
async fn a_newer_spawn_takes_the_link_over_and_an_older_one_is_refused() {
    with_hub(|socket| async move {
        let mut old = Peer::welcomed(&socket, 3).await;
        let mut new = Peer::welcomed(&socket, 4).await;
        assert_eq!(old.hear().await, None);
        assert!(works(&mut new, "e1").await);
        let mut dead = Peer::connect(&socket).await;
        dead.say(hello(WORKER, 3, SECRET)).await;
        let refused = dead.hear().await;
        assert!(
            matches!(&refused, Some(Body::Refuse(refuse)) if refuse.code == RefuseCode::Key),
            "{refused:?}"
        );
        assert!(works(&mut new, "e2").await);
    })
    .await;
}

#[tokio::test]
async fn a_kind_from_the_future_is_refused_and_the_link_goes_on() {
    with_hub(|socket| async move {
        let mut peer = Peer::welcomed(&socket, 1).await;
        let newer = serde_json::json!({"id": 41, "body": {"kind": "teleport", "to": "mars"}});
        let payload = rmp_serde::to_vec_named(&newer).unwrap();
        let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
        frame.extend(payload);
        peer.raw(&frame).await;
        let heard = peer.hear().await;
        assert!(
            matches!(&heard, Some(Body::Nack(nack)) if nack.id == 41),
            "{heard:?}"
        );
        assert!(works(&mut peer, "e1").await);
    })
    .await;
}
