//! Turns as they run: what they show, and what they have written, posted.
//!
//! [`crate::progress`] decides; here its acts become chunks and lossy changes. What must survive is a
//! row of the spool, changed with the chunks that show it. The rest is in memory, and made anew from
//! that row and the turn's content when it is missed.

use std::collections::VecDeque;

use ipc_schema::{BlobRef, Body, Revise, TurnEvent, TurnRef};
use render::Dialect;
use spool::{ChunkState, Piece, SpoolError, Turn, TurnState};

use super::outbox::{Place, Post, limit_of};
use super::runner::lang;
use super::{Engine, Lane, Timer};
use crate::form::Form;
use crate::plan::{Reply, Style};
use crate::progress::{Act, Kept, Progress, Seen, Show, View};
use crate::texts::progress::{self as words, NoFile};
use crate::texts::{Text, say};

/// After so long without a word there is one, where nothing else is shown, milliseconds.
const BUBBLE: u64 = 8_000;
/// Steps that may wait in a lane as messages of their own; further ones join the last.
const STEPS: usize = 4;
/// The shortest time between two changes of a message, milliseconds.
const INTERVAL: u64 = 250;

/// A turn that runs.
pub(super) struct Live {
    /// Without its prompt.
    turn: Turn,
    progress: Progress,
    /// When it is to be looked at.
    wake: Option<u64>,
    /// Chunks of steps that may still wait.
    steps: VecDeque<String>,
    /// A row is in the spool.
    stored: bool,
    /// A block is on its way whose beginning is in the spool alone.
    in_pieces: bool,
}

