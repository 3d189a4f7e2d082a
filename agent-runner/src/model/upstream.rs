//! The model's API itself, and the key for it.

use std::error::Error as _;
use std::time::Duration;

use http::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Proxy};
use secrecy::{ExposeSecret as _, SecretString};

use super::Limits;
use crate::options::Options;
use crate::{text, tls};

/// Where the API is, unless the operator names another place.
pub const DEFAULT: &str = "https://api.anthropic.com";
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a connection that nobody uses is kept.
const POOLED: Duration = Duration::from_secs(60);
/// The longest reason that is told, bytes.
const WHY: usize = 300;

/// Where requests go, and the key that they get.
pub struct Upstream {
    base: String,
    proxy: Option<SecretString>,
    key: SecretString,
    header: HeaderValue,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Of a project; none if it has no key of its own.
    ///
    /// # Errors
    /// In words, without the key: it has characters that no key has, or the proxy is none.
    pub fn new(options: &Options) -> Result<Option<Upstream>, String> {
        let Some(key) = &options.api_key else {
            return Ok(None);
        };
        let key = key.expose_secret().trim();
        let header = HeaderValue::from_str(key).ok().filter(|_| !key.is_empty());
        let mut header = header
            .ok_or("api_key has characters in it that no key has, or none at all; copy it again")?;
        header.set_sensitive(true);
        let base = options.base_url.as_deref().unwrap_or(DEFAULT);
        let upstream = Upstream {
            base: base.trim().trim_end_matches('/').to_owned(),
            proxy: options.proxy.clone(),
            key: key.into(),
            header,
        };
        // A proxy that is none is to be told at the start.
        upstream.proxy()?;
        Ok(Some(upstream))
    }

    fn proxy(&self) -> Result<Option<Proxy>, String> {
        let Some(address) = &self.proxy else {
            return Ok(None);
        };
        // What reqwest says of it holds the address, and that may hold a password.
        let proxy = Proxy::all(address.expose_secret().trim());
        proxy
            .map(Some)
            .map_err(|_| "proxy is no address of a proxy".into())
    }

    /// A client for it. A proxy is the configured one, or none: what stands in the environment is
    /// not asked.
    ///
    /// # Errors
    /// In words: no certificates, or a proxy that is none.
    pub(super) fn client(&self, limits: &Limits) -> Result<Client, String> {
        tls::provide();
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(limits.silence)
            .pool_idle_timeout(POOLED)
            .redirect(Policy::none())
            .no_proxy();
        if let Some(proxy) = self.proxy()? {
            client = client.proxy(proxy);
        }
        client.build().map_err(why)
    }

    /// The whole address of a path with its query.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The key as a header.
    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The key as it is, to be taken out of texts.
    pub(super) fn key(&self) -> &[u8] {
        self.key.expose_secret().as_bytes()
    }
}

/// What went wrong, in words, without an address: the operator may have put a password into it.
pub(super) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    text::head(&words, WHY).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, base: Option<&str>, proxy: Option<&str>) -> Result<Upstream, String> {
        let options = Options {
            api_key: Some(key.into()),
            base_url: base.map(Into::into),
            proxy: proxy.map(Into::into),
            ..Options::default()
        };
        Upstream::new(&options).map(Option::unwrap)
    }

    #[test]
    fn the_address_may_have_a_path_of_its_own() {
        let address = |base| {
            of("k", base, None)
                .unwrap()
                .address("/v1/messages?beta=true")
        };
        assert_eq!(
            address(None),
            "https://api.anthropic.com/v1/messages?beta=true"
        );
        let gateway = Some("https://gateway.example/anthropic/");
        assert_eq!(
            address(gateway),
            "https://gateway.example/anthropic/v1/messages?beta=true"
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_a_secret() {
        for (key, proxy) in [("canary\n1", None), ("", None), ("k", Some("://canary"))] {
            let why = of(key, None, proxy).unwrap_err();
            assert!(!why.contains("canary"), "{why}");
        }
        let shown = format!("{:?}", of("canary", None, None).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(Upstream::new(&Options::default()).unwrap().is_none());
    }
}
