//! The way to Discord through a proxy: HTTP CONNECT (RFC 9110, 9.3.6) or SOCKS 5 (RFC 1928, 1929).
//!
//! Promises:
//! - The proxy resolves Discord's names: nothing of the bot goes past it, no question to a name
//!   server either.
//! - A proxy that is down, refuses or hangs is told in words, without its address or password.
//!
//! The gateway goes through [`Proxy::connect`]. REST and files go through the HTTP client's own
//! proxy code, which does not tell why it fails: then the proxy is asked here once more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::options::Options;

/// The longest answer that is read, in bytes.
const ANSWER: usize = 4096;
/// What a person must mend where the proxy wants a login, or another one.
const LOGIN: &str = "it refuses proxy_username and proxy_password";
const NO_LOGIN: &str = "it wants a login: set proxy_username and proxy_password";

/// `proxy`, `proxy_username`, `proxy_password`.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    scheme: Scheme,
    host: String,
    port: u16,
    /// Empty: no login.
    user: String,
    password: SecretString,
    /// How long it may take to stand between us and Discord.
    patience: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Socks,
}

impl Proxy {
    /// As configured. A user in `proxy_username` goes before one in the address.
    ///
    /// # Errors
    /// In words: the address is none.
    pub(crate) fn of(options: &Options) -> Result<Option<Proxy>, String> {
        let Some(address) = &options.proxy else {
            return Ok(None);
        };
        const NONE: &str = "`proxy` is no address; write http://HOST:PORT or socks5://HOST:PORT";
        let address = Url::parse(address.expose_secret()).map_err(|_| NONE)?;
        let (scheme, usual) = match address.scheme() {
            "http" => (Scheme::Http, 80),
            "socks5" | "socks5h" => (Scheme::Socks, 1080),
            _ => return Err(NONE.into()),
        };
        let host = address.host_str().ok_or(NONE)?;
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = if options.proxy_username.is_empty() {
            let password = plain(address.password().unwrap_or(""));
            (plain(address.username()), password.into())
        } else {
            let user = options.proxy_username.clone();
            (user, options.proxy_password.clone())
        };
        Ok(Some(Proxy {
            scheme,
            host: host.to_owned(),
            port: address.port().unwrap_or(usual),
            user,
            password,
            patience: Duration::from_millis(options.timing.connect_ms),
        }))
    }

