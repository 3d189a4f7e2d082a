//! The way to the model, from an agent's side: against the fake model, and against servers that do
//! what the fake does not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use agent_runner::model::{Limits, ModelProxy, Upstream};
use agent_runner::options::Options;
use fake_model::script::Point;
use fake_model::{Event, FakeModel, Key};
use reqwest::{Client, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The key that no agent may see.
const CANARY: &str = "sk-ant-canary-0123456789";
const SOON: Duration = Duration::from_secs(30);

/// An agent's view of the proxy.
struct Agent {
    proxy: ModelProxy,
    token: SecretString,
    client: Client,
}

impl Agent {
    async fn of(base: &str) -> Agent {
        Agent::limited(base, Limits::default()).await
    }

    async fn limited(base: &str, limits: Limits) -> Agent {
        let options = Options {
            api_key: Some(CANARY.into()),
            base_url: Some(base.into()),
            ..Options::default()
        };
        let upstream = Upstream::new(&options).unwrap().unwrap();
        let proxy = ModelProxy::start(upstream, limits).await.unwrap();
        let token = proxy.grant(1).unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Agent {
            proxy,
            token,
            client,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.proxy.port())
    }

    fn request(&self, token: &str, path: &str) -> reqwest::RequestBuilder {
        self.client
            .post(self.url(path))
            .header("x-api-key", token)
            .header("anthropic-version", "2023-06-01")
    }

    async fn asks(&self, prompt: &str) -> Response {
        let request = self.request(self.token.expose_secret(), "/v1/messages?beta=true");
        request.json(&question(prompt)).send().await.unwrap()
    }
}

fn question(prompt: &str) -> Value {
    json!({
        "model": "claude-x", "max_tokens": 100, "stream": true,
        "messages": [{"role": "user", "content": prompt}], "tools": [{"name": "Bash"}],
    })
}

/// The kind and the words of an error in the API's form; the key is in neither.
async fn error(response: Response, status: u16) -> (String, String) {
    assert_eq!(response.status().as_u16(), status);
    assert!(!format!("{:?}", response.headers()).contains("canary"));
    let text = response.text().await.unwrap();
    assert!(!text.contains("canary"), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(body["type"], "error");
    let part = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (part("type"), part("message"))
}

/// A server that takes one request and answers with this; its request, as it came.
async fn once(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") && !request.ends_with(b"0\r\n\r\n") {
            let mut chunk = [0; 4096];
            let n = stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&chunk[..n]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        // An answer that is to break off does so here.
        drop(stream);
        String::from_utf8_lossy(&request).into_owned()
    });
    (base, server)
}

#[tokio::test]
async fn an_answer_is_streamed_piece_by_piece_and_the_key_is_added() {
    let model = FakeModel::start().await.unwrap();
    model.expect_key(CANARY);
    let agent = Agent::of(&model.url()).await;
    let mut answer = agent.asks("#say The end.\n#hold before-result").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let mut got = String::new();
    while !got.contains("The") {
        got += &String::from_utf8_lossy(&answer.chunk().await.unwrap().unwrap());
    }
    model.held(Point::BeforeResult, SOON).await.unwrap();
    assert!(!got.contains("message_stop"), "{got}");
    model.release_all();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        got += &String::from_utf8_lossy(&chunk);
    }
    assert!(got.contains("message_stop") && !got.contains("canary"));
    let request = |event: &Event| matches!(event, Event::Request { key: Key::Good, .. });
    assert_eq!(model.ledger().count(request), 1);
}

