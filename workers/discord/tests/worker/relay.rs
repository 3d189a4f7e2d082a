//! A proxy on loopback, HTTP CONNECT and SOCKS 5 on one port, with an encrypted Discord behind it.
//!
//! Discord has names there that nobody but the proxy can resolve, and certificates of an authority of
//! the test's own: a worker that reached the fake has gone through the proxy, with TLS from end to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_discord::FakeDiscord;
use fake_kit::Ledger;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

const API: &str = "discord.test";
const GATEWAY: &str = "gateway.discord.test";
const RESUME: &str = "resume.discord.test";
/// A real name: no other is asked for files.
const CDN: &str = "cdn.discordapp.com";

/// Every place of Discord's, as a proxy is asked for it.
pub(crate) const ALL: [&str; 4] = [
    "cdn.discordapp.com:443",
    "discord.test:443",
    "gateway.discord.test:443",
    "resume.discord.test:443",
];

/// What it does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Serves,
    /// Takes the connection and says nothing.
    Hangs,
    /// Allows nobody to go there.
    Forbids,
}

/// A connection that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `HOST:PORT`, as it came.
    pub(crate) to: String,
    /// `USER:PASSWORD`; empty without a login.
    pub(crate) login: String,
    pub(crate) granted: bool,
}

/// What stands behind the proxy. Its life is longer than the proxy's.
pub(crate) struct Behind {
    /// `HOST:PORT` to where the fake listens.
    places: Vec<(String, SocketAddr)>,
    tls: TlsAcceptor,
    directory: TempDir,
}

impl Behind {
    /// Has the fake tell the names that only the proxy knows.
    pub(crate) fn new(discord: &FakeDiscord) -> Behind {
        let address = |url: String| -> SocketAddr {
            let rest = url.split("//").nth(1).unwrap().to_owned();
            rest.split('/').next().unwrap().parse().unwrap()
        };
        let places = [
            (API, discord.api_base()),
            (GATEWAY, discord.gateway_url()),
            (RESUME, discord.resume_url()),
            (CDN, discord.cdn_base()),
        ];
        let places = places.map(|(name, url)| (format!("{name}:443"), address(url)));
        discord.told_as(
            &format!("wss://{GATEWAY}"),
            &format!("wss://{RESUME}"),
            &format!("https://{CDN}"),
        );
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = [API, GATEWAY, RESUME, CDN].map(str::to_owned);
        let leaf = CertificateParams::new(names).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let body = STANDARD.encode(authority.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        std::fs::write(directory.path().join("authority.pem"), pem).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Behind {
            places: places.into(),
            tls: TlsAcceptor::from(Arc::new(config)),
            directory,
        }
    }

    /// Where REST is, for `api_base`.
    pub(crate) fn api_base() -> String {
        format!("https://{API}/api/v10")
    }

    /// The only authority that a worker should believe.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }
}

/// A running proxy. Dropping it cuts everything that goes through it.
pub(crate) struct Relay {
    pub(crate) port: u16,
    pub(crate) asked: Ledger<Asked>,
    manner: Arc<Mutex<Manner>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// On a port of the kernel's choice; with a `login`, `USER:PASSWORD`, for whoever has that.
    pub(crate) async fn start(behind: &Arc<Behind>, login: &str) -> Relay {
        Relay::start_at(0, behind, login).await
    }

    pub(crate) async fn start_at(port: u16, behind: &Arc<Behind>, login: &str) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Ledger::new();
        let manner = Arc::new(Mutex::new(Manner::Serves));
        let one = One {
            behind: Arc::clone(behind),
            asked: asked.clone(),
            manner: Arc::clone(&manner),
            login: login.to_owned(),
        };
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(one.clone().serve(stream));
            }
        });
        Relay {
            port,
            asked,
            manner,
            accepting,
        }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Every place that it connected to, once each.
    pub(crate) fn places(&self) -> Vec<String> {
        let granted = |asked: &Asked| asked.granted.then(|| asked.to.clone());
        let mut places = self.asked.filter_map(granted);
        places.sort();
        places.dedup();
        places
    }

    /// Cuts everything and frees the port.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        // Cancelled, as it should be.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection's view.
