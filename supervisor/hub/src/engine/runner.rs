//! Turns: started, followed, ended.

use ipc_schema::{
    Body, Decide, Fault, Nack, OpenTurns, Outcome, Prompt, Remark, Standing, TurnEvent, TurnRef,
    TurnStanding, TurnUpdate, TurnsAnswer, Unprompted, UnpromptedKept, UpdatesKept,
};
use spool::{QuestionState, SpoolError, Turn, TurnState};

use super::chat::interrupt;
use super::outbox::Place;
use super::{Engine, RUNNER_AWAY, Timer};
use crate::question::Decided;
use crate::texts::{Lang, Text};
use crate::turn::{Signal, Step, step};
use crate::used::Used;

/// How long it is not said again that one turn goes on although its agent died, milliseconds.
const RESUMED: u64 = 60_000;

impl Engine {
    /// A runner is there again: compare notes before anything else.
    pub(super) fn runner_up(&mut self, peer: &str) -> Result<(), SpoolError> {
        let Some(project) = self.project_of(peer) else {
            return Ok(());
        };
        let turns = self.spool.open_turns(&project)?.iter().map(at).collect();
        self.send(peer, "", Body::OpenTurns(OpenTurns { turns }));
        Ok(())
    }

    /// The runner said how our open turns stand.
    pub(super) fn turns_answer(
        &mut self,
        peer: &str,
        answer: TurnsAnswer,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(project) = self.project_of(peer) else {
            return Ok(());
        };
        let Some(runner) = self.runners.get_mut(peer) else {
            return Ok(());
        };
        runner.ready = true;
        self.told_away.clear();
        let resumable = runner.capabilities.dedups_prompts;
        for turn in self.spool.open_turns(&project)? {
            // What the runner was not asked about it cannot have answered.
            let Some(standing) = standing(&answer.turns, &at(&turn)) else {
                continue;
            };
            match standing {
                Standing::Unknown if resumable && self.has_only_waited(&turn)? => {
                    self.signal(&turn, Signal::Unbegun, now)?;
                }
                Standing::Unknown => self.signal(&turn, Signal::Lost { resumable }, now)?,
                Standing::Running if turn.state == TurnState::Stopping => {
                    self.send(peer, &turn.trace, Body::Interrupt(interrupt(&turn)));
                }
                Standing::Running | Standing::Ended => {}
            }
        }
        // What was decided while the link was down has not reached the agent.
        for question in self.spool.open_questions(&project)? {
            if question.state == QuestionState::Decided
                && let Ok(Decided { decision, .. }) = serde_json::from_str(&question.decision)
            {
                self.send(
                    peer,
                    "",
                    Body::Decide(Decide {
                        question: question.id,
                        decision,
                    }),
                );
            }
        }
        self.dirty_sessions
            .extend(self.spool.sessions_with_queued(&project)?);
        Ok(())
    }

    /// Whether the agent of this attempt was never started: before that, nothing is told of it but
    /// that it waits for room.
    fn has_only_waited(&self, turn: &Turn) -> Result<bool, SpoolError> {
        let told = turn.state == TurnState::Starting && turn.updates > 0;
        Ok(told && self.spool.content(&turn.id)?.is_empty())
    }

    /// Starts the next turn of a session, if it is free and the runner is there.
    pub(super) fn schedule(&mut self, session: &str, now: u64) -> Result<(), SpoolError> {
        if self.spool.active_turn(session)?.is_some() {
            return Ok(());
        }
        let Some(turn) = self.spool.next_queued(session)? else {
            return Ok(());
        };
        if !self.is_ready(&turn.project) {
            self.at(now + RUNNER_AWAY, Timer::RunnerAway { turn: turn.id });
            return Ok(());
        }
        self.signal(&turn, Signal::Go, now)
    }

