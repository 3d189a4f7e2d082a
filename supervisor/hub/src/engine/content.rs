//! What a turn has written: texts and files, posted once each.
//!
//! A piece of content is known by its block, whichever attempt says it. What was posted before the end
//! of the turn is noted in the same transaction, so that it is neither lost nor said again.

use ipc_schema::BlobRef;
use render::Dialect;
use spool::{Piece, SpoolError, Turn, TurnState};

use super::outbox::{Place, Post};
use super::runner::lang;
use super::{Engine, Timer};
use crate::form::Form;
use crate::plan::{Reply, Style};
use crate::progress::Act;
use crate::texts::progress::{self as words, NoFile};
use crate::texts::{Text, say};
use crate::used;

/// What becomes of the text blocks of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// Each is an answer.
    Each,
    /// The last is the answer, earlier ones are shown before it.
    Earlier,
    /// All are one answer.
    Joined,
}

/// What of a turn's content was posted at its end.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) chars: usize,
    pub(super) chunks: usize,
    /// Something stands already.
    pub(super) shown: bool,
    /// Somebody has been notified of it.
    pub(super) aloud: bool,
}

impl Engine {
    pub(super) fn blocks_of(&self, turn: &Turn, style: Style) -> Blocks {
        let reply = self.plan.platforms.get(&turn.instance).map(|p| p.reply);
        match (reply, style) {
            (Some(Reply::All), _) => Blocks::Each,
            (_, Style::Legacy | Style::Compact | Style::Card) => Blocks::Earlier,
            (_, Style::Bubble | Style::Off) => Blocks::Joined,
        }
    }

    /// A piece of a text block was stored.
    pub(super) fn wrote(
        &mut self,
        turn: &Turn,
        block: &str,
        text: &str,
        more: bool,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(live) = self.live_of(turn, now)? else {
            return Ok(());
        };
        let (style, stored) = (live.progress.style(), live.stored);
        let in_pieces = std::mem::replace(&mut live.in_pieces, more);
        let blocks = self.blocks_of(turn, style);
        if more || blocks == Blocks::Joined {
            return Ok(());
        }
        let shown = stored && self.spool.is_shown(&turn.id, block)?;
        let whole = match in_pieces {
            true => self.block_text(turn, block)?,
            false => text.to_owned(),
        };
        if blocks == Blocks::Each {
            if !shown {
                self.post_answer(turn, &whole, String::new(), now)?;
                self.shown(turn, block, true, now)?;
            }
            return Ok(());
        }
        let acts = match self.live_of(turn, now)? {
            Some(live) => live.progress.block(block, &whole, shown, now),
            None => Vec::new(),
        };
        self.perform(&turn.id, acts, now)
    }

    fn block_text(&self, turn: &Turn, block: &str) -> Result<String, SpoolError> {
        let content = self.spool.content(&turn.id)?.into_iter();
        let piece = content.into_iter().find(|piece| piece.block == block);
        Ok(piece.map(|piece| piece.text).unwrap_or_default())
    }

    /// The agent sends a file: a message of its own, in order with the texts.
    pub(super) fn sent_file(
        &mut self,
        turn: &Turn,
        file: BlobRef,
        caption: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        let content = self.spool.content(&turn.id)?;
        let nth = content
            .iter()
            .filter(|piece| piece.file == file.sha256)
            .count();
        // An attempt that is run again sends the same files in the same order.
        let block = format!("file {nth} {}", file.sha256);
        self.spool
            .add_file(&turn.id, &block, &file.sha256, caption)?;
        let stored = self.live_of(turn, now)?.is_some_and(|live| live.stored);
        if stored && self.spool.is_shown(&turn.id, &block)? {
            return Ok(());
        }
        self.before_file(turn, &content, now)?;
        let place = Place::from(turn);
        let name = file.name.clone();
        if let Some(why) = self.no_file(turn, &file)? {
            let text = words::no_file(&name, why, lang(turn));
            self.post(&place, &text, now)?;
        } else {
            let post = Post {
                text: caption,
                form: Form {
                    files: vec![file],
                    ..Form::default()
                },
                ..Post::default()
            };
            self.publish(&place, post, now)?;
        }
        self.shown(turn, &block, true, now)
    }

