//! From an address to a WebSocket, through a proxy if there is one.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use crate::proxy::Proxy;

/// The gateway's WebSocket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The largest message that is taken, in bytes. The largest that Discord sends describes a whole
/// server and has some megabytes.
const LARGEST: usize = 16 << 20;
/// How long the whole of it may take.
const DIAL: Duration = Duration::from_secs(15);
/// The address with the version and the encoding that are spoken here, or why it is none. Where
/// REST is encrypted the gateway has to be too: the token goes there.
pub(crate) fn address(told: &str, encrypted: bool) -> Result<Url, String> {
    let mut url = Url::parse(told).map_err(|_| "Discord named a gateway address that is none")?;
    if url.scheme() != "wss" && (encrypted || url.scheme() != "ws") {
        return Err("Discord named a gateway address that is not encrypted".into());
    }
    url.set_query(Some("v=10&encoding=json"));
    Ok(url)
}

/// Connects.
///
/// # Errors
/// In words, without the address of a proxy.
pub(crate) async fn dial(url: Url, proxy: Option<Arc<Proxy>>) -> Result<Socket, String> {
    match tokio::time::timeout(DIAL, connect(url, proxy)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no connection within {} s", DIAL.as_secs())),
    }
}

async fn connect(url: Url, proxy: Option<Arc<Proxy>>) -> Result<Socket, String> {
    let host = url
        .host_str()
        .ok_or("the gateway's address names no host")?
        .to_owned();
    let port = url
        .port_or_known_default()
        .ok_or("the gateway's address names no port")?;
    let stream = match proxy {
        None => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            TcpStream::connect((bare, port))
                .await
                .map_err(|error| error.to_string())?
        }
        Some(proxy) => proxy.connect(&host, port).await?,
    };
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    client_async_tls_with_config(url.as_str(), stream, Some(config), None)
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_ours_to_complete_and_encrypted_where_rest_is() {
        let url = address("wss://gateway.discord.gg", true).unwrap();
        assert_eq!(url.as_str(), "wss://gateway.discord.gg/?v=10&encoding=json");
        let url = address("ws://127.0.0.1:9/resume?x=1", false).unwrap();
        assert_eq!(url.as_str(), "ws://127.0.0.1:9/resume?v=10&encoding=json");
        for (told, encrypted) in [
            ("ws://a", true),
            ("http://a", false),
            ("junk", false),
            ("", true),
        ] {
            assert!(address(told, encrypted).is_err(), "{told}");
        }
    }
}
