//! The shell to the network: the token request and the WebSocket. Errors become words here, without
//! an address: the WebSocket's holds the token.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{
    Error as WsError, Message, Utf8Bytes, protocol::WebSocketConfig,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::heard::{Heard, Listening};
use crate::refusal::Refusal;
use crate::token::{self, Token, TokenError};
use crate::veil::Veil;

/// The largest frame: a picture of 10 MiB is 14 MB as base64, and some room for what is around it.
const LARGEST_FRAME: usize = 16 << 20;
/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 << 10;
/// Frames that wait to be written; more means a connection that takes nothing.
const WRITES: usize = 1024;

type Socket = WebSocketStream<MaybeTlsStream<Listening<TcpStream>>>;

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

/// A client for the REST calls.
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
    veil: &Veil,
) -> Result<Token, TokenError> {
    let ask = serde_json::json!({"app_id": app_id, "app_secret": app_secret.expose_secret()});
    let answer = async {
        let mut response = client.post(endpoint).json(&ask).send().await?;
        Ok((response.status().as_u16(), read_body(&mut response).await?))
    };
    let answer: reqwest::Result<_> = answer.await;
    match answer {
        Ok((status, body)) => token::read(status, &body, veil),
        Err(error) => Err(TokenError::Transient(unreached(
            "the token endpoint",
            error,
        ))),
    }
}

/// An answer's body, as far as it is of any use.
///
/// # Errors
/// It breaks off.
pub(crate) async fn read_body(response: &mut reqwest::Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > LARGEST_ANSWER {
            break; // no JSON any more, and said so
        }
    }
    Ok(body)
}

/// Why a request has no answer, in words without its address.
pub(crate) fn unreached(what: &str, error: reqwest::Error) -> String {
    if error.is_timeout() {
        format!("{what} does not answer")
    } else {
        format!("{what} cannot be reached: {}", root(&error.without_url()))
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

/// A connection that is to be made.
pub(crate) struct Dial {
    /// Its number.
    pub(crate) number: u64,
    /// Where to.
    pub(crate) endpoint: String,
    /// As whom.
    pub(crate) app_id: String,
    /// With this.
    pub(crate) token: SecretString,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Is told of whatever comes in.
    pub(crate) heard: Arc<Heard>,
    /// Covers what the server may repeat.
    pub(crate) veil: Veil,
}

/// Connects, then carries frames both ways until the connection ends. Everything is told to `io`,
/// under its number; the last thing is [`Io::Ended`].
pub(crate) async fn converse(dial: Dial, io: mpsc::Sender<Io>) {
    let number = dial.number;
    let refusal = match connect(&dial).await {
        Ok(socket) => carry(number, socket, &dial.veil, &io).await,
        Err(refusal) => refusal,
    };
    // Nobody listens any more: the worker is ending.
    let _ = io.send(Io::Ended(number, refusal)).await;
}

async fn connect(dial: &Dial) -> Result<Socket, Refusal> {
    let mut url = url::Url::parse(&dial.endpoint)
        .map_err(|error| Refusal::connection(format!("ws_endpoint: {error}")))?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Refusal::connection("ws_endpoint names no host"));
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    url.query_pairs_mut()
        .append_pair("app_id", &dial.app_id)
        .append_pair("token", dial.token.expose_secret());
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME));
    let connecting = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let stream = Listening::new(stream, Arc::clone(&dial.heard));
        client_async_tls_with_config(url.as_str(), stream, Some(config), None).await
    };
    match tokio::time::timeout(dial.timeout, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WsError::Http(response))) => Err(Refusal::status(response.status().as_u16())),
        Ok(Err(error)) => {
            let words = format!("cannot connect: {}", words_of(&error));
            Err(Refusal::connection(words))
        }
        Err(_) => {
            let seconds = dial.timeout.as_secs();
            Err(Refusal::connection(format!(
                "no connection within {seconds} s"
            )))
        }
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

async fn carry(number: u64, socket: Socket, veil: &Veil, io: &mpsc::Sender<Io>) -> Refusal {
    let (mut sink, mut stream) = socket.split();
    let (writer, mut writes) = mpsc::channel(WRITES);
    let gone = || Refusal::connection("the worker is ending");
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
                    return Refusal::closed(close.code.into(), &close.reason, veil);
                }
                Some(Ok(Message::Close(None))) | None => return Refusal::broken("closed"),
                // Pings are answered by the library; binary frames mean nothing here.
                Some(Ok(_)) => continue,
                Some(Err(WsError::Capacity(_))) => return Refusal::too_large(LARGEST_FRAME),
                Some(Err(error)) => return Refusal::broken(&words_of(&error)),
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
            Err(_) => Refusal::broken(&written.err().map(|e| words_of(&e)).unwrap_or_default()),
        },
    }
}
