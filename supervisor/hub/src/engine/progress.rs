//! A turn is shown while it runs: pages are posted and changed, steps are said, and whatever stands
//! open is closed when the turn is over.
//!
//! A page is posted as any chunk is, so that it stands once whatever dies; then it is revised, which
//! may be lost; then it is closed, as a chunk again. What is here and not in the spool may be
//! forgotten at any time.

use ipc_schema::{BlobRef, Body, Card, Revise, Tone, TurnEvent};
use render::Dialect;
use spool::{ChunkState, SpoolError, Turn, TurnState};

use super::outbox::{Place, Post, cut, limit_of};
use super::runner::lang;
use super::{Engine, Lane, Out, Timer};
use crate::form::Form;
use crate::plan::{Reply, Style};
use crate::progress::{Board, Step, is_news};
use crate::texts::progress::{self as words, NoFile};
use crate::turn::holds_session;

/// Until a platform that can show nothing says that it takes long, milliseconds.
const BUBBLE: u64 = 8_000;
/// How long a turn runs before its growing text alone is worth a message, milliseconds.
const PATIENCE: u64 = 2_000;
/// The least room that a growing text is shown in, code points.
const TAIL: usize = 80;
/// Kept free on a page for how the turn stands, code points.
const STANDING: usize = 60;

/// What is shown of a turn now.
#[derive(Default)]
pub(super) struct Live {
    board: Board,
    /// The text that grows, and how much of it was shown.
    partial: String,
    partial_shown: usize,
    revised_at: u64,
    dirty: bool,
    /// The chunk of the last step, where a step is a message, and its text.
    last: Option<(String, String)>,
}

/// How a turn's pages look.
struct Look {
    card: bool,
    room: usize,
    dialect: Dialect,
}

impl Engine {
    /// How turns are shown where this one came from, if they are.
    fn style(&self, turn: &Turn) -> Style {
        let platform = self.plan.platforms.get(&turn.instance);
        let project = self.plan.projects.get(&turn.project);
        let style = platform.map_or(Style::Off, |platform| platform.progress);
        let can_edit = self
            .workers
            .get(&turn.instance)
            .is_some_and(|worker| worker.capabilities.edit);
        match style {
            _ if !project.is_some_and(|project| project.display.progress) => Style::Off,
            Style::Compact | Style::Card if !can_edit => Style::Bubble,
            style => style,
        }
    }

    /// Whether what the agent writes before its last words goes out before the turn's end.
    pub(super) fn shows_content(&self, turn: &Turn) -> bool {
        matches!(
            self.style(turn),
            Style::Legacy | Style::Compact | Style::Card
        )
    }

    fn look(&self, turn: &Turn, board: &Board) -> Look {
        let capabilities = self.capabilities(&turn.instance);
        Look {
            card: self.style(turn) == Style::Card && capabilities.embeds && !board.plain,
            room: limit_of(&capabilities)
                .max_chars
                .saturating_sub(STANDING)
                .max(1),
            dialect: Dialect::from_name(&capabilities.dialect),
        }
    }

    fn live(&mut self, turn: &Turn) -> Result<&mut Live, SpoolError> {
        if !self.live.contains_key(&turn.id) {
            let kept = self.spool.progress(&turn.id)?;
            let board = kept.and_then(|kept| serde_json::from_str(&kept).ok());
            let live = Live {
                board: board.unwrap_or_default(),
                ..Live::default()
            };
            self.live.insert(turn.id.clone(), live);
        }
        Ok(self.live.entry(turn.id.clone()).or_default())
    }

    /// The turn begins.
    pub(super) fn watch(&mut self, turn: &Turn, now: u64) {
        if self.style(turn) == Style::Bubble {
            let lane = Lane {
                instance: turn.instance.clone(),
                address: turn.address.clone(),
            };
            self.bubbles.insert(turn.id.clone(), lane);
            let turn = turn.id.clone();
            self.at(now + BUBBLE, Timer::Bubble { turn });
        }
    }

