//! Texts become chunks, at the end of their lane.
//!
//! What a platform cannot show in a few messages goes as a file: an answer is never cut off.

use std::rc::Rc;

use ipc_schema::{BlobRef, Capabilities};
use render::{Dialect, Limit};
use spool::{Chunk, SpoolError, Turn};

use super::{Engine, Lane};
use crate::form::Form;
use crate::texts::{Lang, Text, progress as words, say};

/// Where a text goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) instance: &'a str,
    pub(super) address: &'a str,
    pub(super) reply_to: &'a str,
    pub(super) trace: &'a str,
    /// The event that the text answers, where the platform has a way to answer one.
    pub(super) answers: &'a str,
    /// Only whoever did `answers` should see it.
    pub(super) private: bool,
}

impl<'a> From<&'a Turn> for Place<'a> {
    fn from(turn: &'a Turn) -> Place<'a> {
        Place {
            instance: &turn.instance,
            address: &turn.address,
            reply_to: &turn.reply_to,
            trace: &turn.trace,
            ..Place::default()
        }
    }
}

/// What is said, before it is rendered.
#[derive(Debug, Default)]
pub(super) struct Post<'a> {
    /// Markdown, unless it is `rendered`.
    pub(super) text: &'a str,
    /// The text is in the platform's dialect already.
    pub(super) rendered: bool,
    /// An answer to somebody of this language: over [`crate::plan::Platform::max_reply_messages`]
    /// it goes as a file.
    pub(super) answer: Option<Lang>,
    /// A line of ours under an answer, in the platform's dialect. It takes room from the text and
    /// never a message of its own.
    pub(super) footer: String,
    /// How it is shown. Of several chunks the first changes `target`, the last has the controls, the
    /// card and the files. `answers` and `private` are the place's.
    pub(super) form: Form,
}

/// A text in the outbox.
#[derive(Debug)]
pub(super) struct Posted {
    reply: String,
    /// How many chunks it became.
    pub(super) count: usize,
}

impl Posted {
    /// The key of its first chunk.
    pub(super) fn first_chunk(&self) -> String {
        format!("{}-0", self.reply)
    }

    /// The key of its last chunk.
    pub(super) fn last_chunk(&self) -> String {
        format!("{}-{}", self.reply, self.count.saturating_sub(1))
    }
}

/// The limit of a worker that never said one, in code points.
const TEXT_LIMIT: u32 = 2000;
/// The most messages of an answer where the operator said nothing.
const MESSAGES: u32 = 5;

/// How long a message of a worker may be.
pub(super) fn limit_of(capabilities: &Capabilities) -> Limit {
    let max_chars = match capabilities.text_limit {
        0 => TEXT_LIMIT,
        limit => limit,
    };
    Limit {
        max_chars: max_chars as usize,
        joined: capabilities.joins_chunks,
    }
}

impl Engine {
    /// Puts one text into the outbox.
    pub(super) fn post(
        &mut self,
        place: &Place<'_>,
        text: &str,
        now: u64,
    ) -> Result<Posted, SpoolError> {
        let post = Post {
            text,
            ..Post::default()
        };
        self.publish(place, post, now)
    }

    /// Puts one message into the outbox, however many chunks it becomes.
    pub(super) fn publish(
        &mut self,
        place: &Place<'_>,
        post: Post<'_>,
        now: u64,
    ) -> Result<Posted, SpoolError> {
        let capabilities = self.capabilities(place.instance);
        let limit = limit_of(&capabilities);
        let rendered = match post.rendered {
            true => post.text.to_owned(),
            false => render::render(post.text, Dialect::from_name(&capabilities.dialect)),
        };
        let mut chunks = with_footer(&rendered, limit, &post.footer);
        let mut form = post.form;
        if let Some(lang) = post.answer
            && chunks.len() > self.most_messages(place.instance, limit)
            && let Some(file) = self.as_file(post.text, &capabilities, now)?
        {
            let note = words::whole_in_file(lang);
            let note = under(&note, &post.footer);
            let room = (note.chars().count() + 2).min(limit.max_chars / 2);
            let max_chars = limit.max_chars - room;
            let first = cut(&rendered, Limit { max_chars, ..limit }).swap_remove(0);
            chunks = vec![format!("{first}\n\n{note}")];
            form.whole = max_chars as u32;
            form.files.insert(0, file);
        }
        if chunks.is_empty() && !form.files.is_empty() {
            chunks.push(String::new());
        }
        (form.answers, form.private) = (place.answers.to_owned(), place.private);
        let reply = self.ids.short();
        let count = chunks.len();
        for (position, text) in chunks.into_iter().enumerate() {
            let form = part(&form, position == 0, position + 1 == count);
            let chunk = Chunk {
                key: format!("{reply}-{position}"),
                reply: reply.clone(),
                position: position as u32,
                count: count as u32,
                instance: place.instance.to_owned(),
                address: place.address.to_owned(),
                text,
                form: form.write(),
                reply_to: match position {
                    0 => place.reply_to.to_owned(),
                    _ => String::new(),
                },
                trace: place.trace.to_owned(),
                created_at: now,
                ..Chunk::default()
            };
            self.spool.add_chunk(&chunk)?;
            for file in &form.files {
                match self.spool.enclose(&chunk.key, &file.sha256) {
                    // The worker will hear that it is gone.
                    Err(error) if error.is_refused() => {
                        tracing::warn!(%error, "a file goes out that is no longer kept");
                    }
                    enclosed => enclosed?,
                }
            }
        }
        let lane = Lane {
            instance: place.instance.to_owned(),
            address: place.address.to_owned(),
        };
        self.spoke(&lane);
        self.dirty_lanes.insert(lane);
        Ok(Posted { reply, count })
    }

