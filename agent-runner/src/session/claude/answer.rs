//! What the agent does in a turn, told to the hub, and the turn's end.

use ipc_schema::{Fault, Outcome, Trouble, TurnEvent};

use super::turn::{SPARE_BYTES, Stage};
use super::{ClaudeSession, Life};
use crate::claude::lines;
use crate::claude::protocol::{Act, Over};
use crate::claude::transcript::{Reading, Standing};
use crate::session::turn::Stop;
use crate::session::{Cx, Effect, Session as _, junk};

impl ClaudeSession {
    pub(super) fn line(&mut self, line: &str, cx: &mut Cx<'_>) {
        let line = match lines::read(line) {
            Ok(line) => line,
            Err(_) => return self.junk("is no JSON", cx),
        };
        self.junk.ends();
        self.heard(cx);
        let turn = self.turn.as_ref().map(|turn| &turn.prompt.at);
        if let Some(words) = junk::overfull(turn, cx) {
            return self.give_up(words, cx);
        }
        if let Life::Live(_, protocol) = &mut self.life {
            let acts = protocol.line(line, cx.now);
            self.acts(acts, cx);
            self.advance(cx);
        }
    }

    /// It printed a line of which nothing can be made. That is no sign of life, and too many of them
    /// in a row are none of Claude Code.
    pub(super) fn junk(&mut self, what: &str, cx: &mut Cx<'_>) {
        let advice = "is `cmd` Claude Code, and do its arguments leave --output-format alone?";
        if let Some(words) = self.junk.more(what, "stream-json", advice) {
            self.give_up(words, cx);
        }
    }

    /// Ends an agent that nothing good is to be expected of; its end is that of its turn, in these
    /// words.
    fn give_up(&mut self, words: String, cx: &mut Cx<'_>) {
        if let Life::Live(launch, _) = self.life {
            self.kill(launch, cx);
            self.doom = Some(words);
        }
    }

    pub(super) fn heard(&mut self, cx: &Cx<'_>) {
        match &mut self.turn {
            Some(turn) => turn.clock.heard(cx.now),
            None => self.used = cx.now,
        }
    }

    pub(super) fn acts(&mut self, acts: Vec<Act>, cx: &mut Cx<'_>) {
        for act in acts {
            self.act(act, cx);
        }
    }

    pub(super) fn act(&mut self, act: Act, cx: &mut Cx<'_>) {
        let (Life::Live(launch, _) | Life::Leaving(launch, _)) = self.life else {
            return;
        };
        match act {
            Act::Write(line) => return cx.does(Effect::Write { launch, line }),
            Act::Grant(rules) => return cx.does(Effect::Grant { rules }),
            Act::Call(call) => return self.call(launch, call, cx),
            Act::Uncall(call) => return cx.does(Effect::Uncall { launch, call }),
            Act::Session(id) => {
                if uuid::Uuid::try_parse(&id).is_err() {
                    return tracing::warn!("the agent names its session by what is no UUID");
                }
                self.agent_session = id;
                if self.turn.as_ref().is_some_and(|turn| turn.begun) {
                    self.started(cx, false);
                }
                return;
            }
            Act::Unprompted(block) => {
                let name = self.name.clone();
                self.used = cx.now;
                return cx.tell(|board, say| board.unprompted(&name, &block.id, &block.text, say));
            }
            _ => {}
        }
        let Some(turn) = &mut self.turn else { return };
        let at = turn.prompt.at.clone();
        match act {
            Act::Begun => {
                let revived = turn.revived;
                self.started(cx, revived);
            }
            Act::Await(id) if !turn.from_file => {
                let agent_session = self.agent_session.clone();
                cx.does(Effect::Await {
                    launch,
                    session: self.name.clone(),
                    agent_session,
                    id,
                });
            }
            Act::Content(block) => turn.content(block, cx),
            Act::TooMuch => turn.too_much(),
            Act::Used(used) => cx.used(&at, used),
            Act::Progress(event) => turn.clock.show(&at, event, cx),
            Act::Asked(question) => {
                cx.keep(&at, turn.questions.asked(question));
            }
            Act::Withdrawn { question, expired } => {
                turn.clock.heard(cx.now);
                cx.keep(&at, turn.questions.withdrawn(question, expired));
            }
            Act::Decided { question, applied } => {
                cx.keep(&at, turn.questions.decided(question, applied));
            }
            Act::Over(over) => self.over(over, cx),
            _ => {}
        }
    }

    /// The agent is done with the prompt.
    pub(super) fn over(&mut self, over: Over, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        let stop = turn.clock.stopping();
        let outcome = match (over, stop) {
            (Over::Answered, _) => Some(Outcome::Done),
            (_, Some(stop)) => Some(stop.outcome()),
            (Over::Known, None) => None,
            (Over::Failed(fault), None) => Some(Outcome::Failed { fault }),
            (Over::Stopped, None) => {
                let words = "the agent was interrupted, but not from the chat".into();
                Some(Outcome::Failed {
                    fault: Fault::Agent { words },
                })
            }
        };
        match outcome {
            Some(outcome) if !turn.from_file => self.settle(outcome, cx),
            outcome => self.read(outcome, cx),
        }
    }