    /// Something was said there: nobody wonders whether work goes on.
    pub(super) fn spoke(&mut self, lane: &Lane) {
        self.bubbles.retain(|_, waits| waits != lane);
    }

    /// It takes long, and nothing was said yet.
    pub(super) fn bubble(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        if self.bubbles.remove(id).is_none() {
            return Ok(());
        }
        let Some(turn) = self.spool.turn(id)?.filter(|t| holds_session(t.state)) else {
            return Ok(());
        };
        let post = Post {
            text: &words::still_working(lang(&turn)),
            form: Form {
                passing: true,
                silent: true,
                ..Form::default()
            },
            ..Post::default()
        };
        self.publish(&(&turn).into(), post, now).map(drop)
    }

    /// Progress of a turn: shown if it can be, else forgotten.
    pub(super) fn passing(
        &mut self,
        turn: &Turn,
        event: TurnEvent,
        now: u64,
    ) -> Result<(), SpoolError> {
        let style = self.style(turn);
        if matches!(style, Style::Off | Style::Bubble) || turn.state == TurnState::Stopping {
            return Ok(());
        }
        let Some(display) = self.plan.projects.get(&turn.project).map(|p| p.display) else {
            return Ok(());
        };
        let board = self.live(turn)?.board.clone();
        let look = self.look(turn, &board);
        let lang = lang(turn);
        let (line, thinks) = match event {
            TurnEvent::Thinking if display.thinking => (words::thinking(lang).to_owned(), true),
            TurnEvent::Tool { name, input } if display.tools => {
                let most = display.tool_max_len.unwrap_or(u32::MAX) as usize;
                let most = most.min(look.room / 2);
                let input = match input.chars().count() > most {
                    true => input.chars().take(most).chain(['…']).collect(),
                    false => input,
                };
                let set = |text: &str| render::literal(text, look.dialect);
                (words::tool(&set(&name), &set(&input), lang), false)
            }
            TurnEvent::Note { text } => (words::note(&render::literal(&text, look.dialect)), false),
            TurnEvent::Partial { text } if style != Style::Legacy => {
                return self.grows(turn, text, now);
            }
            _ => return Ok(()),
        };
        if style == Style::Legacy {
            return self.say_step(turn, &line, thinks, now);
        }
        let live = self.live(turn)?;
        let steps = match thinks {
            true => live.board.thinks(&line, look.room),
            false => live.board.step(&line, look.room),
        };
        live.partial.clear();
        live.partial_shown = 0;
        self.take_steps(turn, steps, now)
    }