    /// The same for the HTTP client.
    ///
    /// # Errors
    /// In words: it will not have the address.
    pub(crate) fn for_rest(&self) -> Result<reqwest::Proxy, String> {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            // `h`: names are resolved by the proxy.
            Scheme::Socks => "socks5h",
        };
        let proxy = reqwest::Proxy::all(format!("{scheme}://{}:{}", self.host, self.port))
            .map_err(|_| "`proxy` is an address that the HTTP client does not take")?;
        if self.user.is_empty() {
            return Ok(proxy);
        }
        Ok(proxy.basic_auth(&self.user, self.password.expose_secret()))
    }

    /// A connection to `host`, through the proxy.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let why = match tokio::time::timeout(self.patience, self.through(host, port)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => why,
            Err(_) => format!(
                "it does not answer within {:.0} s",
                self.patience.as_secs_f64().ceil()
            ),
        };
        Err(format!("the proxy does not connect: {why}"))
    }

    async fn through(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((name, self.port))
            .await
            .map_err(|error| error.to_string())?;
        match self.scheme {
            Scheme::Http => self.tunnel(&mut stream, host, port).await?,
            Scheme::Socks => self.socks(&mut stream, host, port).await?,
        }
        Ok(stream)
    }

    async fn tunnel(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), String> {
        let login = if self.user.is_empty() {
            String::new()
        } else {
            let pair = format!("{}:{}", self.user, self.password.expose_secret());
            format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(pair))
        };
        let request =
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        // Byte by byte: what follows the answer is the other side's.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= ANSWER {
                return Err("its answer has no end".into());
            }
            answer.push(stream.read_u8().await.map_err(broken)?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let status = answer
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        match status {
            Some(200..300) => Ok(()),
            Some(407) => Err(self.login()),
            Some(status @ 400..500) => Err(format!("it refuses with HTTP {status}")),
            Some(status @ 0..1000) => Err(format!("it answers with HTTP {status}")),
            _ => Err("its answer is no HTTP".into()),
        }
    }

    async fn socks(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), String> {
        const OPEN: u8 = 0;
        const PASSWORD: u8 = 2;
        let methods: &[u8] = if self.user.is_empty() {
            &[5, 1, OPEN]
        } else {
            &[5, 2, OPEN, PASSWORD]
        };
        stream.write_all(methods).await.map_err(broken)?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.map_err(broken)?;
        match chosen {
            [5, OPEN] => {}
            [5, PASSWORD] if !self.user.is_empty() => {
                let mut login = vec![1];
                piece(&mut login, &self.user)?;
                piece(&mut login, self.password.expose_secret())?;
                stream.write_all(&login).await.map_err(broken)?;
                stream.read_exact(&mut chosen).await.map_err(broken)?;
                if chosen[1] != 0 {
                    return Err(self.login());
                }
            }
            [5, _] => return Err(self.login()),
            _ => return Err("its answer is no SOCKS 5".into()),
        }
        let mut request = vec![5, 1, 0, 3];
        piece(&mut request, host)?;
        request.extend(port.to_be_bytes());
        stream.write_all(&request).await.map_err(broken)?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.map_err(broken)?;
        match head[1] {
            0 => {}
            2 => return Err("it refuses: its rules do not allow it".into()),
            3 | 4 => return Err("it cannot reach Discord".into()),
            error => return Err(format!("it answers with SOCKS error {error}")),
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

    fn login(&self) -> String {
        let words = if self.user.is_empty() {
            NO_LOGIN
        } else {
            LOGIN
        };
        words.into()
    }
}

/// A text with its length before it, as SOCKS has them.
fn piece(out: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let length = u8::try_from(text.len()).map_err(|_| "a name is too long for SOCKS")?;
    out.push(length);
    out.extend(text.bytes());
    Ok(())
}

fn broken(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it closes the connection".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn proxy(address: &str, user: &str) -> Proxy {
        let options = json!({"proxy": address, "proxy_username": user, "proxy_password": "pass"});
        let options: Options = serde_json::from_value(options).unwrap();
        Proxy::of(&options).unwrap().unwrap()
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

    /// What comes of the proxy's answers, and what it was sent.
    async fn play(
        scheme: &str,
        user: &str,
        answers: &[(usize, &[u8])],
    ) -> (Result<TcpStream, String>, Vec<u8>) {
        let (listener, port) = listener().await;
        let proxy = proxy(&format!("{scheme}://127.0.0.1:{port}"), user);
        tokio::join!(proxy.connect("gateway.test", 443), steps(listener, answers))
    }

    #[tokio::test]
    async fn over_http_what_follows_the_answer_is_the_other_sides() {
        let expected = "CONNECT gateway.test:443 HTTP/1.1\r\nHost: gateway.test:443\r\n\
                        Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";
        let answers: &[(usize, &[u8])] = &[(expected.len(), b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n!")];
        let (stream, got) = play("http", "user", answers).await;
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        assert_eq!(stream.unwrap().read_u8().await.unwrap(), b'!');
    }

    #[tokio::test]
    async fn over_socks_with_a_login_where_it_is_wanted() {
        const REQUEST: &[u8] = b"\x05\x01\x00\x03\x0cgateway.test\x01\xbb";
        const STANDS: &[u8] = &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80, b'!'];
        let wanted: &[(usize, &[u8])] = &[(4, &[5, 2]), (11, &[1, 0]), (19, STANDS)];
        let (stream, got) = play("socks5", "user", wanted).await;
        assert_eq!(
            got,
            [b"\x05\x02\x00\x02\x01\x04user\x04pass", REQUEST].concat()
        );
        assert_eq!(stream.unwrap().read_u8().await.unwrap(), b'!');
        let unwanted: &[(usize, &[u8])] = &[(4, &[5, 0]), (19, STANDS)];
        let (stream, got) = play("socks5h", "user", unwanted).await;
        assert_eq!(got, [b"\x05\x02\x00\x02", REQUEST].concat());
        assert_eq!(stream.unwrap().read_u8().await.unwrap(), b'!');
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_words() {
        for (scheme, user, answers, words) in [
            (
                "http",
                "user",
                &[(10, &b"HTTP/1.1 407 No\r\n\r\n"[..])][..],
                "refuses proxy_username and proxy_password",
            ),
            (
                "http",
                "",
                &[(10, b"HTTP/1.1 407 No\r\n\r\n")],
                "set proxy_username and proxy_password",
            ),
            (
                "http",
                "",
                &[(10, b"HTTP/1.1 403 No\r\n\r\n")],
                "it refuses with HTTP 403",
            ),
            (
                "http",
                "",
                &[(10, b"HTTP/1.0 502 No\r\n\r\n")],
                "it answers with HTTP 502",
            ),
            ("http", "", &[(10, b"SSH-2.0\r\n\r\n")], "is no HTTP"),
            (
                "socks5",
                "",
                &[(3, &[5, 0xFF])],
                "set proxy_username and proxy_password",
            ),
            (
                "socks5",
                "user",
                &[(4, &[5, 2]), (11, &[1, 1])],
                "refuses proxy_username and proxy_password",
            ),
            ("socks5", "", &[(3, b"HT")], "is no SOCKS 5"),
            (
                "socks5",
                "",
                &[(3, &[5, 0]), (19, &[5, 2, 0, 1])],
                "its rules",
            ),
            (
                "socks5",
                "",
                &[(3, &[5, 0]), (19, &[5, 4, 0, 1])],
                "it cannot reach Discord",
            ),
        ] {
            let why = play(scheme, user, answers).await.0.unwrap_err();
            assert!(why.starts_with("the proxy does not connect: "), "{why}");
            assert!(why.contains(words), "{scheme} {user:?} {words:?}: {why}");
        }
    }

    #[test]
    fn a_login_in_the_address_is_decoded_and_one_of_its_own_goes_before() {
        let told = |proxy: Proxy| (proxy.user, proxy.password.expose_secret().to_owned());
        let address = "http://me:p%40ss%2Fw+rd@[::1]:8080";
        assert_eq!(told(proxy(address, "")), ("me".into(), "p@ss/w+rd".into()));
        assert_eq!(told(proxy(address, "user")), ("user".into(), "pass".into()));
        let of = |address: &str| {
            let proxy = proxy(address, "");
            (proxy.scheme, proxy.host, proxy.port)
        };
        assert_eq!(of(address), (Scheme::Http, "[::1]".into(), 8080));
        assert_eq!(of("http://p"), (Scheme::Http, "p".into(), 80));
        assert_eq!(of("socks5://p"), (Scheme::Socks, "p".into(), 1080));
        for none in ["https://p:1", "p:8080", "http://"] {
            let options = json!({"proxy": none});
            let options: Options = serde_json::from_value(options).unwrap();
            assert!(Proxy::of(&options).is_err(), "{none}");
        }
    }
}
