//! Whether a chunk that was handed out long ago was posted. Pure.
//!
//! A nonce is remembered by Discord for minutes only; past that a second post would stand twice. So
//! the channel's history is read back to the first attempt and searched for the chunk by author,
//! time and exact text.

use crate::events::Message;
use crate::snowflake::Id;

/// How far Discord's clock and ours may be apart, milliseconds.
const SKEW_MS: u64 = 60_000;
/// The most pages that are read.
pub(crate) const PAGES: usize = 3;

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) me: Id,
    pub(crate) nonce: &'a str,
    pub(crate) text: &'a str,
    /// When it was first handed out, milliseconds since 1970.
    pub(crate) since_ms: u64,
}

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Here it is.
    Here(Id),
    /// It is not there.
    Absent,
    /// Read the page before this message.
    Further(Id),
    /// Nobody can tell.
    Unknown,
}

impl Wanted<'_> {
    /// Looks through a page, newest first; `nth` counts the pages from 0. `taken`: messages that are
    /// known to be other chunks.
    pub(crate) fn search(
        &self,
        page: &[Message],
        nth: usize,
        full: bool,
        taken: impl Fn(Id) -> bool,
    ) -> Found {
        let since = Id::first_at(self.since_ms.saturating_sub(SKEW_MS));
        let recent = || page.iter().filter(|message| message.id >= since);
        let mut same = recent().filter(|message| self.is_it(message) && !taken(message.id));
        if let Some(found) = same.next_back() {
            return Found::Here(found.id);
        }
        match page.last() {
            // Without the right to read the history Discord shows an empty channel; but somebody
            // wrote there, or there would be no answer to post.
            None if nth == 0 => Found::Unknown,
            None => Found::Absent,
            Some(oldest) if oldest.id < since || !full => Found::Absent,
            Some(_) if nth + 1 >= PAGES => Found::Unknown,
            Some(oldest) => Found::Further(oldest.id),
        }
    }

    fn is_it(&self, message: &Message) -> bool {
        if message.author.id != self.me {
            return false;
        }
        // Where Discord shows the nonce it decides, also between two chunks of the same text.
        if message.nonce.is_empty() {
            message.content.trim() == self.text.trim()
        } else {
            message.nonce == self.nonce
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const WANTED: Wanted<'static> = Wanted {
        me: Id(7),
        nonce: "r-1",
        text: "hello",
        since_ms: NOW,
    };

    fn message(ms: u64, author: u64, text: &str, nonce: &str) -> Message {
        let json = json!({"id": Id::first_at(ms), "channel_id": "1", "author": {"id": author}, "content": text, "nonce": nonce});
        serde_json::from_value(json).unwrap()
    }

    fn search(page: &[Message], nth: usize, full: bool) -> Found {
        WANTED.search(page, nth, full, |_| false)
    }

    #[test]
    fn it_is_known_by_author_time_and_exact_text() {
        let it = message(NOW + 10, 7, "hello ", "");
        let here = Found::Here(it.id);
        assert_eq!(
            search(&[message(NOW + 20, 1, "x", ""), it.clone()], 0, false),
            here
        );
        for other in [
            message(NOW + 10, 8, "hello", ""),
            message(NOW + 10, 7, "hello!", ""),
            message(NOW - SKEW_MS - 1000, 7, "hello", ""),
            message(NOW + 10, 7, "hello", "r-0"),
        ] {
            assert_eq!(search(&[other], 0, false), Found::Absent);
        }
        let by_nonce = message(NOW + 10, 7, "edited since", "r-1");
        assert_eq!(
            search(std::slice::from_ref(&by_nonce), 0, false),
            Found::Here(by_nonce.id)
        );
        let skewed = message(NOW - 30_000, 7, "hello", "");
        assert_eq!(
            search(std::slice::from_ref(&skewed), 0, false),
            Found::Here(skewed.id)
        );
        assert_eq!(
            WANTED.search(&[it], 0, false, |_| true),
            Found::Absent,
            "it is another chunk"
        );
    }

    #[test]
    fn it_reads_back_to_the_first_attempt_and_no_further() {
        let page: Vec<_> = (0..100)
            .map(|n| message(NOW + 1_000_000 - n, 1, "x", ""))
            .collect();
        let oldest = page.last().unwrap().id;
        assert_eq!(search(&page, 0, true), Found::Further(oldest));
        assert_eq!(search(&page, PAGES - 1, true), Found::Unknown);
        assert_eq!(
            search(&page, 1, false),
            Found::Absent,
            "the channel is not older"
        );
        assert_eq!(search(&[], 1, false), Found::Absent);
        let old = message(NOW - SKEW_MS - 1000, 1, "x", "");
        assert_eq!(search(&[old], 0, true), Found::Absent);
    }

    #[test]
    fn an_empty_channel_is_one_that_cannot_be_read() {
        assert_eq!(search(&[], 0, false), Found::Unknown);
    }
}
