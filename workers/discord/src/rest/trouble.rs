//! Why a request got no answer, in words without an address: reqwest's own words hold all of it.

use super::Rest;

impl Rest {
    /// Where a proxy does not connect it is asked why: reqwest does not tell.
    pub(super) async fn why(&self, error: &reqwest::Error) -> String {
        let Some(proxy) = self.proxy.as_ref().filter(|_| error.is_connect()) else {
            return in_words(error);
        };
        if error.is_timeout() {
            return "no connection through the proxy in time".into();
        }
        let url = error.url();
        let to = url.and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        let why = match to {
            Some((host, port)) => proxy.connect(host, port).await.err(),
            None => None,
        };
        why.unwrap_or_else(|| with_cause("no connection through the proxy", error))
    }
}

/// Of an error that has nothing to do with a proxy.
pub(super) fn in_words(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    with_cause(what, error)
}

fn with_cause(what: &str, error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}
