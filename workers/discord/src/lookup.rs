//! Whether a chunk that was handed out long ago was posted. Pure.
//!
//! A nonce is remembered by Discord for minutes only; past that a second post would stand twice. So
//! the channel's history is read back to the first attempt and searched for the chunk by author,
//! time and exactly what it shows: text, cards, files.

use serde_json::Value;

use crate::events::Message;
use crate::rest::send::Upload;
use crate::rest::writes::Body;
use crate::snowflake::Id;

/// How far Discord's clock and ours may be apart, milliseconds.
const SKEW_MS: u64 = 60_000;
/// The most pages that are read.
pub(crate) const PAGES: usize = 3;

/// What a message shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shows {
    pub(crate) text: String,
    /// Titles and descriptions.
    pub(crate) cards: Vec<(String, String)>,
    /// Sizes, bytes: names are not left as they were.
    pub(crate) files: Vec<u64>,
}

impl Shows {
    /// Of a message as it is posted.
    pub(crate) fn of(body: &Body, files: &[Upload]) -> Shows {
        let text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str).unwrap_or_default();
            text.trim().to_owned()
        };
        let cards = body.get("embeds").and_then(Value::as_array);
        let cards = cards.into_iter().flatten();
        Shows {
            text: text(body.get("content")),
            cards: cards
                .map(|card| (text(card.get("title")), text(card.get("description"))))
                .collect(),
            files: files.iter().map(|file| file.bytes.len() as u64).collect(),
        }
    }

    /// Of one that stands.
    fn standing(message: &Message) -> Shows {
        let trim = |text: &str| text.trim().to_owned();
        // A link in a text is given a preview, which is an embed of another type.
        let cards = message.embeds.iter().filter(|it| it.kind == "rich");
        Shows {
            text: trim(&message.content),
            cards: cards
                .map(|it| (trim(&it.title), trim(&it.description)))
                .collect(),
            files: message.attachments.iter().map(|it| it.size).collect(),
        }
    }
}

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) me: Id,
    pub(crate) nonce: &'a str,
    pub(crate) shows: &'a Shows,
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
            Shows::standing(message) == *self.shows
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

    fn wanted(shows: &Shows) -> Wanted<'_> {
        Wanted {
            me: Id(7),
            nonce: "r-1",
            shows,
            since_ms: NOW,
        }
    }

    fn hello() -> Shows {
        Shows {
            text: "hello".into(),
            ..Shows::default()
        }
    }

    fn message(ms: u64, author: u64, text: &str, nonce: &str) -> Message {
        let json = json!({"id": Id::first_at(ms), "channel_id": "1", "author": {"id": author}, "content": text, "nonce": nonce});
        serde_json::from_value(json).unwrap()
    }

    fn search(page: &[Message], nth: usize, full: bool) -> Found {
        wanted(&hello()).search(page, nth, full, |_| false)
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
            wanted(&hello()).search(&[it], 0, false, |_| true),
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

    #[test]
    fn cards_and_files_are_told_apart() {
        use crate::form::visible;
        use ipc_schema::Card;
        let card = |text: &str| Card {
            title: "Working".into(),
            text: text.into(),
            ..Card::default()
        };
        let file = |size: usize| Upload {
            name: "a b.txt".into(),
            mime: String::new(),
            bytes: vec![0; size].into(),
        };
        let carded = |text: &str| Shows::of(&visible("as text", Some(&card(text)), ""), &[]);
        let filed = |size: usize| Shows::of(&visible("", None, ""), &[file(size)]);
        let standing = |more: serde_json::Value| {
            let mut json =
                json!({"id": Id::first_at(NOW + 10), "channel_id": "1", "author": {"id": 7}});
            json.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            vec![serde_json::from_value::<Message>(json).unwrap()]
        };
        let embed = json!({"type": "rich", "title": "Working", "description": "one"});
        let card_one = standing(json!({"content": "", "embeds": [embed]}));
        let file_ten =
            standing(json!({"content": "", "attachments": [{"size": 10, "filename": "a_b.txt"}]}));
        let preview = json!({"type": "article", "title": "A page"});
        let link = standing(json!({"content": "hello", "embeds": [preview]}));
        let found = |shows: &Shows, page: &[Message]| {
            wanted(shows).search(page, 0, false, |_| false) != Found::Absent
        };
        assert!(found(&carded("one"), &card_one) && !found(&carded("two"), &card_one));
        assert!(found(&filed(10), &file_ten) && !found(&filed(11), &file_ten));
        assert!(!found(&carded("one"), &file_ten) && !found(&filed(10), &card_one));
        assert!(found(&hello(), &link), "the preview is not of our making");
    }
}
