//! What a tool says, as the agent may read it: bounded, with a word of what is missing, and without the
//! tool's own secrets. Pure but for the reading.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::options::ToolOptions;
use crate::process::reader;
use crate::text;

/// A shorter secret is too likely to be a part of something else.
const SECRET_BYTES: usize = 6;

/// What a tool says, up to a bound.
pub(super) struct Output<'a> {
    /// A little more than what is shown, so that no secret is cut in two before it is covered.
    bytes: Vec<u8>,
    most: usize,
    missing: u64,
    veil: &'a Veil,
}

impl Output<'_> {
    pub(super) fn new(most: usize, veil: &Veil) -> Output<'_> {
        Output {
            bytes: Vec::new(),
            most,
            missing: 0,
            veil,
        }
    }

    pub(super) fn add(&mut self, chunk: &[u8]) {
        let most = self.most + self.veil.longest();
        let room = most.saturating_sub(self.bytes.len()).min(chunk.len());
        self.bytes.extend(chunk.get(..room).unwrap_or_default());
        self.missing += (chunk.len() - room) as u64;
    }

    pub(super) async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut chunk = vec![0; 16 << 10];
        while let Ok(n) = from.read(&mut chunk).await
            && n > 0
        {
            self.add(chunk.get(..n).unwrap_or_default());
        }
    }

    pub(super) fn text(&self) -> String {
        let text = self.veil.cover(&String::from_utf8_lossy(&self.bytes));
        let shown = text::head(&text, self.most).trim_end();
        match self.missing + (text.trim_end().len() - shown.len()) as u64 {
            0 => shown.to_owned(),
            missing => format!("{shown}\n[{missing} more bytes are not shown]"),
        }
    }
}

/// Covers a tool's secrets, should it say them: as they are, and as they stand in JSON and in
/// addresses. A tool that wants to give its secret away finds a way; one that prints it by mistake
/// does not.
pub(super) struct Veil {
    /// Longest first: one may be a part of another.
    covers: Vec<SecretString>,
}

impl Veil {
    pub(super) fn new(tool: &ToolOptions) -> Veil {
        let mut covers: Vec<String> = Vec::new();
        let secrets = tool.secrets.values().map(ExposeSecret::expose_secret);
        for secret in secrets.filter(|secret| secret.len() >= SECRET_BYTES) {
            let json = Value::from(secret).to_string();
            let json = json.trim_matches('"').to_owned();
            covers.extend([secret.to_owned(), json, encoded(secret)]);
        }
        covers.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        covers.dedup();
        Veil {
            covers: covers.into_iter().map(SecretString::from).collect(),
        }
    }

    fn longest(&self) -> usize {
        let longest = self.covers.first();
        longest.map_or(0, |cover| cover.expose_secret().len())
    }

    pub(super) fn cover(&self, text: &str) -> String {
        self.covers
            .iter()
            .map(ExposeSecret::expose_secret)
            .fold(text.to_owned(), |text, secret| {
                match text.contains(secret) {
                    true => text.replace(secret, "[secret]"),
                    false => text,
                }
            })
    }

    /// The end of something longer, in whose front half a secret may stand.
    pub(super) fn cover_tail(&self, tail: &[u8]) -> String {
        let cut = match tail.len() >= reader::TAIL_BYTES {
            true => self.longest().min(tail.len()),
            false => 0,
        };
        // Covered first: a secret in whole at the front is not to be cut in two now.
        let whole = self.cover(&String::from_utf8_lossy(tail));
        let kept = whole.len().saturating_sub(cut);
        text::tail(&whole, kept).to_owned()
    }
}

/// A secret as it stands in an address.
pub(super) fn encoded(secret: &str) -> String {
    let none = Url::parse("http://x").map(|mut url| {
        url.query_pairs_mut().append_key_only(secret);
        // A space is a plus in a query alone.
        url.query().unwrap_or_default().replace('+', "%20")
    });
    none.unwrap_or_default()
}