    /// Where a step is a message: one that still waits to go out takes the next one in.
    fn say_step(
        &mut self,
        turn: &Turn,
        line: &str,
        thinks: bool,
        now: u64,
    ) -> Result<(), SpoolError> {
        let room = limit_of(&self.capabilities(&turn.instance)).max_chars;
        let live = self.live(turn)?;
        // The board holds nothing here but whether the agent was thinking.
        let said = match thinks {
            true => live.board.thinks(line, room),
            false => live.board.step(line, room),
        };
        if said.is_empty() {
            return Ok(());
        }
        let last = live.last.take();
        if let Some((key, text)) = last {
            let both = format!("{text}\n{line}");
            if both.chars().count() <= room
                && let Some(chunk) = self.spool.chunk(&key)?
                && self.spool.rewrite(&key, &both, &chunk.form)?
            {
                self.live(turn)?.last = Some((key, both));
                return Ok(());
            }
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
        let posted = self.publish(&turn.into(), post, now)?;
        self.live(turn)?.last = Some((posted.first_chunk(), line.to_owned()));
        Ok(())
    }

    /// The text that grows is shown at the end of the open page.
    fn grows(&mut self, turn: &Turn, text: String, now: u64) -> Result<(), SpoolError> {
        let preview = self.plan.stream_preview;
        if !preview.enabled {
            return Ok(());
        }
        let long = now.saturating_sub(turn.changed_at) >= PATIENCE;
        let live = self.live(turn)?;
        let length = text.chars().count();
        live.partial = text;
        if live.board.page.is_empty() {
            return match long {
                true => self.take_steps(turn, vec![Step::Open(String::new())], now),
                false => Ok(()),
            };
        }
        if is_news(live.partial_shown, length, preview.min_delta_chars as usize) {
            self.changed(turn, now)?;
        }
        Ok(())
    }

    /// Content of a turn before its last words.
    pub(super) fn earlier(&mut self, turn: &Turn, text: &str, now: u64) -> Result<(), SpoolError> {
        let board = self.live(turn)?.board.clone();
        let look = self.look(turn, &board);
        if self.style(turn) == Style::Legacy {
            let live = self.live(turn)?;
            live.last = None;
            live.board = Board::default();
            let post = Post {
                text,
                form: Form {
                    silent: true,
                    ..Form::default()
                },
                ..Post::default()
            };
            return self.publish(&turn.into(), post, now).map(drop);
        }
        let rendered = render::render(text, look.dialect);
        let limit = render::Limit {
            max_chars: look.room,
            joined: false,
        };
        let pieces = cut(&rendered, limit);
        let live = self.live(turn)?;
        live.partial.clear();
        live.partial_shown = 0;
        let steps = live
            .board
            .content(pieces.iter().map(String::as_str), look.room);
        self.take_steps(turn, steps, now)?;
        self.keep_board(turn)
    }

    fn keep_board(&mut self, turn: &Turn) -> Result<(), SpoolError> {
        let board = &self.live(turn)?.board;
        let kept = serde_json::to_string(board).unwrap_or_default();
        self.spool.put_progress(&turn.id, &kept)
    }

    fn take_steps(&mut self, turn: &Turn, steps: Vec<Step>, now: u64) -> Result<(), SpoolError> {
        // The board has gone on already: which page a step is about is told by the steps before it.
        let mut page = match steps.iter().any(|s| matches!(s, Step::Close { .. })) {
            true => self.posted_page(turn)?,
            false => self.live(turn)?.board.page.clone(),
        };
        for step in steps {
            match step {
                Step::Open(text) => {
                    page = self.open_page(turn, &text, now)?;
                    self.live(turn)?.board.page.clone_from(&page);
                    self.keep_board(turn)?;
                }
                Step::Close { text, content } => {
                    self.close_page(turn, &page, &text, content, None, now)?;
                    page.clear();
                }
                Step::Changed => self.changed(turn, now)?,
            }
        }
        Ok(())
    }

    /// The page that was open as far as the spool knows.
    fn posted_page(&self, turn: &Turn) -> Result<String, SpoolError> {
        let kept = self.spool.progress(&turn.id)?;
        let board: Option<Board> = kept.and_then(|kept| serde_json::from_str(&kept).ok());
        Ok(board.unwrap_or_default().page)
    }

    fn open_page(&mut self, turn: &Turn, text: &str, now: u64) -> Result<String, SpoolError> {
        let (text, card) = self.page(turn, text, None, now)?;
        let content = self.live(turn)?.board.has_content();
        let post = Post {
            text: &text,
            rendered: true,
            form: Form {
                silent: true,
                // Its last form is posted anew, should this one be refused.
                passing: true,
                turn: turn.id.clone(),
                card,
                ..Form::default()
            },
            ..Post::default()
        };
        tracing::debug!(turn = %turn.id, content, "a page is opened");
        let posted = self.publish(&turn.into(), post, now)?;
        let live = self.live(turn)?;
        (live.revised_at, live.dirty) = (now, false);
        live.partial_shown = live.partial.chars().count();
        Ok(posted.first_chunk())
    }

    /// The last form of a page, for good. `over` = the turn is, in this state.
    fn close_page(
        &mut self,
        turn: &Turn,
        page: &str,
        text: &str,
        content: bool,
        over: Option<TurnState>,
        now: u64,
    ) -> Result<(), SpoolError> {
        if page.is_empty() && !content {
            return Ok(());
        }
        let (text, card) = match over {
            Some(_) => self.page(turn, text, over, now)?,
            None => {
                let board = self.live(turn)?.board.clone();
                let card = self.look(turn, &board).card.then(|| Card {
                    text: text.to_owned(),
                    ..Card::default()
                });
                (text.to_owned(), card)
            }
        };
        let post = Post {
            text: &text,
            rendered: true,
            form: Form {
                silent: true,
                target: page.to_owned(),
                or_post: content,
                passing: !content,
                turn: turn.id.clone(),
                card,
                ..Form::default()
            },
            ..Post::default()
        };
        let place = Place {
            reply_to: "",
            ..turn.into()
        };
        self.publish(&place, post, now).map(drop)
    }

    /// How a page reads: what stands on it, the text that grows, and how the turn stands.
    fn page(
        &mut self,
        turn: &Turn,
        text: &str,
        over: Option<TurnState>,
        now: u64,
    ) -> Result<(String, Option<Card>), SpoolError> {
        let lang = lang(turn);
        let most = self.plan.stream_preview.max_chars as usize;
        let (board, partial) = {
            let live = self.live(turn)?;
            (live.board.clone(), live.partial.clone())
        };
        let look = self.look(turn, &board);
        let mut shown = text.to_owned();
        let room = look
            .room
            .saturating_sub(shown.chars().count() + 2)
            .min(most);
        if over.is_none() && !partial.trim().is_empty() && room >= TAIL {
            let grown = render::render(&partial, look.dialect);
            if !shown.is_empty() {
                shown.push_str("\n\n");
            }
            shown.push_str(&render::tail(&grown, room));
        }
        let secs = now.saturating_sub(turn.queued_at) / 1000;
        let card = look.card.then(|| Card {
            title: words::title(over, lang),
            text: shown.clone(),
            footer: words::footer(secs, lang),
            tone: match over {
                None => Tone::Working,
                Some(TurnState::Ended) => Tone::Good,
                Some(TurnState::Stopped) => Tone::Neutral,
                Some(_) => Tone::Bad,
            },
        });
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&words::standing(over, secs, lang));
        Ok((shown, card))
    }