    /// Texts that come before a file are posted before it.
    fn before_file(&mut self, turn: &Turn, content: &[Piece], now: u64) -> Result<(), SpoolError> {
        let Some(live) = self.live_of(turn, now)? else {
            return Ok(());
        };
        let style = live.progress.style();
        let acts = live.progress.file();
        self.perform(&turn.id, acts, now)?;
        if self.blocks_of(turn, style) != Blocks::Joined {
            return Ok(());
        }
        let waiting = self.waiting(turn, content, true)?;
        let texts: Vec<&str> = waiting.iter().map(|piece| piece.text.as_str()).collect();
        if !texts.is_empty() {
            self.post_answer(turn, &texts.join("\n\n"), String::new(), now)?;
        }
        for piece in &waiting {
            self.shown(turn, &piece.block, true, now)?;
        }
        Ok(())
    }

    /// The largest file that an agent may send to an account's chats, bytes; 0 = none.
    pub(super) fn file_limit(&self, instance: &str) -> u64 {
        let capabilities = self.capabilities(instance);
        match self.plan.attachments.send && capabilities.files {
            true => capabilities.file_limit,
            false => 0,
        }
    }

    /// Why a file cannot be posted, if so.
    fn no_file(&self, turn: &Turn, file: &BlobRef) -> Result<Option<NoFile>, SpoolError> {
        let capabilities = self.capabilities(&turn.instance);
        Ok(match () {
            () if !self.plan.attachments.send => Some(NoFile::Off),
            () if !capabilities.files || capabilities.file_limit == 0 => Some(NoFile::Platform),
            () if file.size > capabilities.file_limit => {
                Some(NoFile::TooLarge(capabilities.file_limit))
            }
            () if !self.is_kept(&file.sha256)? => Some(NoFile::Gone),
            () => None,
        })
    }

    /// The texts of a turn that stand nowhere yet; only whole ones, if wanted.
    fn waiting(
        &self,
        turn: &Turn,
        content: &[Piece],
        whole: bool,
    ) -> Result<Vec<Piece>, SpoolError> {
        let stored = self.live.get(&turn.id).is_none_or(|live| live.stored);
        let mut waiting = Vec::new();
        for piece in content {
            let wanted = piece.file.is_empty() && (piece.whole || !whole);
            if wanted && !(stored && self.spool.is_shown(&turn.id, &piece.block)?) {
                waiting.push(piece.clone());
            }
        }
        Ok(waiting)
    }

    /// A piece of content stands.
    fn shown(&mut self, turn: &Turn, block: &str, aloud: bool, now: u64) -> Result<(), SpoolError> {
        self.spool.show(&turn.id, block)?;
        self.note(turn, now, |kept| {
            kept.shown = true;
            kept.aloud |= aloud;
        })
    }

    /// An earlier block stands from now on: on the page, or as a message of its own.
    pub(super) fn show_earlier(
        &mut self,
        turn: &Turn,
        block: &str,
        now: u64,
    ) -> Result<Vec<Act>, SpoolError> {
        if !self.spool.show(&turn.id, block)? {
            return Ok(Vec::new());
        }
        let text = self.block_text(turn, block)?;
        let Some(live) = self.live.get_mut(&turn.id) else {
            return Ok(Vec::new());
        };
        live.progress.kept_mut().shown = true;
        live.steps.clear();
        let rendered = render::render(&text, live.progress.dialect());
        let acts = live.progress.earlier(block, rendered.trim(), now);
        if live.progress.style() == Style::Legacy {
            let post = Post {
                text: &text,
                form: Form {
                    silent: true,
                    ..Form::default()
                },
                ..Post::default()
            };
            let place = Place {
                reply_to: "",
                ..turn.into()
            };
            self.publish(&place, post, now)?;
        }
        Ok(acts)
    }

    /// The line under the last answer of a turn.
    fn footer_of(&self, turn: &Turn) -> Result<String, SpoolError> {
        let Some(project) = self.plan.projects.get(&turn.project) else {
            return Ok(String::new());
        };
        let session = self.spool.session(&turn.session)?.unwrap_or_default();
        let model = match session.model.as_str() {
            "" => project.model.as_str(),
            model => model,
        };
        let dialect = Dialect::from_name(&self.capabilities(&turn.instance).dialect);
        let (used, wanted) = (&session.used, &project.footer);
        Ok(used::footer(used, wanted, model, dialect, lang(turn)))
    }