#[derive(Clone)]
struct One {
    behind: Arc<Behind>,
    asked: Ledger<Asked>,
    manner: Arc<Mutex<Manner>>,
    login: String,
}

impl One {
    async fn serve(self, mut stream: TcpStream) {
        let mut first = [0];
        if stream.peek(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        if *self.manner.lock().unwrap() == Manner::Hangs {
            std::future::pending::<()>().await;
        }
        let served = if first == [5] {
            self.socks(&mut stream).await
        } else {
            self.connect(&mut stream).await
        };
        let Ok(Some(place)) = served else { return };
        let Ok(mut inside) = self.behind.tls.accept(stream).await else {
            return;
        };
        let Ok(mut discord) = TcpStream::connect(place).await else {
            return;
        };
        // Whoever ends it, ends it.
        let _ = copy_bidirectional(&mut inside, &mut discord).await;
    }

    /// Where to, if it may go there; it is noted.
    fn judge(&self, to: String, login: String) -> Result<SocketAddr, Manner> {
        let place = self.behind.places.iter().find(|(name, _)| *name == to);
        let serves = *self.manner.lock().unwrap() == Manner::Serves;
        let judged = match place {
            Some((_, address)) if serves && login == self.login => Ok(*address),
            _ if serves && login != self.login => Err(Manner::Serves),
            _ => Err(Manner::Forbids),
        };
        self.asked.push(Asked {
            to,
            login,
            granted: judged.is_ok(),
        });
        judged
    }

    async fn connect(&self, stream: &mut TcpStream) -> std::io::Result<Option<SocketAddr>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut words = head.split_whitespace();
        assert_eq!(words.next(), Some("CONNECT"), "{head}");
        let to = words.next().unwrap().to_owned();
        let login = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": Basic ")?;
            let is_it = name.eq_ignore_ascii_case("proxy-authorization");
            is_it.then(|| String::from_utf8(STANDARD.decode(value).unwrap()).unwrap())
        });
        let (answer, place) = match self.judge(to, login.unwrap_or_default()) {
            Ok(place) => ("200 Connection established", Some(place)),
            Err(Manner::Serves) => ("407 Proxy Authentication Required", None),
            Err(_) => ("403 Forbidden", None),
        };
        let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
        Ok(place)
    }

    async fn socks(&self, stream: &mut TcpStream) -> std::io::Result<Option<SocketAddr>> {
        stream.read_u8().await?;
        let methods = piece(stream).await?;
        let mut login = String::new();
        if self.login.is_empty() {
            stream.write_all(&[5, 0]).await?;
        } else if methods.contains(&2) {
            stream.write_all(&[5, 2]).await?;
            assert_eq!(stream.read_u8().await?, 1);
            let (user, password) = (piece(stream).await?, piece(stream).await?);
            login = String::from_utf8([user, vec![b':'], password].concat()).unwrap();
            let refused = u8::from(login != self.login);
            stream.write_all(&[1, refused]).await?;
        } else {
            stream.write_all(&[5, 0xFF]).await?;
            return Ok(None);
        }
        let mut request = [0; 4];
        stream.read_exact(&mut request).await?;
        assert_eq!(request, [5, 1, 0, 3], "a name, for the proxy to resolve");
        let name = String::from_utf8(piece(stream).await?).unwrap();
        let port = stream.read_u16().await?;
        let (answer, place) = match self.judge(format!("{name}:{port}"), login) {
            Ok(place) => (0, Some(place)),
            Err(_) => (2, None),
        };
        stream
            .write_all(&[5, answer, 0, 1, 0, 0, 0, 0, 0, 0])
            .await?;
        Ok(place)
    }
}

/// A length and so many bytes.
async fn piece(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