/// What becomes of the text blocks of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocks {
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
    /// How an account's turns are shown, as far as its worker can.
    fn style_of(&self, turn: &Turn) -> Style {
        let project = self.plan.projects.get(&turn.project);
        let platform = self.plan.platforms.get(&turn.instance);
        let style = platform.map(|p| p.progress).unwrap_or_default();
        let edits = self
            .workers
            .get(&turn.instance)
            .is_some_and(|w| w.capabilities.edit);
        match style {
            _ if project.is_none_or(|p| !p.display.progress) => Style::Off,
            Style::Compact | Style::Card if !edits => Style::Bubble,
            style => style,
        }
    }

    fn show_of(&self, turn: &Turn) -> Show {
        let project = self.plan.projects.get(&turn.project);
        let display = project.map(|p| p.display).unwrap_or_default();
        let preview = self.plan.stream_preview;
        let capabilities = self.capabilities(&turn.instance);
        Show {
            style: self.style_of(turn),
            thinking: display.thinking,
            tools: display.tools,
            tool_max: display.tool_max_len.map(|most| most as usize),
            preview: preview.enabled.then_some(preview.max_chars as usize),
            min_delta: preview.min_delta_chars as usize,
            interval: preview.interval_ms.max(INTERVAL),
            limit: limit_of(&capabilities).max_chars,
            dialect: Dialect::from_name(&capabilities.dialect),
            lang: lang(turn),
        }
    }

    fn blocks_of(&self, turn: &Turn, style: Style) -> Blocks {
        let reply = self.plan.platforms.get(&turn.instance).map(|p| p.reply);
        match (reply, style) {
            (Some(Reply::All), _) => Blocks::Each,
            (_, Style::Legacy | Style::Compact | Style::Card) => Blocks::Earlier,
            (_, Style::Bubble | Style::Off) => Blocks::Joined,
        }
    }

    /// An attempt begins.
    pub(super) fn begin_progress(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        if turn.attempt > 0 {
            // Content is told anew; what has been shown of it stays.
            if let Some(live) = self.live_of(turn, now)? {
                live.turn.attempt = turn.attempt + 1;
                live.progress.again();
                live.in_pieces = false;
            }
        } else {
            let progress = Progress::new(self.show_of(turn), now);
            let mut live = Live::new(turn, progress, false);
            live.turn.attempt = turn.attempt + 1;
            self.live.insert(turn.id.clone(), live);
        }
        self.await_silence(turn, now)
    }

    /// Where nothing else is shown, a word is due after a while.
    pub(super) fn await_silence(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        let live = self.live_of(turn, now)?;
        if live.is_some_and(|live| {
            live.progress.style() == Style::Bubble && !live.progress.kept_mut().bubble
        }) {
            self.quiet.insert(Lane::of(turn), turn.id.clone());
            self.at(now + BUBBLE, Timer::Silence(turn.id.clone()));
        }
        Ok(())
    }

    /// Something goes out in a lane: it is not silent.
    pub(super) fn spoke(&mut self, lane: &Lane) {
        if !self.quiet.is_empty() {
            self.quiet.remove(lane);
        }
    }

    /// A turn has been running for a while.
    pub(super) fn silence(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        let Some(turn) = self.spool.turn(id)? else {
            return Ok(());
        };
        let is_quiet = self
            .quiet
            .get(&Lane::of(&turn))
            .is_some_and(|quiet| quiet == id);
        if !is_quiet || !matches!(turn.state, TurnState::Starting | TurnState::Running) {
            return Ok(());
        }
        let post = Post {
            text: &words::still_working(lang(&turn)),
            form: Form {
                silent: true,
                passing: true,
                ..Form::default()
            },
            ..Post::default()
        };
        let place = Place {
            reply_to: "",
            ..(&turn).into()
        };
        self.publish(&place, post, now)?;
        self.note(&turn, now, |kept| kept.bubble = true)
    }

    /// The turn's progress, from the spool if need be; `None` if it does not run.
    fn live_of(&mut self, turn: &Turn, now: u64) -> Result<Option<&mut Live>, SpoolError> {
        if !self.live.contains_key(&turn.id) {
            if turn.attempt == 0 || !crate::turn::holds_session(turn.state) {
                return Ok(None);
            }
            let live = self.remember(turn, now)?;
            self.live.insert(turn.id.clone(), live);
        }
        Ok(self.live.get_mut(&turn.id))
    }

    /// Makes anew what memory has lost.
    fn remember(&self, turn: &Turn, now: u64) -> Result<Live, SpoolError> {
        let show = self.show_of(turn);
        let row = self.spool.progress(&turn.id)?;
        let stored = row.is_some();
        let kept: Option<Kept> = row.and_then(|row| serde_json::from_str(&row).ok());
        let mut progress = match kept {
            Some(kept) => {
                let landed = self.spool.chunk(&kept.page)?;
                let landed = landed.is_some_and(|page| !page.platform_id.is_empty());
                Progress::resume(show, kept, landed)
            }
            None => Progress::new(show, turn.changed_at.min(now)),
        };
        let content = self.spool.content(&turn.id)?;
        if let Some(last) = content
            .iter()
            .rfind(|piece| piece.file.is_empty() && piece.whole)
            && self.blocks_of(turn, progress.style()) == Blocks::Earlier
        {
            let shown = self.spool.is_shown(&turn.id, &last.block)?;
            progress.block(&last.block, &last.text, shown, now);
        }
        let in_pieces = content.last().is_some_and(|piece| !piece.whole);
        Ok(Live {
            in_pieces,
            ..Live::new(turn, progress, stored)
        })
    }

    /// The agent does something that may be lost.
    pub(super) fn show_progress(
        &mut self,
        peer: &str,
        at: &TurnRef,
        event: &TurnEvent,
        now: u64,
    ) -> Result<(), SpoolError> {
        let id = at.turn.as_str();
        let seen = match event {
            TurnEvent::Thinking => Seen::Thinking,
            TurnEvent::Partial { text } => Seen::Partial(text),
            TurnEvent::Tool { name, input } => Seen::Tool { name, input },
            TurnEvent::Note { text } => Seen::Note(text),
            _ => return Ok(()),
        };
        if !self.live.contains_key(id) {
            let Some(turn) = self.spool.turn(id)? else {
                return Ok(());
            };
            self.live_of(&turn, now)?;
        }
        let Some(live) = self.live.get_mut(id) else {
            return Ok(());
        };
        let runner = self
            .plan
            .projects
            .get(&live.turn.project)
            .map(|p| p.runner.as_str());
        if live.turn.attempt != at.attempt
            || runner != Some(peer)
            || matches!(live.progress.style(), Style::Bubble | Style::Off)
        {
            return Ok(());
        }
        let acts = live.progress.seen(seen, now);
        self.perform(id, acts, now)
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
        let reply = self.plan.platforms.get(&turn.instance).map(|p| p.reply);
        let Some(live) = self.live_of(turn, now)? else {
            return Ok(());
        };
        let (style, stored) = (live.progress.style(), live.stored);
        let in_pieces = std::mem::replace(&mut live.in_pieces, more);
        let joined = matches!(style, Style::Bubble | Style::Off) && reply != Some(Reply::All);
        if more || joined {
            return Ok(());
        }
        let shown = stored && self.spool.is_shown(&turn.id, block)?;
        let whole = match in_pieces {
            true => self.block_text(turn, block)?,
            false => text.to_owned(),
        };
        if self.blocks_of(turn, style) == Blocks::Each {
            if !shown {
                self.post_answer(turn, &whole, now)?;
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
            self.post_answer(turn, &texts.join("\n\n"), now)?;
        }
        for piece in &waiting {
            self.shown(turn, &piece.block, true, now)?;
        }
        Ok(())
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

    /// Changes what must survive of a turn's progress.
    fn note(
        &mut self,
        turn: &Turn,
        now: u64,
        change: impl FnOnce(&mut Kept),
    ) -> Result<(), SpoolError> {
        if let Some(live) = self.live_of(turn, now)? {
            change(live.progress.kept_mut());
        }
        self.keep_progress(&turn.id)
    }

    fn keep_progress(&mut self, id: &str) -> Result<(), SpoolError> {
        let Some(live) = self.live.get_mut(id) else {
            return Ok(());
        };
        let state = serde_json::to_string(&live.progress.kept()).unwrap_or_default();
        live.stored = true;
        self.spool.put_progress(id, &state)
    }

    /// Does what the progress of a turn wants done.
    fn perform(&mut self, id: &str, acts: Vec<Act>, now: u64) -> Result<(), SpoolError> {
        let mut todo = VecDeque::from(acts);
        let mut keep = false;
        while let Some(act) = todo.pop_front() {
            let Some(turn) = self.live.get(id).map(|live| live.turn.clone()) else {
                return Ok(());
            };
            match act {
                Act::Step(line) => self.post_step(&turn, &line, now)?,
                Act::Page(view) => {
                    keep = true;
                    let page = self.post_page(&turn, view, now)?;
                    if let Some(live) = self.live.get_mut(id) {
                        live.progress.opened(&page);
                    }
                }
                Act::Freeze(view) => {
                    keep = true;
                    self.freeze_page(&turn, view, now)?;
                }
                Act::Revise(view) => {
                    keep = true;
                    self.revise_page(&turn, view)?;
                }
                Act::Earlier(block) => {
                    keep = true;
                    let more = self.show_earlier(&turn, &block, now)?;
                    // What follows in `todo` was decided after it.
                    for act in more.into_iter().rev() {
                        todo.push_front(act);
                    }
                }
            }
        }
        if keep {
            self.keep_progress(id)?;
        }
        self.wake_progress(id);
        Ok(())
    }

    fn wake_progress(&mut self, id: &str) {
        let Some(live) = self.live.get_mut(id) else {
            return;
        };
        let wake = live.progress.wake();
        let old = std::mem::replace(&mut live.wake, wake);
        if old == wake {
            return;
        }
        let timer = Timer::Progress(id.to_owned());
        if let Some(old) = old {
            self.cancel(old, &timer);
        }
        if let Some(wake) = wake {
            self.at(wake, timer);
        }
    }

    /// A turn's progress may be due.
    pub(super) fn tick_progress(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        let Some(live) = self.live.get_mut(id) else {
            return Ok(());
        };
        live.wake = None;
        let acts = live.progress.tick(now);
        self.perform(id, acts, now)
    }

    /// An earlier block stands from now on: on the page, or as a message of its own.
    fn show_earlier(&mut self, turn: &Turn, block: &str, now: u64) -> Result<Vec<Act>, SpoolError> {
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

    /// A step as a message of its own; where several wait already it joins the last.
    fn post_step(&mut self, turn: &Turn, line: &str, now: u64) -> Result<(), SpoolError> {
        if self.spool.is_crowded()? {
            return Ok(());
        }
        let limit = limit_of(&self.capabilities(&turn.instance)).max_chars;
        let Some(live) = self.live.get_mut(&turn.id) else {
            return Ok(());
        };
        while let Some(first) = live.steps.front()
            && self
                .spool
                .chunk(first)?
                .is_none_or(|chunk| chunk.state != ChunkState::Pending)
        {
            live.steps.pop_front();
        }
        if live.steps.len() >= STEPS
            && let Some(last) = live.steps.back()
            && let Some(chunk) = self.spool.chunk(last)?
        {
            let text = format!("{}\n{line}", chunk.text);
            // What no longer fits is told by the step that comes next.
            if text.chars().count() <= limit {
                self.spool.rewrite(last, &text, &chunk.form)?;
            }
            return Ok(());
        }
        let post = Post {
            text: line,
            rendered: true,
            form: Form {
                silent: true,
                passing: true,
                ..Form::default()
            },
            ..Post::default()
        };
        let place = Place {
            reply_to: "",
            ..turn.into()
        };
        let posted = self.publish(&place, post, now)?;
        if let Some(live) = self.live.get_mut(&turn.id) {
            live.steps.push_back(posted.last_chunk());
        }
        Ok(())
    }

    fn post_page(&mut self, turn: &Turn, view: View, now: u64) -> Result<String, SpoolError> {
        let live = self.live.get(&turn.id);
        let first = live.is_some_and(|live| live.progress.page().is_empty());
        let post = Post {
            text: &view.text,
            rendered: true,
            form: page_form(turn, &view),
            ..Post::default()
        };
        let place = Place {
            reply_to: if first { &turn.reply_to } else { "" },
            ..turn.into()
        };
        Ok(self.publish(&place, post, now)?.first_chunk())
    }

    /// The open page reads so for good.
    fn freeze_page(&mut self, turn: &Turn, view: View, now: u64) -> Result<(), SpoolError> {
        let page = self
            .live
            .get(&turn.id)
            .map(|live| live.progress.page().to_owned());
        let page = page.unwrap_or_default();
        let form = page_form(turn, &view);
        if self.spool.rewrite(&page, &view.text, &form.write())? {
            // It was not handed out yet.
            return Ok(());
        }
        let post = Post {
            text: &view.text,
            rendered: true,
            form: Form {
                target: page,
                // Where the message is gone or too old, its text must still stand somewhere.
                or_post: view.content,
                turn: String::new(),
                ..form
            },
            ..Post::default()
        };
        let place = Place {
            reply_to: "",
            ..turn.into()
        };
        self.publish(&place, post, now).map(drop)
    }

    /// The open page reads so for the moment: told to the worker, if it is there.
    fn revise_page(&mut self, turn: &Turn, view: View) -> Result<(), SpoolError> {
        let can = self.capabilities(&turn.instance);
        let up = self
            .workers
            .get(&turn.instance)
            .is_some_and(|worker| worker.up);
        let page = self
            .live
            .get(&turn.id)
            .map(|live| live.progress.page().to_owned());
        let chunk = self.spool.chunk(&page.unwrap_or_default())?;
        let Some(chunk) = chunk.filter(|chunk| up && !chunk.platform_id.is_empty()) else {
            return Ok(());
        };
        let revise = Revise {
            address: chunk.address,
            platform_id: chunk.platform_id,
            text: view.text,
            card: view.card.filter(|_| can.embeds),
        };
        self.send(&turn.instance, &turn.trace, Body::Revise(revise));
        Ok(())
    }

    /// The platform has a page.
    pub(super) fn page_landed(
        &mut self,
        turn: &str,
        chunk: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(live) = self
            .live
            .get_mut(turn)
            .filter(|live| live.progress.page() == chunk)
        else {
            return Ok(());
        };
        let acts = live.progress.landed(now);
        self.perform(turn, acts, now)
    }

    /// No cards can be posted where the turn is shown.
    pub(super) fn without_cards(&mut self, turn: &str) {
        if let Some(live) = self.live.get_mut(turn) {
            live.progress.kept_mut().plain = true;
            live.progress.doubt();
        }
    }

    /// A worker is back: it may not have shown the newest.
    pub(super) fn doubt_progress(&mut self, instance: &str) {
        let of = |live: &&mut Live| live.turn.instance == instance;
        let ids: Vec<String> = self
            .live
            .values_mut()
            .filter(of)
            .map(|live| {
                live.progress.doubt();
                live.turn.id.clone()
            })
            .collect();
        for id in ids {
            self.wake_progress(&id);
        }
    }

    /// One answer, or the whole of one.
    fn post_answer(
        &mut self,
        turn: &Turn,
        text: &str,
        now: u64,
    ) -> Result<(usize, usize), SpoolError> {
        let post = Post {
            text,
            answer: Some(lang(turn)),
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
        self.quiet.remove(&Lane::of(turn));
        self.live_of(turn, now)?;
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
        for answer in &answers {
            let (chars, chunks) = self.post_answer(turn, answer, now)?;
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

impl Live {
    fn new(turn: &Turn, progress: Progress, stored: bool) -> Live {
        Live {
            turn: Turn {
                prompt: String::new(),
                said: String::new(),
                ..turn.clone()
            },
            progress,
            wake: None,
            steps: VecDeque::new(),
            stored,
            in_pieces: false,
        }
    }
}

impl Lane {
    /// Where the answers of a turn go.
    fn of(turn: &Turn) -> Lane {
        Lane {
            instance: turn.instance.clone(),
            address: turn.address.clone(),
        }
    }
}

fn page_form(turn: &Turn, view: &View) -> Form {
    Form {
        silent: true,
        card: view.card.clone(),
        turn: turn.id.clone(),
        passing: !view.content,
        ..Form::default()
    }
}
