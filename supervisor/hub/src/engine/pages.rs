//! Steps and pages of a turn, on their way to its channel.
//!
//! A page is posted as any chunk is, so that it stands once whatever dies. Then it is revised, which may
//! be lost; its last form is a chunk again.

use ipc_schema::{Body, Revise};
use spool::{ChunkState, SpoolError, Turn, TurnState};

use super::outbox::{Place, Post, limit_of};
use super::progress::Live;
use super::runner::lang;
use super::{Engine, Lane, Timer};
use crate::form::Form;
use crate::plan::Style;
use crate::progress::View;
use crate::texts::progress as words;

/// After so long without a word there is one, where nothing else is shown, milliseconds.
const BUBBLE: u64 = 8_000;
/// Steps that may wait in a lane as messages of their own; further ones join the last.
const STEPS: usize = 4;

impl Engine {
    /// Where nothing else is shown, a word is due after a while.
    pub(super) fn await_silence(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        self.end_silence(turn);
        let Some(live) = self.live_of(turn, now)? else {
            return Ok(());
        };
        if live.progress.style() == Style::Bubble && !live.progress.kept_mut().bubble {
            live.silent_until = Some(now + BUBBLE);
            self.quiet.insert(Lane::of(turn), turn.id.clone());
            self.at(now + BUBBLE, Timer::Silence(turn.id.clone()));
        }
        Ok(())
    }

    /// No word is due any more.
    pub(super) fn end_silence(&mut self, turn: &Turn) {
        let lane = Lane::of(turn);
        if self.quiet.get(&lane) == Some(&turn.id) {
            self.quiet.remove(&lane);
        }
        let live = self.live.get_mut(&turn.id);
        if let Some(until) = live.and_then(|live| live.silent_until.take()) {
            self.cancel(until, &Timer::Silence(turn.id.clone()));
        }
    }

    /// Something goes out in a lane: it is not silent.
    pub(super) fn spoke(&mut self, lane: &Lane) {
        if !self.quiet.is_empty() {
            self.quiet.remove(lane);
        }
    }

    /// A turn has been running for a while.
    pub(super) fn silence(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        if !self.quiet.values().any(|quiet| quiet == id) {
            return Ok(());
        }
        let running = |turn: &Turn| matches!(turn.state, TurnState::Starting | TurnState::Running);
        let Some(turn) = self.spool.turn(id)?.filter(running) else {
            return Ok(());
        };
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

    /// A step as a message of its own; where several wait already it joins the last.
    pub(super) fn post_step(
        &mut self,
        turn: &Turn,
        line: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
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

    pub(super) fn post_page(
        &mut self,
        turn: &Turn,
        view: View,
        now: u64,
    ) -> Result<String, SpoolError> {
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
    pub(super) fn freeze_page(
        &mut self,
        turn: &Turn,
        view: View,
        now: u64,
    ) -> Result<(), SpoolError> {
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
    pub(super) fn revise_page(&mut self, turn: &Turn, view: View) -> Result<(), SpoolError> {
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
}

impl Lane {
    /// Where the answers of a turn go.
    pub(super) fn of(turn: &Turn) -> Lane {
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