    /// The open page reads otherwise: it is changed as soon as the last change is old enough.
    fn changed(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        let interval = self.plan.stream_preview.interval_ms;
        let live = self.live(turn)?;
        if live.dirty {
            return Ok(());
        }
        live.dirty = true;
        let due = now.max(live.revised_at + interval);
        let turn = turn.id.clone();
        self.at(due, Timer::Revise { turn });
        Ok(())
    }

    /// A page stands: what has changed since is shown.
    pub(super) fn page_landed(
        &mut self,
        turn: &str,
        key: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        if let Some(live) = self.live.get(turn)
            && live.dirty
            && live.board.page == key
        {
            let due = now.max(live.revised_at + self.plan.stream_preview.interval_ms);
            let turn = turn.to_owned();
            self.at(due, Timer::Revise { turn });
        }
        Ok(())
    }

    /// The worker is there again: what it was told of open pages may not have been shown.
    pub(super) fn revise_all(&mut self, instance: &str, now: u64) -> Result<(), SpoolError> {
        let ids: Vec<String> = self.live.keys().cloned().collect();
        for id in ids {
            if let Some(turn) = self.spool.turn(&id)?.filter(|t| t.instance == instance) {
                self.changed(&turn, now)?;
            }
        }
        Ok(())
    }

    /// Cards cannot be posted where this turn is shown.
    pub(super) fn without_cards(&mut self, turn: &str) {
        if let Some(live) = self.live.get_mut(turn) {
            live.board.plain = true;
        }
    }