    /// Puts a signal to the table and does what it says.
    fn signal(&mut self, turn: &Turn, signal: Signal, now: u64) -> Result<(), SpoolError> {
        match step(turn.state, turn.attempt, signal) {
            Step::Stay => Ok(()),
            Step::To(TurnState::Starting) | Step::Again => self.prompt(turn, turn.attempt + 1, now),
            Step::Anew => {
                self.spool.set_updates(&turn.id, 0)?;
                self.prompt(turn, turn.attempt, now)
            }
            Step::To(TurnState::Running) => {
                self.spool
                    .set_turn(&turn.id, TurnState::Running, turn.attempt, now)
            }
            Step::To(TurnState::Stopped) => {
                self.finish(turn, TurnState::Stopped, Some(&Text::Stopped), now)
            }
            Step::To(TurnState::Interrupted) => {
                self.finish(turn, TurnState::Interrupted, Some(&Text::CannotResume), now)
            }
            Step::To(state) => self.finish(turn, state, None, now),
            Step::GiveUp => self.finish(turn, TurnState::Failed, Some(&Text::TooManyAttempts), now),
        }
    }

    /// Hands an attempt to the runner: committed as starting before it is sent.
    fn prompt(&mut self, turn: &Turn, attempt: u32, now: u64) -> Result<(), SpoolError> {
        let Some(session) = self.spool.session(&turn.session)? else {
            return Ok(());
        };
        let Some(runner) = self.runner_of(&turn.project) else {
            return Ok(());
        };
        self.withdraw_all(turn, now)?;
        self.spool
            .set_turn(&turn.id, TurnState::Starting, attempt, now)?;
        self.spool.put_session(&spool::Session {
            used_at: now,
            ..session.clone()
        })?;
        self.send(
            &runner,
            &turn.trace,
            Body::Prompt(Prompt {
                at: TurnRef {
                    turn: turn.id.clone(),
                    attempt,
                },
                session: turn.session.clone(),
                agent_session: session.agent_session,
                prompt_id: turn.prompt_id.clone(),
                resend: turn.attempt > 0,
                text: turn.prompt.clone(),
                attachments: self.attached(&turn.id)?,
                mode: session.mode,
                model: session.model,
                file_limit: Some(self.file_limit(&turn.instance)),
            }),
        );
        self.show_activity(turn, true);
        self.begin_progress(turn, now)
    }

    /// Something happened in a turn.
    pub(super) fn turn_update(
        &mut self,
        peer: &str,
        id: u64,
        update: TurnUpdate,
        now: u64,
    ) -> Result<(), SpoolError> {
        let TurnUpdate { at, n, event } = update;
        if n == 0 {
            // Before notes were compared what it comes after may not have been told: it would stand
            // in the wrong place.
            let ready = self.runners.get(peer).is_some_and(|runner| runner.ready);
            return match ready {
                true => self.show_progress(peer, &at, &event, now),
                false => Ok(()),
            };
        }
        let kept = |n| Body::UpdatesKept(UpdatesKept { at: at.clone(), n });
        let turn = self.spool.turn(&at.turn)?.filter(|turn| {
            turn.attempt == at.attempt
                && crate::turn::holds_session(turn.state)
                && self.runner_of(&turn.project).as_deref() == Some(peer)
        });
        let Some(turn) = turn else {
            // An attempt that is over or was replaced: the runner may forget it.
            self.send(peer, "", kept(n));
            return Ok(());
        };
        if n <= turn.updates {
            self.send(peer, &turn.trace, kept(turn.updates));
            return Ok(());
        }
        if n != turn.updates + 1 {
            tracing::warn!(peer, turn = %turn.id, got = n, after = turn.updates, "updates are missing");
            let why = format!("update {n} came after {}", turn.updates);
            self.send(peer, "", Body::Nack(Nack { id, why }));
            return Ok(());
        }
        self.spool.set_updates(&turn.id, n)?;
        self.follow(&turn, event, now)?;
        self.send(peer, &turn.trace, kept(n));
        Ok(())
    }

