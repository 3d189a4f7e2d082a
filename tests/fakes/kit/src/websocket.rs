//! WebSocket over the [`crate::Server`], down to the TCP stream.
//!
//! Promises: the handshake of RFC 6455 with clear refusals; the task that speaks ends with the server.
//! Does not: extensions, subprotocols or compression.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::server::Stopping;

/// The server's end of one WebSocket.
pub type WebSocket = WebSocketStream<TcpStream>;

/// A request that asks for a WebSocket; an extractor.
#[derive(Debug)]
pub struct Upgrade {
    accept: HeaderValue,
    on_upgrade: OnUpgrade,
    stopping: Option<Stopping>,
}

impl Upgrade {
    /// Says yes. `speak` runs in a task of its own, with the socket, until it returns or the server stops.
    #[must_use]
    pub fn accept<F, Speaking>(self, config: WebSocketConfig, speak: F) -> Response
    where
        F: FnOnce(WebSocket) -> Speaking + Send + 'static,
        Speaking: Future<Output = ()> + Send + 'static,
    {
        let Self {
            accept,
            on_upgrade,
            stopping,
        } = self;
        tokio::spawn(async move {
            let talk = async {
                // The client left before the handshake was through.
                let Ok(upgraded) = on_upgrade.await else {
                    return;
                };
                // Our server puts nothing but this into hyper.
                let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                    return;
                };
                let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
                let socket =
                    WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config));
                speak(socket.await).await;
            };
            match stopping {
                Some(mut stopping) => tokio::select! {
                    () = stopping.wait() => {}
                    () = talk => {}
                },
                None => talk.await,
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let headers = &parts.headers;
        if parts.method != Method::GET
            || !names(headers, &CONNECTION, "upgrade")
            || !names(headers, &UPGRADE, "websocket")
        {
            return Err((
                StatusCode::BAD_REQUEST,
                "this address speaks WebSocket only\n",
            ));
        }
        if !names(headers, &SEC_WEBSOCKET_VERSION, "13") {
            return Err((
                StatusCode::UPGRADE_REQUIRED,
                "WebSocket version 13 is needed\n",
            ));
        }
        let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
            return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n"));
        };
        // Base64 is always a valid header value.
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
            .map_err(|_| (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is unusable\n"))?;
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let on_upgrade = on_upgrade.ok_or((
            StatusCode::BAD_REQUEST,
            "this connection cannot be upgraded\n",
        ))?;
        Ok(Self {
            accept,
            on_upgrade,
            stopping: parts.extensions.get::<Stopping>().cloned(),
        })
    }
}

/// Whether a comma-separated header names `token`, in any case.
fn names(headers: &HeaderMap, header: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// Ends the TCP connection with a reset and no close frame, as a dead router or a killed peer does.
///
/// # Errors
/// The option could not be set; the connection is then closed in the normal way.
pub fn reset(socket: WebSocket) -> io::Result<()> {
    let stream = socket.into_inner();
    #[allow(deprecated)] // Its reason is that lingering can block the thread; zero never lingers.
    stream.set_linger(Some(Duration::ZERO))
}