    /// The time for a change has come.
    pub(super) fn revise(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        let Some(live) = self.live.get(id).filter(|live| live.dirty) else {
            return Ok(());
        };
        let page = live.board.page.clone();
        let Some(turn) = self.spool.turn(id)?.filter(|t| holds_session(t.state)) else {
            return Ok(());
        };
        let chunk = self.spool.chunk(&page)?;
        let stands = chunk
            .filter(|chunk| chunk.state == ChunkState::Delivered && !chunk.platform_id.is_empty());
        let up = self.workers.get(&turn.instance).is_some_and(|w| w.up);
        // One that is on its way is changed once it stands.
        let Some(chunk) = stands.filter(|_| up) else {
            return Ok(());
        };
        let text = live.board.text().to_owned();
        let (text, card) = self.page(&turn, &text, None, now)?;
        let live = self.live(&turn)?;
        (live.dirty, live.revised_at) = (false, now);
        live.partial_shown = live.partial.chars().count();
        self.out.push(Out {
            peer: turn.instance.clone(),
            trace: turn.trace.clone(),
            body: Body::Revise(Revise {
                address: turn.address.clone(),
                platform_id: chunk.platform_id,
                text,
                card,
            }),
        });
        Ok(())
    }

    /// A piece of content is whole: whatever came before it is not the turn's last word.
    pub(super) fn piece_ended(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        let all = self.replies_all(turn);
        if !all && !self.shows_content(turn) {
            return Ok(());
        }
        let mut pieces = self.spool.content(&turn.id)?;
        if !all {
            pieces.pop();
        }
        for piece in pieces.into_iter().filter(|piece| piece.whole) {
            if !self.spool.show(&turn.id, &piece.block)? {
                continue;
            }
            match all {
                true => self.answer_with(turn, &piece.text, now).map(drop)?,
                false => self.earlier(turn, &piece.text, now)?,
            }
        }
        Ok(())
    }

    /// Whether each text of the turn's is a message.
    pub(super) fn replies_all(&self, turn: &Turn) -> bool {
        let platform = self.plan.platforms.get(&turn.instance);
        platform.is_some_and(|platform| platform.reply == Reply::All)
    }

    /// Posts what the agent answered; how many chunks it became.
    pub(super) fn answer_with(
        &mut self,
        turn: &Turn,
        text: &str,
        now: u64,
    ) -> Result<usize, SpoolError> {
        let post = Post {
            text,
            answer: Some(lang(turn)),
            ..Post::default()
        };
        Ok(self.publish(&turn.into(), post, now)?.count)
    }

    /// The agent sends a file: it goes out at once, once.
    pub(super) fn send_file(
        &mut self,
        turn: &Turn,
        file: BlobRef,
        caption: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        let name = format!("file {} {}", file.sha256, file.name);
        if !self.spool.show(&turn.id, &name)? {
            return Ok(());
        }
        let capabilities = self.capabilities(&turn.instance);
        let why = if !self.plan.attachments.send {
            Some(NoFile::Off)
        } else if !capabilities.files {
            Some(NoFile::Platform)
        } else if file.size > capabilities.file_limit {
            Some(NoFile::TooLarge(capabilities.file_limit))
        } else {
            match self.spool.blob_path(&file.sha256) {
                Ok(Some(_)) => None,
                Err(error) if !error.is_refused() => return Err(error),
                _ => Some(NoFile::Gone),
            }
        };
        let words;
        let post = match why {
            Some(why) => {
                words = words::no_file(&file.name, why, lang(turn));
                Post {
                    text: &words,
                    ..Post::default()
                }
            }
            None => Post {
                text: caption,
                form: Form {
                    files: vec![file],
                    ..Form::default()
                },
                ..Post::default()
            },
        };
        self.publish(&turn.into(), post, now).map(drop)
    }

    /// The turn is over: what stands open of it is closed.
    pub(super) fn close_progress(
        &mut self,
        turn: &Turn,
        over: TurnState,
        now: u64,
    ) -> Result<(), SpoolError> {
        self.bubbles.remove(&turn.id);
        let kept = self.spool.progress(&turn.id)?.is_some();
        if !kept && !self.live.contains_key(&turn.id) {
            return Ok(());
        }
        if self.style(turn) != Style::Legacy {
            let board = self.live(turn)?.board.clone();
            let (text, content) = (board.text(), board.has_content());
            self.close_page(turn, &board.page, text, content, Some(over), now)?;
        }
        self.live.remove(&turn.id);
        if kept {
            self.spool.end_progress(&turn.id)?;
        }
        Ok(())
    }
}