    fn follow(&mut self, turn: &Turn, event: TurnEvent, now: u64) -> Result<(), SpoolError> {
        let lang = lang(turn);
        match event {
            TurnEvent::Started {
                agent_session,
                continued,
            } => {
                if let Some(session) = self.spool.session(&turn.session)?
                    && session.agent_session != agent_session
                    && !agent_session.is_empty()
                {
                    self.spool.put_session(&spool::Session {
                        agent_session,
                        ..session
                    })?;
                }
                if continued && turn.state != TurnState::Stopping {
                    // An agent that dies again and again is one trouble, not one a try.
                    let what = format!("resumed {}", turn.id);
                    let (at, to) = (&turn.instance, &turn.address);
                    if self.spool.tell_once(at, to, &what, RESUMED, now)? {
                        self.notice(&turn.into(), &Text::Resumed, lang, now)?;
                    }
                }
                self.signal(turn, Signal::Started, now)
            }
            TurnEvent::Text { block, text, more } => {
                self.spool.add_text(&turn.id, &block, &text, more)?;
                self.wrote(turn, &block, &text, more, now)
            }
            TurnEvent::File { file, caption } => self.sent_file(turn, file, &caption, now),
            TurnEvent::Asked(asked) => self.asked(turn, asked, now),
            TurnEvent::Withdrawn { question, expired } => {
                self.withdrawn(turn, &question, expired, now)
            }
            TurnEvent::Decided { question, applied } => self.decided(turn, &question, applied, now),
            TurnEvent::Ended { outcome } => self.ended(turn, outcome, now),
            TurnEvent::Usage {
                context_tokens,
                context_window,
                cost_microusd,
                model,
            } => {
                let told = Used {
                    context_tokens,
                    context_window,
                    cost_microusd,
                    model,
                    ..Used::default()
                };
                match self.spool.session(&turn.session)? {
                    Some(session) => {
                        let before: Used = serde_json::from_str(&session.used).unwrap_or_default();
                        let used = before.and_then(told);
                        self.spool.put_session(&spool::Session {
                            used: serde_json::to_string(&used).unwrap_or_default(),
                            ..session
                        })
                    }
                    None => Ok(()),
                }
            }
            // A turn that is being stopped has its word already.
            TurnEvent::Waiting { .. } if turn.state == TurnState::Stopping => Ok(()),
            TurnEvent::Waiting { ahead, memory } => {
                let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
                self.notice(&turn.into(), &Text::Waiting { ahead, memory }, lang, now)
            }
            TurnEvent::Remark {
                about: Remark::Unknown,
            } => Ok(()),
            TurnEvent::Remark { about } => {
                self.notice(&turn.into(), &Text::Remark(&about), lang, now)
            }
            TurnEvent::Thinking { .. }
            | TurnEvent::Partial { .. }
            | TurnEvent::Tool { .. }
            | TurnEvent::Note { .. }
            | TurnEvent::Unknown => Ok(()),
        }
    }

    fn ended(&mut self, turn: &Turn, outcome: Outcome, now: u64) -> Result<(), SpoolError> {
        let fault = match outcome {
            Outcome::Done => return self.signal(turn, Signal::Answered, now),
            Outcome::Stopped => return self.signal(turn, Signal::Halted, now),
            Outcome::Failed { fault } => fault,
        };
        if turn.state == TurnState::Stopping {
            return self.signal(turn, Signal::Halted, now);
        }
        let missing;
        let agent = self.plan.projects.get(&turn.project).cloned();
        let agent = agent.unwrap_or_default();
        let text = match &fault {
            Fault::AgentMissing { cmd, .. } => Text::AgentMissing { cmd },
            Fault::LoggedOut { words } => Text::AgentLoggedOut {
                words,
                login: agent.login,
                cmd: match agent.login_command.as_str() {
                    "" => &agent.agent,
                    command => command,
                },
            },
            Fault::Agent { words } => Text::AgentError { words },
            Fault::Runner { at, detail } => Text::RunnerError { at: *at, detail },
            Fault::TimedOut { minutes } => Text::TurnTimedOut {
                mins: *minutes as usize,
            },
            Fault::CannotResume => {
                return self.signal(turn, Signal::Lost { resumable: false }, now);
            }
            Fault::Died { words } => {
                if step(turn.state, turn.attempt, Signal::Lost { resumable: true }) == Step::Again
                    && self.resumable(&turn.project)
                {
                    return self.signal(turn, Signal::Lost { resumable: true }, now);
                }
                Text::AgentError { words }
            }
            Fault::Unknown => {
                missing = "the agent failed for a reason that this version has no words for";
                Text::AgentError { words: missing }
            }
        };
        self.finish(turn, TurnState::Failed, Some(&text), now)
    }

    fn resumable(&self, project: &str) -> bool {
        self.runner_of(project)
            .and_then(|runner| self.runners.get(&runner))
            .is_some_and(|runner| runner.capabilities.dedups_prompts)
    }