    /// One answer, or the whole of one.
    fn post_answer(
        &mut self,
        turn: &Turn,
        text: &str,
        footer: String,
        now: u64,
    ) -> Result<(usize, usize), SpoolError> {
        let post = Post {
            text,
            answer: Some(lang(turn)),
            footer,
            ..Post::default()
        };
        let posted = self.publish(&turn.into(), post, now)?;
        Ok((text.chars().count(), posted.count))
    }

    /// The turn is over: what it wrote and does not stand yet is posted, its page is closed. `lost`:
    /// the attempt was cut off, so a block whose end has not come is none.
    pub(super) fn end_progress(
        &mut self,
        turn: &Turn,
        over: TurnState,
        lost: bool,
        now: u64,
    ) -> Result<Answered, SpoolError> {
        self.live_of(turn, now)?;
        self.end_silence(turn);
        let content = self.spool.content(&turn.id)?;
        let mut waiting = self.waiting(turn, &content, lost)?;
        let style = self
            .live
            .get(&turn.id)
            .map_or(Style::Off, |live| live.progress.style());
        let mut answered = Answered::default();
        let mut answers: Vec<String> = Vec::new();
        match self.blocks_of(turn, style) {
            Blocks::Each => answers = waiting.into_iter().map(|piece| piece.text).collect(),
            // Half of an answer that would have been one is none.
            Blocks::Joined if lost => {}
            Blocks::Joined => {
                let texts: Vec<String> = waiting.into_iter().map(|piece| piece.text).collect();
                if !texts.is_empty() {
                    answers.push(texts.join("\n\n"));
                }
            }
            Blocks::Earlier => {
                let last = content.iter().rfind(|piece| piece.file.is_empty());
                let last = waiting
                    .pop_if(|piece| !lost && last.is_some_and(|last| last.block == piece.block));
                answers.extend(last.map(|piece| piece.text));
                let earlier = waiting.into_iter().map(|piece| Act::Earlier(piece.block));
                self.perform(&turn.id, earlier.collect(), now)?;
            }
        }
        if let Some(live) = self.live.get_mut(&turn.id) {
            let kept = live.progress.kept_mut();
            (answered.shown, answered.aloud) = (kept.shown, kept.aloud);
        }
        for (nth, answer) in (1..).zip(&answers) {
            // The figures are those of a turn that came to its end.
            let footer = match over == TurnState::Ended && nth == answers.len() {
                true => self.footer_of(turn)?,
                false => String::new(),
            };
            let (chars, chunks) = self.post_answer(turn, answer, footer, now)?;
            answered.chars += chars;
            answered.chunks += chunks;
        }
        let Some(live) = self.live.get_mut(&turn.id) else {
            return Ok(answered);
        };
        let texts: Vec<&str> = content.iter().map(|piece| piece.text.as_str()).collect();
        let acts = live.progress.end(over, &texts, now);
        self.perform(&turn.id, acts, now)?;
        if let Some(live) = self.live.remove(&turn.id) {
            if let Some(wake) = live.wake {
                self.cancel(wake, &Timer::Progress(turn.id.clone()));
            }
            if live.stored {
                self.spool.end_progress(&turn.id)?;
            }
        }
        Ok(answered)
    }

    /// What is said of a turn that answered without a last word, if anything.
    pub(super) fn last_word(
        &mut self,
        turn: &Turn,
        answered: &Answered,
        now: u64,
    ) -> Result<(), SpoolError> {
        let lang = lang(turn);
        let text = match answered {
            Answered { chunks: 1.., .. } | Answered { aloud: true, .. } => return Ok(()),
            Answered { shown: true, .. } => words::said_above(lang),
            _ => say(&Text::EmptyAnswer, lang),
        };
        self.post(&turn.into(), &text, now).map(drop)
    }

    fn is_kept(&self, sha256: &str) -> Result<bool, SpoolError> {
        match self.spool.blob_path(sha256) {
            Err(error) if error.is_refused() => Ok(false),
            path => Ok(path?.is_some()),
        }
    }
}
