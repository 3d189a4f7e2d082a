//! The shell to the network: the token request and the WebSocket. Errors become words here, without
//! an address: the WebSocket's holds the token.

use std::error::Error;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{
    Error as WsError, Message, Utf8Bytes, protocol::WebSocketConfig,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::session::Refusal;
use crate::token::{self, Token, TokenError};

/// The largest frame: a picture of 10 MiB is 14 MB as base64, and some room for what is around it.
const LARGEST_FRAME: usize = 16 << 20;
/// The largest answer of the token endpoint.
const LARGEST_ANSWER: usize = 64 << 10;
/// Frames that wait to be written; more means a connection that takes nothing.
const WRITES: usize = 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What comes from the network.
#[derive(Debug)]
pub(crate) enum Io {
    /// The token endpoint has answered.
    Token(Result<Token, TokenError>),
    /// Connection number so-and-so stands; frames go in here.
    Connected(u64, mpsc::Sender<Message>),
    /// A text frame.
    Text(u64, Utf8Bytes),
    /// A WebSocket pong.
    Pong(u64),
    /// The connection is over, or never stood.
    Ended(u64, Refusal),
}

/// A client for the token endpoint.
///
/// # Errors
/// TLS cannot be set up.
pub(crate) fn client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    // No redirects: the secret goes where it was meant to go, or nowhere.
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(Policy::none())
        .no_proxy()
        .build()
}

/// Asks for a token.
///
/// # Errors
/// [`TokenError`].
pub(crate) async fn fetch_token(
    client: &reqwest::Client,
    endpoint: &str,
    app_id: &str,
    app_secret: &SecretString,
) -> Result<Token, TokenError> {
    let secret = app_secret.expose_secret();
    let ask = serde_json::json!({"app_id": app_id, "app_secret": secret});
    let answer = async {
        let mut response = client.post(endpoint).json(&ask).send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST_ANSWER {
                break; // no JSON any more, and said so
            }
        }
        Ok((status, body))
    };
    let answer: reqwest::Result<_> = answer.await;
    let scrub = |words: String| words.replace(secret, "…");
    match answer {
        Ok((status, body)) => token::read(status, &body).map_err(|error| match error {
            TokenError::Transient(words) => TokenError::Transient(scrub(words)),
            TokenError::Credentials(words) => TokenError::Credentials(scrub(words)),
        }),
        Err(error) => {
            let words = if error.is_timeout() {
                "the token endpoint does not answer".into()
            } else {
                format!(
                    "the token endpoint cannot be reached: {}",
                    root(&error.without_url())
                )
            };
            Err(TokenError::Transient(scrub(words)))
        }
    }
}

/// The innermost reason, which is the one that helps.
fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Connects, then carries frames both ways until the connection ends. Everything is told to `io`,
/// under `number`; the last thing is [`Io::Ended`].
pub(crate) async fn converse(
    number: u64,
    endpoint: String,
    app_id: String,
    token: SecretString,
    timeout: Duration,
    io: mpsc::Sender<Io>,
) {
    let refusal = match connect(&endpoint, &app_id, &token, timeout).await {
        Ok(socket) => carry(number, socket, &io).await,
        Err(refusal) => refusal,
    };
    // Nobody listens any more: the worker is ending.
    let _ = io.send(Io::Ended(number, refusal)).await;
}

async fn connect(
    endpoint: &str,
    app_id: &str,
    token: &SecretString,
    timeout: Duration,
) -> Result<Socket, Refusal> {
    let plain = |words: String| Refusal {
        words,
        token: false,
    };
    let mut url =
        url::Url::parse(endpoint).map_err(|error| plain(format!("ws_endpoint: {error}")))?;
    url.query_pairs_mut()
        .append_pair("app_id", app_id)
        .append_pair("token", token.expose_secret());
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME));
    let connecting = connect_async_with_config(url.as_str(), Some(config), true);
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Http(response))) => Err(Refusal::status(response.status().as_u16())),
        Ok(Err(error)) => Err(plain(format!("cannot connect: {}", words_of(&error)))),
        Err(_) => Err(plain(format!(
            "no connection within {} s",
            timeout.as_secs()
        ))),
    }
}

/// An error's words, where they cannot hold the address.
fn words_of(error: &WsError) -> String {
    match error {
        WsError::Io(error) => error.to_string(),
        WsError::Tls(error) => format!("TLS: {}", root(error)),
        WsError::Capacity(error) => error.to_string(),
        WsError::Protocol(error) => error.to_string(),
        WsError::ConnectionClosed | WsError::AlreadyClosed => "it was closed".into(),
        WsError::Utf8(_) => "a text frame that is no text".into(),
        _ => "the address cannot be used".into(),
    }
}

async fn carry(number: u64, socket: Socket, io: &mpsc::Sender<Io>) -> Refusal {
    let (mut sink, mut stream) = socket.split();
    let (writer, mut writes) = mpsc::channel(WRITES);
    let gone = || Refusal {
        words: "the worker is ending".into(),
        token: false,
    };
    if io.send(Io::Connected(number, writer)).await.is_err() {
        return gone();
    }
    let write = async {
        while let Some(first) = writes.recv().await {
            sink.feed(first).await?;
            while let Ok(more) = writes.try_recv() {
                sink.feed(more).await?;
            }
            sink.flush().await?;
        }
        Ok::<(), WsError>(())
    };
    let read = async {
        loop {
            let event = match stream.next().await {
                Some(Ok(Message::Text(text))) => Io::Text(number, text),
                Some(Ok(Message::Pong(_))) => Io::Pong(number),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Refusal::closed(Some(close.code.into()), &close.reason);
                }
                Some(Ok(Message::Close(None))) | None => return Refusal::closed(None, "closed"),
                // Pings are answered by the library; binary frames mean nothing here.
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Refusal::closed(None, &words_of(&error)),
            };
            if io.send(event).await.is_err() {
                return gone();
            }
        }
    };
    tokio::pin!(read);
    tokio::select! {
        refusal = &mut read => refusal,
        // A close frame may still be on its way in: its words tell more than a failed write.
        written = write => match tokio::time::timeout(Duration::from_millis(500), read).await {
            Ok(refusal) => refusal,
            Err(_) => Refusal::closed(None, &written.err().map(|e| words_of(&e)).unwrap_or_default()),
        },
    }
}
