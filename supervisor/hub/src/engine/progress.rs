//! Turns as they run: what they show.
//!
//! [`crate::progress`] decides; here its acts are performed ([`super::pages`], [`super::content`]). What
//! must survive is a row of the spool, changed with the chunks that show it. The rest is in memory, and
//! made anew from that row and the turn's content when it is missed.

use std::collections::VecDeque;

use ipc_schema::{Remark, TurnEvent, TurnRef};
use render::Dialect;
use spool::{SpoolError, Turn, TurnState};

use super::content::Blocks;
use super::outbox::limit_of;
use super::runner::lang;
use super::{Engine, Timer};
use crate::plan::Style;
use crate::progress::{Act, Kept, Progress, Seen, Show};
use crate::texts::{Text, say};

/// From this try on, or with so long until the next (milliseconds), the model has not answered for a
/// while: tries come after ever longer waits.
const LONG_ATTEMPT: u64 = 6;
const LONG_WAIT: u64 = 20_000;
/// How long the same is not said again, milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// The shortest time between two changes of a message, milliseconds.
const INTERVAL: u64 = 250;

/// A turn that runs.
pub(super) struct Live {
    /// Without its prompt.
    pub(super) turn: Turn,
    pub(super) progress: Progress,
    /// When it is to be looked at.
    pub(super) wake: Option<u64>,
    /// Chunks of steps that may still wait.
    pub(super) steps: VecDeque<String>,
    /// Until when a silent turn is left silent.
    pub(super) silent_until: Option<u64>,
    /// A row is in the spool.
    pub(super) stored: bool,
    /// A block is on its way whose beginning is in the spool alone.
    pub(super) in_pieces: bool,
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
            thinking_max: display.thinking_max_len.map(|most| most as usize),
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

    /// The turn's progress, from the spool if need be; `None` if it does not run.
    pub(super) fn live_of(
        &mut self,
        turn: &Turn,
        now: u64,
    ) -> Result<Option<&mut Live>, SpoolError> {
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
            progress.doubt();
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
        let remark;
        let seen = match event {
            TurnEvent::Thinking { text } => Seen::Thinking(text),
            TurnEvent::Partial { text } => Seen::Partial(text),
            TurnEvent::Tool { name, input } => Seen::Tool { name, input },
            TurnEvent::Note { text } => Seen::Note(text),
            TurnEvent::Remark {
                about: Remark::Unknown,
            } => return Ok(()),
            TurnEvent::Remark { .. } => Seen::Remark(""),
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
        if live.turn.attempt != at.attempt || runner != Some(peer) {
            return Ok(());
        }
        if matches!(live.progress.style(), Style::Bubble | Style::Off) {
            return match event {
                TurnEvent::Remark { about } => self.tell_retry(id, about, now),
                _ => Ok(()),
            };
        }
        let seen = match event {
            TurnEvent::Remark { about } => {
                remark = say(&Text::Remark(about), lang(&live.turn));
                Seen::Remark(&remark)
            }
            _ => seen,
        };
        let acts = live.progress.seen(seen, now);
        self.perform(id, acts, now)
    }

    /// Where nothing of a turn is shown, a model that has not answered for a while is told, once.
    fn tell_retry(&mut self, id: &str, about: &Remark, now: u64) -> Result<(), SpoolError> {
        let long = |attempt, wait_ms| attempt >= LONG_ATTEMPT || wait_ms >= LONG_WAIT;
        if !matches!(about, Remark::Retry { attempt, wait_ms, .. } if long(*attempt, *wait_ms)) {
            return Ok(());
        }
        let running = |turn: &Turn| turn.state == TurnState::Running;
        let Some(turn) = self.spool.turn(id)?.filter(running) else {
            return Ok(());
        };
        let what = format!("retries {id}");
        let (instance, address) = (&turn.instance, &turn.address);
        match self.spool.tell_once(instance, address, &what, DAY, now)? {
            true => self.notice(&(&turn).into(), &Text::Retrying(about), lang(&turn), now),
            false => Ok(()),
        }
    }

    /// Changes what must survive of a turn's progress.
    pub(super) fn note(
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

    pub(super) fn keep_progress(&mut self, id: &str) -> Result<(), SpoolError> {
        let Some(live) = self.live.get_mut(id) else {
            return Ok(());
        };
        let state = serde_json::to_string(&live.progress.kept()).unwrap_or_default();
        live.stored = true;
        self.spool.put_progress(id, &state)
    }

    /// Does what the progress of a turn wants done.
    pub(super) fn perform(&mut self, id: &str, acts: Vec<Act>, now: u64) -> Result<(), SpoolError> {
        let mut todo = VecDeque::from(acts);
        let mut keep = false;
        while let Some(act) = todo.pop_front() {
            let Some(turn) = self.live.get(id).map(|live| live.turn.clone()) else {
                return Ok(());
            };
            match act {
                Act::Step(line) => self.post_step(&turn, &line, now)?,
                // The reserve is for what must be said.
                Act::Page(view) if !view.content && self.spool.is_crowded()? => {}
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

    pub(super) fn wake_progress(&mut self, id: &str) {
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
            silent_until: None,
            stored,
            in_pieces: false,
        }
    }
}