    /// Looks into the session file for what is still to be said.
    pub(super) fn read(&mut self, outcome: Option<Outcome>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        turn.stage = Stage::Read(outcome);
        cx.does(Effect::Read {
            launch: self.launch,
            session: self.name.clone(),
            agent_session: self.agent_session.clone(),
            prompt: turn.prompt.prompt_id.clone(),
            known: turn.said.clone(),
        });
    }

    pub(super) fn was_read(&mut self, reading: Result<Reading, String>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        match &mut turn.stage {
            Stage::Checked => match reading {
                Ok(Reading {
                    standing: Standing::Absent,
                    ..
                }) => {
                    turn.seen = false;
                    self.hand_over(cx);
                }
                // This process does nothing about it any more; another one, started for it, will.
                Ok(Reading {
                    standing: Standing::Open,
                    ..
                }) => {
                    turn.stage = Stage::Waits;
                    self.leave(cx);
                }
                Ok(reading) => {
                    self.started(cx, false);
                    self.told(reading, None, cx);
                }
                Err(words) => self.end(failed(Trouble::Session, words), cx),
            },
            Stage::Read(outcome) => {
                let outcome = outcome.take();
                match reading {
                    Ok(reading) => self.told(reading, outcome, cx),
                    Err(words) => {
                        tracing::warn!(words, "the session file cannot be read");
                        let whole = turn.spare_bytes <= SPARE_BYTES && !turn.revived;
                        turn.say_spare(cx);
                        let failed = failed(Trouble::Answer, words);
                        self.settle(outcome.filter(|_| whole).unwrap_or(failed), cx);
                    }
                }
            }
            _ => {}
        }
    }

    /// Says what the file holds; `outcome` as in [`Stage::Read`].
    pub(super) fn told(&mut self, reading: Reading, outcome: Option<Outcome>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        for block in reading.blocks {
            if !cx.board.has_room(&turn.prompt.at) {
                turn.stage = Stage::Full(outcome);
                return;
            }
            turn.say(block, cx);
        }
        // Said, and neither kept nor written down.
        let lost = reading.standing == Standing::Absent
            && (turn.revived || turn.spare_bytes > SPARE_BYTES);
        let outcome = outcome
            .filter(|_| !lost)
            .unwrap_or_else(|| match reading.standing {
                Standing::Absent if lost => {
                    failed(Trouble::Answer, "the session file is not there".into())
                }
                Standing::Answered => Outcome::Done,
                Standing::Stopped => Outcome::Failed {
                    fault: Fault::CannotResume,
                },
                Standing::Absent | Standing::Open => {
                    let why = "the agent has had this message and does not go on with it".into();
                    failed(Trouble::Session, why)
                }
            });
        turn.say_spare(cx);
        self.settle(outcome, cx);
    }

    /// Everything is said; ends the turn once nothing that was stopped still runs.
    pub(super) fn settle(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        match self.life {
            Life::Live(launch, _) if turn.clock.stopping().is_some() => {
                turn.stage = Stage::Sweeps(outcome);
                cx.does(Effect::Sweep { launch });
            }
            _ => self.end(outcome, cx),
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        if let Some(mut turn) = self.turn.take() {
            if let Life::Live(launch, _) = self.life {
                cx.does(Effect::AwaitNothing { launch });
            }
            turn.clock.shows_rest(&turn.prompt.at, cx);
            crate::session::log_end(&turn.prompt.at, &outcome);
            cx.keep(&turn.prompt.at, TurnEvent::Ended { outcome });
        }
        self.used = cx.now;
        self.next(cx);
    }

    pub(super) fn stop(&mut self, stop: Stop, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if !turn.clock.stop(stop, cx.now) {
            return;
        }
        match (&turn.stage, &mut self.life) {
            // A process that goes on by itself must not outlive the stop; what has not given a sign
            // of life has nothing to lose.
            (Stage::Waits, Life::Launching(launch)) => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Runs, Life::Live(launch, _)) if !turn.begun => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Runs, Life::Live(_, protocol)) => {
                let acts = protocol.interrupt();
                self.acts(acts, cx);
            }
            // It waits behind what the agent does unasked, which is to end with it.
            (Stage::Waits, Life::Live(launch, protocol)) if !protocol.is_free() => {
                let launch = *launch;
                self.kill(launch, cx);
                self.end(stop.outcome(), cx);
            }
            (Stage::Waits | Stage::Checked, _) => self.end(stop.outcome(), cx),
            // The agent is done with it: it ends by itself.
            _ => {}
        }
    }

    pub(super) fn kill(&mut self, launch: u64, cx: &mut Cx<'_>) {
        cx.does(Effect::Kill { launch });
        self.life = Life::Leaving(launch, None);
    }
}

/// A turn that ends because the runner failed at something.
fn failed(at: Trouble, detail: String) -> Outcome {
    let fault = Fault::Runner { at, detail };
    Outcome::Failed { fault }
}
