//! What the agent does in a turn, told to the hub, and the turn's end.

use ipc_schema::{Outcome, Remark, TurnEvent};

use super::turn::Stage;
use super::{AcpSession, Life, MARK};
use crate::acp::protocol::{Act, Over};
use crate::session::turn::Stop;
use crate::session::{Cx, Effect, Session as _, junk};

impl AcpSession {
    pub(super) fn line(&mut self, line: &str, cx: &mut Cx<'_>) {
        let Life::Live(_, protocol) = &mut self.life else {
            return;
        };
        let Ok(acts) = protocol.line(line, cx.now) else {
            return self.junk("is no JSON-RPC", cx);
        };
        self.junk.ends();
        self.heard(cx);
        self.acts(acts, cx);
        let turn = self.turn.as_ref().map(|turn| &turn.prompt.at);
        if let Some(words) = junk::overfull(turn, cx) {
            return self.give_up(words, cx);
        }
        self.send_files(false, cx);
        self.advance(cx);
    }

    /// It printed a line of which nothing can be made. That is no sign of life, and too many of them
    /// in a row are none of an agent that speaks ACP.
    pub(super) fn junk(&mut self, what: &str, cx: &mut Cx<'_>) {
        let advice = "does `cmd` speak ACP, and do its arguments tell it to?";
        if let Some(words) = self.junk.more(what, "JSON-RPC", advice) {
            self.give_up(words, cx);
        }
    }

    /// Ends an agent that nothing good is to be expected of; its end is that of its turn, in these
    /// words.
    fn give_up(&mut self, words: String, cx: &mut Cx<'_>) {
        if let Life::Live(launch, _) = self.life {
            self.end_calls(launch, cx);
            self.kill(launch, cx);
            match self.turn {
                Some(_) => self.doom = Some(words),
                None => tracing::warn!("the idle agent: {words}"),
            }
        }
    }

    pub(super) fn heard(&mut self, cx: &Cx<'_>) {
        if let Some(turn) = &mut self.turn {
            turn.clock.heard(cx.now);
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
            Act::Opened(conversation, lost) => {
                self.conversation = Some(conversation);
                if let (Some(turn), Some(why)) = (&mut self.turn, lost) {
                    turn.lost = Some(why);
                }
                return;
            }
            Act::Unprompted(id, text) => {
                let name = self.name.clone();
                self.used = cx.now;
                return cx.tell(|board, say| board.unprompted(&name, &id, &text, say));
            }
            Act::Cannot(fault) => {
                self.kill(launch, cx);
                return self.end(Outcome::Failed { fault }, cx);
            }
            _ => {}
        }
        let Some(turn) = &mut self.turn else { return };
        let at = turn.prompt.at.clone();
        match act {
            Act::Begins => {
                turn.sent = true;
                let id = self.conversation.as_deref().unwrap_or_default();
                let agent_session = format!("{MARK}{id}");
                self.given.clone_from(&agent_session);
                cx.keep(
                    &at,
                    TurnEvent::Started {
                        agent_session,
                        continued: false,
                    },
                );
                if let Some(why) = turn.lost.take() {
                    let about = Remark::Forgot { why };
                    cx.keep(&at, TurnEvent::Remark { about });
                }
            }
            Act::Content(text) => turn.say(&text, cx),
            Act::Remark(about) => {
                cx.keep(&at, TurnEvent::Remark { about });
            }
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
        self.send_files(true, cx);
        let Some(turn) = &mut self.turn else { return };
        let stop = turn.clock.stopping();
        let outcome = match (over, stop) {
            (Over::Answered, _) => Outcome::Done,
            (_, Some(stop)) => stop.outcome(),
            (Over::Failed(fault), None) => Outcome::Failed { fault },
            (Over::Stopped, None) => Outcome::Stopped,
        };
        if let (Some(_), Life::Live(launch, _)) = (stop, &self.life) {
            let launch = *launch;
            self.answer_ended_calls(launch, cx);
        }
        let Some(turn) = &mut self.turn else { return };
        match &self.life {
            // What it has started cannot be told from what it needs: all of it goes, and the next
            // prompt has a new process.
            Life::Live(_, protocol) if self.closed || (stop.is_some() && protocol.can_resume()) => {
                turn.stage = Stage::Ends(outcome);
                self.leave(cx);
            }
            _ => self.end(outcome, cx),
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        if let Some(mut turn) = self.turn.take() {
            turn.clock.shows_rest(&turn.prompt.at, cx);
            crate::session::log_end(&turn.prompt.at, &outcome);
            cx.keep(&turn.prompt.at, TurnEvent::Ended { outcome });
        }
        self.used = cx.now;
        self.doom = None;
        if self.closed {
            self.leave(cx);
        }
        self.next(cx);
    }

    pub(super) fn stop(&mut self, stop: Stop, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if !turn.clock.stop(stop, cx.now) {
            return;
        }
        match (&turn.stage, &mut self.life) {
            (Stage::Runs, Life::Live(launch, protocol)) => {
                let launch = *launch;
                let acts = protocol.interrupt();
                self.acts(acts, cx);
                self.end_calls(launch, cx);
            }
            // What has not had the prompt has nothing to lose.
            (Stage::Waits, Life::Launching(launch) | Life::Live(launch, _)) => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Waits, _) => self.end(stop.outcome(), cx),
            // It ends by itself.
            _ => {}
        }
    }

    pub(super) fn kill(&mut self, launch: u64, cx: &mut Cx<'_>) {
        cx.does(Effect::Kill { launch });
        self.life = Life::Leaving(launch, None);
    }
}
