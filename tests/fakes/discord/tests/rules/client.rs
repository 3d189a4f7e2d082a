//! A bot of few lines: one WebSocket, one HTTP client, no cleverness.

use std::sync::Once;
use std::time::Duration;

use fake_discord::{FakeDiscord, Id};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) const SOON: Duration = Duration::from_secs(10);
/// GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT.
pub(crate) const INTENTS: u64 = 37377;

/// What a socket gives next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Frame(Value),
    /// A close frame with this code.
    Closed(u16),
    /// The end without a close frame.
    Cut,
}

pub(crate) struct Gateway {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    token: String,
    pub(crate) seq: Option<u64>,
    pub(crate) session: String,
    pub(crate) resume_url: String,
}

impl Gateway {
    /// Connects to the base address and says nothing.
    pub(crate) async fn connect(fake: &FakeDiscord) -> Self {
        Self::connect_to(fake, &fake.gateway_url()).await
    }

    pub(crate) async fn connect_to(fake: &FakeDiscord, url: &str) -> Self {
        let (socket, _) = connect_async(format!("{url}/?v=10&encoding=json"))
            .await
            .unwrap();
        Self {
            socket,
            token: fake.token(),
            seq: None,
            session: String::new(),
            resume_url: String::new(),
        }
    }

    /// Connected, identified and told of its guilds.
    pub(crate) async fn ready(fake: &FakeDiscord) -> Self {
        let mut bot = Self::connect(fake).await;
        bot.hello().await;
        bot.identify(INTENTS).await;
        bot.event("READY").await;
        bot.event("GUILD_CREATE").await;
        bot
    }

    pub(crate) async fn hello(&mut self) -> Value {
        let hello = self.frame().await;
        assert_eq!(hello["op"], 10);
        hello
    }

    pub(crate) async fn send(&mut self, op: u64, d: Value) {
        self.text(json!({ "op": op, "d": d }).to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn identify(&mut self, intents: u64) {
        let properties = json!({ "os": "linux", "browser": "test", "device": "test" });
        let d = json!({ "token": self.token, "intents": intents, "properties": properties });
        self.send(2, d).await;
    }

    pub(crate) async fn next(&mut self) -> Next {
        loop {
            let next = tokio::time::timeout(SOON, self.socket.next())
                .await
                .expect("a frame in time");
            match next {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if let Some(seq) = frame["s"].as_u64() {
                        self.seq = Some(seq);
                    }
                    if frame["t"] == "READY" {
                        self.session = frame["d"]["session_id"].as_str().unwrap().into();
                        self.resume_url = frame["d"]["resume_gateway_url"].as_str().unwrap().into();
                    }
                    return Next::Frame(frame);
                }
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(Next::Cut, |frame| Next::Closed(frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Next::Cut,
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Next::Frame(frame) => frame,
            other => panic!("a frame was expected, not {other:?}"),
        }
    }

    /// The next dispatch, which must have this name; gives its `d`.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame["t"], name, "{frame}");
        frame["d"].clone()
    }

    /// Reads until the socket ends; gives how.
    pub(crate) async fn end(&mut self) -> Next {
        loop {
            match self.next().await {
                Next::Frame(_) => {}
                end => return end,
            }
        }
    }

    pub(crate) async fn beat(&mut self) -> Value {
        self.send(1, json!(self.seq)).await;
        self.frame().await
    }

    pub(crate) async fn close(mut self, code: u16) -> Parted {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        let parted = self.part();
        // The answer to the close frame.
        while let Ok(Some(Ok(_))) = tokio::time::timeout(SOON, self.socket.next()).await {}
        parted
    }

    /// What is needed to resume.
    pub(crate) fn part(&self) -> Parted {
        Parted {
            token: self.token.clone(),
            session: self.session.clone(),
            seq: self.seq,
            url: self.resume_url.clone(),
        }
    }
}

/// What a bot remembers of a session.
#[derive(Debug, Clone)]
pub(crate) struct Parted {
    pub(crate) token: String,
    pub(crate) session: String,
    pub(crate) seq: Option<u64>,
    pub(crate) url: String,
}

impl Parted {
    /// A new connection to the resume address that has said RESUME.
    pub(crate) async fn resume(&self, fake: &FakeDiscord) -> Gateway {
        let mut bot = Gateway::connect_to(fake, &self.url).await;
        bot.hello().await;
        bot.session.clone_from(&self.session);
        bot.resume_url.clone_from(&self.url);
        bot.seq = self.seq;
        let d = json!({ "token": self.token, "session_id": self.session, "seq": self.seq });
        bot.send(6, d).await;
        bot
    }
}

pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// Status, headers and JSON (or null) of a response.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn code(&self) -> (u16, u64) {
        (self.status, self.body["code"].as_u64().unwrap_or(0))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> Id {
        assert!(self.status < 300, "{} {}", self.status, self.text);
        serde_json::from_value(self.body["id"].clone()).unwrap()
    }
}

pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Only plain HTTP is spoken here, but the client wants to know how it would do TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .user_agent("DiscordBot (https://example.org/test, 1)")
        .no_proxy()
        .build()
        .unwrap()
}

impl Rest {
    pub(crate) fn new(fake: &FakeDiscord) -> Self {
        Self {
            http: http(),
            base: fake.api_base(),
            token: fake.token(),
        }
    }

    pub(crate) fn with_token(fake: &FakeDiscord, token: &str) -> Self {
        Self {
            token: token.into(),
            ..Self::new(fake)
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.header("authorization", format!("Bot {}", self.token))
    }

    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Got {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Got {
            status,
            headers,
            body,
            text,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        Self::send(self.request("GET", path)).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        Self::send(self.request(method, path).json(&body)).await
    }

    pub(crate) async fn post(&self, channel: Id, body: Value) -> Got {
        self.call("POST", &format!("/channels/{channel}/messages"), body)
            .await
    }

    pub(crate) async fn say(&self, channel: Id, text: &str) -> Got {
        self.post(channel, json!({ "content": text })).await
    }

    /// A post with files, as multipart.
    pub(crate) async fn upload(&self, channel: Id, body: Value, files: &[(&str, &[u8])]) -> Got {
        let edge = "edge-of-a-part";
        let mut form = format!(
            "--{edge}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
        .into_bytes();
        for (index, (name, data)) in files.iter().enumerate() {
            let head = format!(
                "--{edge}\r\nContent-Disposition: form-data; name=\"files[{index}]\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n"
            );
            form.extend(head.into_bytes());
            form.extend(*data);
            form.extend(b"\r\n");
        }
        form.extend(format!("--{edge}--\r\n").into_bytes());
        let request = self.request("POST", &format!("/channels/{channel}/messages"));
        let kind = format!("multipart/form-data; boundary={edge}");
        Self::send(request.header("content-type", kind).body(form)).await
    }
}
