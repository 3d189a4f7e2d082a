//! From an address to a WebSocket, through a proxy if there is one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

use crate::options::Options;

/// The gateway's WebSocket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The largest message that is taken, in bytes. The largest that Discord sends describes a whole
/// server and has some megabytes.
const LARGEST: usize = 16 << 20;
/// How long the whole of it may take.
const DIAL: Duration = Duration::from_secs(15);
/// The longest answer of a proxy that is read, in bytes.
const PROXY_ANSWER: usize = 4096;

/// `proxy`, `proxy_username`, `proxy_password`.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SecretString,
    pub(crate) user: String,
    pub(crate) password: SecretString,
}

impl Proxy {
    /// As configured.
    pub(crate) fn of(options: &Options) -> Option<Proxy> {
        let address = options.proxy.clone()?;
        Some(Proxy {
            address,
            user: options.proxy_username.clone(),
            password: options.proxy_password.clone(),
        })
    }
}

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
        Some(proxy) => through(&proxy, &host, port)
            .await
            .map_err(|why| format!("the proxy does not connect: {why}"))?,
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

/// A connection to `host` through the proxy.
async fn through(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, String> {
    let address = Url::parse(proxy.address.expose_secret()).map_err(|_| "its address is none")?;
    let default = if address.scheme() == "http" { 80 } else { 1080 };
    let name = address.host_str().ok_or("its address names no host")?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((name, address.port().unwrap_or(default)))
        .await
        .map_err(|error| error.to_string())?;
    let in_address = || {
        (
            address.username().to_owned(),
            address.password().unwrap_or("").to_owned(),
        )
    };
    let (user, password) = if proxy.user.is_empty() {
        in_address()
    } else {
        (
            proxy.user.clone(),
            proxy.password.expose_secret().to_owned(),
        )
    };
    match address.scheme() {
        "http" => tunnel(&mut stream, host, port, &user, &password).await?,
        _ => socks(&mut stream, host, port, &user, &password).await?,
    }
    Ok(stream)
}

/// HTTP CONNECT (RFC 9110, 9.3.6).
async fn tunnel(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    user: &str,
    password: &str,
) -> Result<(), String> {
    let authorization = if user.is_empty() {
        String::new()
    } else {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        format!("Proxy-Authorization: Basic {pair}\r\n")
    };
    let request =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    // Byte by byte: what follows the answer is the gateway's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err("its answer has no end".into());
        }
        answer.push(stream.read_u8().await.map_err(|error| error.to_string())?);
    }
    let line = String::from_utf8_lossy(&answer);
    match line.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some("407") => Err("it wants another proxy_username and proxy_password".into()),
        Some(status) => Err(format!(
            "it answers with {}",
            status.chars().take(3).collect::<String>()
        )),
        None => Err("its answer is no HTTP".into()),
    }
}

/// SOCKS 5 (RFC 1928, 1929); the proxy resolves the name.
async fn socks(
    stream: &mut TcpStream,
    host: &str,
    port: u16,
    user: &str,
    password: &str,
) -> Result<(), String> {
    let broken = |error: std::io::Error| error.to_string();
    let length = |text: &str| u8::try_from(text.len()).map_err(|_| "a name is too long".to_owned());
    let method = if user.is_empty() { 0 } else { 2 };
    stream.write_all(&[5, 1, method]).await.map_err(broken)?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await.map_err(broken)?;
    if chosen != [5, method] {
        return Err("it wants another way to log in".into());
    }
    if method == 2 {
        let mut login = vec![1, length(user)?];
        login.extend(user.bytes());
        login.push(length(password)?);
        login.extend(password.bytes());
        stream.write_all(&login).await.map_err(broken)?;
        stream.read_exact(&mut chosen).await.map_err(broken)?;
        if chosen[1] != 0 {
            return Err("it wants another proxy_username and proxy_password".into());
        }
    }
    let mut request = vec![5, 1, 0, 3, length(host)?];
    request.extend(host.bytes());
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await.map_err(broken)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(broken)?;
    if head[1] != 0 {
        return Err(format!("it answers with SOCKS error {}", head[1]));
    }
    let rest = match head[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await.map_err(broken)?),
    };
    let mut bound = vec![0; rest + 2];
    stream.read_exact(&mut bound).await.map_err(broken)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

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

    fn proxy(scheme: &str, port: u16) -> Proxy {
        Proxy {
            address: format!("{scheme}://127.0.0.1:{port}").into(),
            user: "user".into(),
            password: "pass".into(),
        }
    }

    /// What a proxy is sent, as it answers step by step; each step reads so many bytes.
    async fn steps(listener: TcpListener, steps: &[(usize, &[u8])]) -> Vec<u8> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        for (bytes, answer) in steps {
            let mut piece = vec![0; *bytes];
            stream.read_exact(&mut piece).await.unwrap();
            got.extend(piece);
            stream.write_all(answer).await.unwrap();
        }
        got
    }

    #[tokio::test]
    async fn through_an_http_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = proxy("http", listener.local_addr().unwrap().port());
        let expected = "CONNECT gateway.test:443 HTTP/1.1\r\nHost: gateway.test:443\r\n\
                        Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";
        let answer: &[(usize, &[u8])] = &[(expected.len(), b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n!")];
        let (stream, got) = tokio::join!(
            through(&proxy, "gateway.test", 443),
            steps(listener, answer)
        );
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        assert_eq!(
            stream.unwrap().read_u8().await.unwrap(),
            b'!',
            "what follows is the gateway's"
        );
    }

    #[tokio::test]
    async fn an_http_proxy_that_refuses_is_told_in_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = proxy("http", listener.local_addr().unwrap().port());
        let answer: &[(usize, &[u8])] = &[(10, b"HTTP/1.1 407 No\r\n\r\n")];
        let (stream, _) = tokio::join!(
            through(&proxy, "gateway.test", 443),
            steps(listener, answer)
        );
        assert!(stream.unwrap_err().contains("proxy_password"));
    }

    #[tokio::test]
    async fn through_a_socks_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = proxy("socks5", listener.local_addr().unwrap().port());
        let answers: &[(usize, &[u8])] = &[
            (3, &[5, 2]),
            (11, &[1, 0]),
            (19, &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80, b'!']),
        ];
        let (stream, got) = tokio::join!(
            through(&proxy, "gateway.test", 443),
            steps(listener, answers)
        );
        assert_eq!(
            got,
            b"\x05\x01\x02\x01\x04user\x04pass\x05\x01\x00\x03\x0cgateway.test\x01\xbb"
        );
        assert_eq!(stream.unwrap().read_u8().await.unwrap(), b'!');
    }
}