    /// What an account's worker can do, as it last said.
    pub(super) fn capabilities(&self, instance: &str) -> Rc<Capabilities> {
        let worker = self.workers.get(instance);
        worker
            .map(|w| Rc::clone(&w.capabilities))
            .unwrap_or_default()
    }

    /// The most messages of an answer. Where a platform joins the chunks to one message there is no
    /// bound, unless the operator set it.
    fn most_messages(&self, instance: &str, limit: Limit) -> usize {
        let platform = self.plan.platforms.get(instance);
        match platform.and_then(|platform| platform.max_reply_messages) {
            Some(most) => most.max(1) as usize,
            None if limit.joined => usize::MAX,
            None => MESSAGES as usize,
        }
    }

    /// A text that is too long for messages, as a file; `None` if the platform takes no such file.
    fn as_file(
        &mut self,
        text: &str,
        capabilities: &Capabilities,
        now: u64,
    ) -> Result<Option<BlobRef>, SpoolError> {
        if !capabilities.files || text.len() as u64 > capabilities.file_limit {
            return Ok(None);
        }
        self.keep_file(words::ANSWER_FILE, "text/markdown", text.as_bytes(), now)
    }

    /// Says one of the catalogue's texts.
    pub(super) fn notice(
        &mut self,
        place: &Place<'_>,
        text: &Text<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        self.post(place, &say(text, lang), now).map(drop)
    }

    /// The language of an account where no person is at hand.
    pub(super) fn language_at(&self, instance: &str) -> Lang {
        let platform = self
            .workers
            .get(instance)
            .map(|w| w.capabilities.language.as_str())
            .unwrap_or("");
        crate::prompt::language(self.fixed_language(instance), platform, "")
    }

    /// What the operator fixed, for the account or for all; may be empty.
    pub(super) fn fixed_language(&self, instance: &str) -> &str {
        let account = self
            .plan
            .platforms
            .get(instance)
            .map_or("", |p| p.language.as_str());
        if account.is_empty() {
            &self.plan.language
        } else {
            account
        }
    }
}

/// Cut to messages.
pub(super) fn cut(rendered: &str, limit: Limit) -> Vec<String> {
    let chunks = render::chunk(rendered, limit).chunks;
    chunks.into_iter().map(|chunk| chunk.text).collect()
}

/// Cut to messages, with a line under the last.
fn with_footer(rendered: &str, limit: Limit, footer: &str) -> Vec<String> {
    let room = footer.chars().count() + 1;
    let fits = |chunk: &String| chunk.chars().count() + room <= limit.max_chars;
    let mut chunks = cut(rendered, limit);
    if !footer.is_empty() && room < limit.max_chars / 2 && chunks.last().is_some_and(|it| !fits(it))
    {
        let max_chars = limit.max_chars - room;
        chunks = cut(rendered, Limit { max_chars, ..limit });
    }
    if let Some(last) = chunks.last_mut().filter(|it| fits(it)) {
        *last = under(last, footer);
    }
    chunks
}

/// A line under a text; no line: the text.
fn under(text: &str, line: &str) -> String {
    match line {
        "" => text.to_owned(),
        line => format!("{text}\n{line}"),
    }
}

/// What of a message's form its first, its last and any other chunk has.
fn part(form: &Form, first: bool, last: bool) -> Form {
    let mut part = Form {
        silent: form.silent,
        private: form.private,
        turn: form.turn.clone(),
        passing: form.passing,
        ..Form::default()
    };
    if first {
        part.target.clone_from(&form.target);
        part.or_post = form.or_post;
    }
    // What only one person is to see goes by their event, to its last chunk.
    if first || form.private {
        part.answers.clone_from(&form.answers);
    }
    if last {
        part.card.clone_from(&form.card);
        part.controls.clone_from(&form.controls);
        part.question.clone_from(&form.question);
        part.files.clone_from(&form.files);
        part.whole = form.whole;
    }
    part
}