#[tokio::test]
async fn whoever_has_no_token_of_a_running_agent_is_refused_and_nothing_goes_on() {
    let model = FakeModel::start().await.unwrap();
    let agent = Agent::of(&model.url()).await;
    let right = agent.token.expose_secret().to_owned();
    let cut = right[..right.len() - 1].to_owned();
    for token in ["", "dummy", CANARY, &cut] {
        let request = agent
            .request(token, "/v1/messages")
            .json(&question("hello"));
        let (kind, words) = error(request.send().await.unwrap(), 401).await;
        assert_eq!(kind, "authentication_error");
        assert!(words.contains("none of theirs"), "{words}");
    }
    let other = agent.proxy.grant(2).unwrap();
    agent.proxy.revoke(1);
    error(agent.asks("hello").await, 401).await;
    assert_eq!(model.ledger().next(), 0);
    let request = agent.request(other.expose_secret(), "/v1/messages");
    let answer = request.json(&question("hello")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn only_what_agents_need_is_served() {
    let model = FakeModel::start().await.unwrap();
    let agent = Agent::of(&model.url()).await;
    for path in ["/v1/files", "/v1/messages/batches", "/", "/v1/complete"] {
        let request = agent.request(agent.token.expose_secret(), path);
        let (kind, words) = error(request.body("{}").send().await.unwrap(), 404).await;
        assert_eq!(kind, "not_found_error");
        assert!(words.contains("/v1/messages"), "{words}");
    }
    assert_eq!(model.ledger().next(), 0);
    let probe = agent.client.head(agent.url("/")).send().await.unwrap();
    assert_eq!(probe.status(), 200);
    let count = agent.request(agent.token.expose_secret(), "/v1/messages/count_tokens");
    let count = count.json(&question("hello")).send().await.unwrap();
    assert_eq!(count.status(), 200);
}

#[tokio::test]
async fn a_request_goes_on_with_the_key_and_without_what_is_ours() {
    let (base, server) = once(
        "HTTP/1.1 200 OK\r\nx-echo: a sk-ant-canary-0123456789 b\r\nset-cookie: a=b\r\n\
         request-id: r\r\ncontent-length: 2\r\n\r\n{}",
    )
    .await;
    let agent = Agent::of(&format!("{base}/gateway/")).await;
    let request = agent
        .request(agent.token.expose_secret(), "/v1/messages?beta=true")
        .header("authorization", "Bearer other")
        .header("cookie", "c=d")
        .header("connection", "keep-alive, x-own")
        .header("x-own", "1")
        .header("accept-encoding", "gzip")
        .header("anthropic-beta", "b");
    let answer = request.json(&json!({})).send().await.unwrap();
    assert_eq!(answer.headers()["request-id"], "r");
    for gone in ["x-echo", "set-cookie"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let came = server.await.unwrap().to_lowercase();
    assert!(
        came.starts_with("post /gateway/v1/messages?beta=true http/1.1\r\n"),
        "{came}"
    );
    for one in [
        "x-api-key: sk-ant-canary-0123456789\r\n",
        "anthropic-version: 2023-06-01\r\n",
        "anthropic-beta: b\r\n",
        "accept-encoding: identity\r\n",
        "content-length: 2\r\n",
    ] {
        assert_eq!(came.matches(one).count(), 1, "{one} in {came}");
    }
    for none in [
        "authorization",
        "cookie",
        "x-own",
        "bulkhead-session-",
        "gzip",
    ] {
        assert!(!came.contains(none), "{none} in {came}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_in_words() {
    let model = FakeModel::start().await.unwrap();
    let limits = Limits {
        body: 3 << 20,
        ..Limits::default()
    };
    let agent = Agent::limited(&model.url(), limits).await;
    let prompt = "x".repeat(4 << 20);
    let (kind, words) = error(agent.asks(&prompt).await, 413).await;
    assert_eq!(kind, "request_too_large");
    assert!(
        words.contains("3 MB") && words.contains("/compact"),
        "{words}"
    );
    assert_eq!(model.ledger().next(), 0);

    // One that does not say how long it will be.
    let pieces =
        futures_util::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(1 << 16))));
    let request = agent.request(agent.token.expose_secret(), "/v1/messages");
    let body = reqwest::Body::wrap_stream(pieces);
    match request.body(body).send().await {
        Ok(answer) => drop(error(answer, 413).await),
        // It may be refused before it is read, which ends the connection under the writer.
        Err(refused) => assert!(refused.is_request(), "{refused:?}"),
    }
}

#[tokio::test]
async fn an_api_that_cannot_be_reached_is_told_in_words() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let agent = Agent::of(&base).await;
    let (kind, words) = error(agent.asks("hello").await, 502).await;
    assert_eq!(kind, "api_error");
    assert!(words.contains("cannot be reached"), "{words}");
    assert!(
        words.contains("base_url") && !words.contains(&base),
        "{words}"
    );
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_with_what_to_do() {
    let model = FakeModel::start().await.unwrap();
    model.expect_key("another");
    let agent = Agent::of(&model.url()).await;
    let (kind, words) = error(agent.asks("hello").await, 401).await;
    assert_eq!(kind, "authentication_error");
    assert!(
        words.contains("invalid x-api-key")
            && words.contains("api_key of [projects.agent.options]"),
        "{words}"
    );
}

#[tokio::test]
async fn other_errors_come_back_as_they_are_but_for_the_key() {
    let model = FakeModel::start().await.unwrap();
    let agent = Agent::of(&model.url()).await;
    let (kind, words) = error(agent.asks("#error 529").await, 529).await;
    assert_eq!(
        (kind.as_str(), words.as_str()),
        ("overloaded_error", "Overloaded")
    );

    let (base, _server) = once(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n\
         {\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"no sk-ant-canary-0123456789 for you, it says.\"}}",
    )
    .await;
    let agent = Agent::of(&base).await;
    let (_, words) = error(agent.asks("hello").await, 400).await;
    assert!(words.contains("no [key] for you"), "{words}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (base, _server) = once(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let agent = Agent::of(&base).await;
    let (_, words) = error(agent.asks("hello").await, 502).await;
    assert!(words.contains("redirect (HTTP 307)"), "{words}");
}

#[tokio::test]
async fn an_api_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let limits = Limits {
        answer: Duration::from_millis(50),
        ..Limits::default()
    };
    let agent = Agent::limited(&base, limits).await;
    let (kind, words) = error(agent.asks("hello").await, 504).await;
    assert_eq!(kind, "api_error");
    assert!(words.contains("did not begin to answer"), "{words}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let (base, _server) =
        once("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nevent: message_start\n\n").await;
    let agent = Agent::of(&base).await;
    let mut answer = agent.asks("hello").await;
    assert_eq!(answer.status(), 200);
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "it ends like one that is whole");
}

#[tokio::test]
async fn an_agent_that_leaves_takes_its_request_along() {
    let model = FakeModel::start().await.unwrap();
    let agent = Agent::of(&model.url()).await;
    for point in ["before-first-delta", "first-delta"] {
        let next = model.ledger().next();
        let prompt = format!("#say {point}\n#hold {point}");
        let asking = agent.asks(&prompt);
        let held = model.held(point.parse().unwrap(), SOON);
        // Whichever comes first: with the earlier point there is no answer yet.
        tokio::select! {
            answer = asking => {
                model.held(point.parse().unwrap(), SOON).await.unwrap();
                drop(answer);
            }
            held = held => drop(held.unwrap()),
        }
        let cut = |event: &Event| matches!(event, Event::Cut { .. });
        model
            .ledger()
            .wait_for_since(next, cut, SOON)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_an_agent_has_under_way_ends_with_its_token() {
    let model = FakeModel::start().await.unwrap();
    let agent = Agent::of(&model.url()).await;
    let mut answer = agent.asks("#say first\n#hold before-result").await;
    model.held(Point::BeforeResult, SOON).await.unwrap();
    agent.proxy.revoke(1);
    while let Ok(chunk) = answer.chunk().await {
        assert!(chunk.is_some(), "it ends like one that is whole");
    }
    let cut = |event: &Event| matches!(event, Event::Cut { .. });
    model.ledger().wait_for(cut, SOON).await.unwrap();
}

#[tokio::test]
async fn one_agent_has_so_many_requests_and_connections() {
    let model = FakeModel::start().await.unwrap();
    let limits = Limits {
        requests: 1,
        connections: 2,
        ..Limits::default()
    };
    let agent = Agent::limited(&model.url(), limits).await;
    let first = agent.asks("#say x\n#hold before-result").await;
    let (kind, words) = error(agent.asks("hello").await, 429).await;
    assert_eq!(kind, "rate_limit_error");
    assert!(words.contains("1 requests of this agent"), "{words}");
    // The connections of both are kept, so this is the third.
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client.get(agent.url("/v1/models"));
    let request = request.header("x-api-key", agent.token.expose_secret());
    let (kind, words) = error(request.send().await.unwrap(), 429).await;
    assert_eq!(kind, "rate_limit_error");
    assert!(words.contains("2 connections of this agent"), "{words}");
    drop(first);
}

#[tokio::test]
async fn who_says_nothing_keeps_no_agent_out() {
    let model = FakeModel::start().await.unwrap();
    let limits = Limits {
        strangers: 3,
        ..Limits::default()
    };
    let agent = Agent::limited(&model.url(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        let place = ("127.0.0.1", agent.proxy.port());
        silent.push(tokio::net::TcpStream::connect(place).await.unwrap());
    }
    assert_eq!(agent.asks("hello").await.status(), 200);
    // It took the place of the oldest.
    let ended = silent[0].read(&mut [0]).await;
    assert_eq!(ended.unwrap_or_default(), 0);
}

#[tokio::test]
async fn a_connection_without_an_agents_token_does_not_stay() {
    let model = FakeModel::start().await.unwrap();
    let limits = Limits {
        first: Duration::from_millis(300),
        ..Limits::default()
    };
    let agent = Agent::limited(&model.url(), limits).await;
    let place = ("127.0.0.1", agent.proxy.port());
    let mut stranger = tokio::net::TcpStream::connect(place).await.unwrap();
    // A word now and then does not help, nor a key that is none.
    let asked = "GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: none\r\n\r\nGET ";
    stranger.write_all(asked.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let ended = tokio::time::timeout(SOON, stranger.read_to_end(&mut said));
    let _ = ended.await.unwrap();
    assert!(
        said.starts_with(b"HTTP/1.1 401 "),
        "{}",
        String::from_utf8_lossy(&said)
    );
    // An agent's stays.
    let asked = format!(
        "HEAD /v1/nothing HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n",
        agent.token.expose_secret()
    );
    let mut known = tokio::net::TcpStream::connect(place).await.unwrap();
    let mut other = tokio::net::TcpStream::connect(place).await.unwrap();
    for _ in 0..2 {
        known.write_all(asked.as_bytes()).await.unwrap();
        let mut said = [0; 1024];
        let read = known.read(&mut said).await.unwrap();
        assert!(said[..read].starts_with(b"HTTP/1.1 404 "));
        // By then a stranger of the same age is gone.
        let _ = tokio::time::timeout(SOON, other.read(&mut [0]))
            .await
            .unwrap();
    }
}
