//! A worker between a fake Weibo and a fake hub, all in one process.

use std::collections::HashSet;

use fake_hub::{FakeHub, SOON, chunk};
use fake_weibo::FakeWeibo;
use ipc_schema::{Access, Body, Inbound};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weibo_worker::Weibo;
use worker_kit::link::LinkConfig;
use worker_kit::{Context, Hub, Life, Platform, Stop};

pub(crate) struct Bench {
    pub(crate) weibo: FakeWeibo,
    pub(crate) hub: FakeHub,
    pub(crate) owner: u64,
    pub(crate) drain: watch::Sender<bool>,
    pub(crate) worker: JoinHandle<Result<(), Stop>>,
}

/// Options with waits that suit a test.
pub(crate) fn options(weibo: &FakeWeibo) -> Value {
    let mut options = weibo.options();
    options["timing"] = json!({
        "backoff_min_ms": 5, "backoff_max_ms": 40, "credentials_min_ms": 5,
        "credentials_max_ms": 40, "request_ms": 5000, "bubble_ms": 50,
    });
    options
}

impl Bench {
    pub(crate) async fn new() -> Bench {
        Bench::with(|_, _| {}).await
    }

    /// `change` may change the options, and the service before anybody connects.
    pub(crate) async fn with(change: impl FnOnce(&mut Value, &FakeWeibo)) -> Bench {
        let weibo = FakeWeibo::start().await.unwrap();
        let hub = FakeHub::start().unwrap();
        let mut options = options(&weibo);
        change(&mut options, &weibo);
        assert_eq!(Weibo::check(&options), []);
        let options = serde_json::from_value(options).unwrap();
        let link = LinkConfig {
            address: hub.address().parse().unwrap(),
            software: "test 1".into(),
            kind: "weibo".into(),
            instance: "main".into(),
            generation: 1,
            capabilities: Weibo::capabilities(Some(&options)),
            link_key: hub.key(),
        };
        let (life, drain) = Life::unwatched();
        let hub_side = Hub::start(link);
        let rng = fastrand::Rng::with_seed(1);
        let context = Context {
            instance: "main".into(),
            hub: hub_side,
            life,
            rng,
        };
        let worker = tokio::spawn(Weibo::run(options, context));
        let owner = weibo.account().owner;
        Bench {
            weibo,
            hub,
            owner,
            drain,
            worker,
        }
    }

    /// Has the hub hand out chunks `from..to` of a reply of `count` to the owner.
    pub(crate) fn reply(&self, reply: &str, from: u32, to: u32, count: u32) {
        for index in from..to {
            let key = format!("{reply}-{index}");
            let text = piece(reply, index);
            let address = self.owner.to_string();
            self.hub.say(Body::Deliver(chunk(
                &key, reply, index, count, &address, &text,
            )));
        }
    }

    /// Waits for `n` results in all; the keys that are delivered.
    pub(crate) async fn delivered(&self, n: usize) -> Vec<String> {
        self.hub.wait_nth(n, key).await.unwrap();
        self.hub
            .ledger()
            .filter_map(|seen| seen.body().and_then(key))
    }

    /// Waits for the `n`-th event.
    pub(crate) async fn inbound(&self, n: usize) -> Inbound {
        let inbound = |body: &Body| match body {
            Body::Inbound(inbound) => Some(inbound.clone()),
            _ => None,
        };
        self.hub.wait_nth(n, inbound).await.unwrap()
    }

    /// Everything that came to the hub so far.
    pub(crate) fn inbounds(&self) -> Vec<Inbound> {
        self.hub.ledger().filter_map(|seen| seen.inbound().cloned())
    }

    /// Has everything said so far gone through the worker: says something more and waits for it.
    pub(crate) async fn flush(&self, text: &str) {
        let id = self.weibo.user_says(self.owner, text);
        let there = |body: &Body| match body {
            Body::Inbound(inbound) if inbound.event_id == id => Some(()),
            _ => None,
        };
        self.hub.wait(there).await.unwrap();
    }

    /// Drains the worker, which ends well; the services, to be looked at.
    pub(crate) async fn end_keeping(self) -> (FakeHub, FakeWeibo) {
        self.drain.send_replace(true);
        let ended = tokio::time::timeout(SOON, self.worker).await;
        ended.unwrap().unwrap().unwrap();
        (self.hub, self.weibo)
    }

    /// Drains the worker; what it ends with.
    pub(crate) async fn end(self) -> Result<(), Stop> {
        self.drain.send_replace(true);
        tokio::time::timeout(SOON, self.worker)
            .await
            .unwrap()
            .unwrap()
    }
}

pub(crate) fn piece(reply: &str, index: u32) -> String {
    format!("<{reply}{index}>")
}

/// The pieces of a text, in order.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive('>').map(String::from).collect()
}

fn key(body: &Body) -> Option<String> {
    match body {
        Body::Delivered(delivered) => Some(delivered.key.clone()),
        Body::DeliveryFailed(failed) => panic!("failed: {failed:?}"),
        _ => None,
    }
}

/// First sights only.
pub(crate) fn unique(texts: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

pub(crate) fn granted(inbounds: &[Inbound]) -> Vec<&str> {
    let granted = inbounds
        .iter()
        .filter(|inbound| inbound.access == Access::Granted);
    granted.map(|inbound| inbound.text.as_str()).collect()
}