    /// The last step of a turn: its content and words go out, the next one may start. One
    /// transaction, so an answer is either still the runner's or already in the outbox.
    fn finish(
        &mut self,
        turn: &Turn,
        state: TurnState,
        words: Option<&Text<'_>>,
        now: u64,
    ) -> Result<(), SpoolError> {
        // An attempt that was lost may have said half of something; one that ended has said all.
        let lost = matches!(words, Some(Text::TooManyAttempts | Text::CannotResume));
        let answered = self.end_progress(turn, state, lost, now)?;
        match words {
            Some(text) => self.notice(&turn.into(), text, lang(turn), now)?,
            None => self.last_word(turn, &answered, now)?,
        }
        if answered.chunks > 0 {
            let (chars, chunks) = (answered.chars, answered.chunks);
            let ms = now.saturating_sub(turn.queued_at);
            tracing::info!(chars, chunks, ms, "replied");
        }
        self.withdraw_all(turn, now)?;
        self.spool.set_turn(&turn.id, state, turn.attempt, now)?;
        if let Some(session) = self.spool.session(&turn.session)? {
            let (project, instance) = (&session.project, &session.instance);
            let at = self
                .spool
                .conversation(project, instance, &session.conversation)?;
            if session.closing && at.is_some_and(|at| at.session != session.id) {
                self.close_session(project, &session.id);
            }
            self.spool.put_session(&spool::Session {
                used_at: now,
                ..session
            })?;
        }
        self.show_activity(turn, false);
        self.dirty_sessions.insert(turn.session.clone());
        Ok(())
    }

    /// The agent spoke without having been asked: it goes to where the session last was.
    pub(super) fn unprompted(
        &mut self,
        peer: &str,
        said: Unprompted,
        now: u64,
    ) -> Result<(), SpoolError> {
        if !self.spool.seen(peer, &said.id, "", 0)? {
            self.spool.remember(peer, &said.id, "", 0, now)?;
            let project = self.project_of(peer);
            let session = self.spool.session(&said.session)?;
            let session = session.filter(|s| project.as_deref() == Some(s.project.as_str()));
            let conversation = match &session {
                Some(s) => self
                    .spool
                    .conversation(&s.project, &s.instance, &s.conversation)?,
                None => None,
            };
            if let Some(to) = conversation {
                let place = Place {
                    instance: &to.instance,
                    address: &to.address,
                    ..Place::default()
                };
                self.post(&place, &said.text, now)?;
            }
        }
        self.send(
            peer,
            "",
            Body::UnpromptedKept(UnpromptedKept { id: said.id }),
        );
        Ok(())
    }

    /// A runner is not there: whoever waits for it is told, should it stay away.
    pub(super) fn runner_away(&mut self, runner: &str, now: u64) -> Result<(), SpoolError> {
        let Some(project) = self.project_of(runner) else {
            return Ok(());
        };
        let mut waiting: Vec<String> = Vec::new();
        for turn in self.spool.open_turns(&project)? {
            waiting.push(turn.id);
        }
        for session in self.spool.sessions_with_queued(&project)? {
            waiting.extend(self.spool.next_queued(&session)?.map(|turn| turn.id));
        }
        for turn in waiting {
            self.at(now + RUNNER_AWAY, Timer::RunnerAway { turn });
        }
        Ok(())
    }

    /// Somebody has been waiting for a runner: for their turn to start, or to go on.
    pub(super) fn tell_runner_away(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        let Some(turn) = self.spool.turn(id)? else {
            return Ok(());
        };
        let ready = self.is_ready(&turn.project);
        let waits = turn.state == TurnState::Queued || crate::turn::holds_session(turn.state);
        if !waits || ready || !self.told_away.insert(turn.id.clone()) {
            return Ok(());
        }
        self.notice(&(&turn).into(), &Text::RunnerDown, lang(&turn), now)
    }

    fn project_of(&self, runner: &str) -> Option<String> {
        self.plan
            .projects
            .iter()
            .find(|(_, p)| p.runner == runner)
            .map(|(name, _)| name.clone())
    }
}

fn at(turn: &Turn) -> TurnRef {
    TurnRef {
        turn: turn.id.clone(),
        attempt: turn.attempt,
    }
}

pub(super) fn lang(turn: &Turn) -> Lang {
    Lang::from_code(&turn.language).unwrap_or(Lang::En)
}

fn standing(answer: &[TurnStanding], at: &TurnRef) -> Option<Standing> {
    answer.iter().find(|s| s.at == *at).map(|s| s.standing)
}
