//! A session with a plain program: one process a turn, the prompt on its stdin, the reply on its
//! stdout.
//!
//! Promises: a turn is run once. A prompt that comes again is answered from what this runner still
//! holds, or told as one that cannot be resumed; it is never run a second time. Output is bounded,
//! and a reply that was cut says so.

use std::collections::VecDeque;
use std::time::Instant;

use ipc_schema::{Decision, Fault, Outcome, Prompt, Remark, TurnEvent, TurnRef};

use super::Image;
use super::turn::{Clock, Stop};
use super::{Cx, Effect, Event, Exit, Session, What, crowded};
use crate::berths::Berth;
use crate::claude::fault;

/// The longest reply.
const REPLY_BYTES: usize = 1 << 20;
/// The end of the reply so far, for show.
const PARTIAL_BYTES: usize = 4096;
/// How many prompts may wait.
const WAITING: usize = 8;

/// One session.
#[derive(Debug)]
pub struct CommandSession {
    name: String,
    turn: Option<Turn>,
    waiting: VecDeque<Prompt>,
}

#[derive(Debug)]
struct Turn {
    at: TurnRef,
    launch: u64,
    clock: Clock,
    output: Vec<u8>,
    dropped: usize,
}

impl CommandSession {
    /// A session in which nothing runs.
    pub fn new(name: String) -> CommandSession {
        CommandSession {
            name,
            turn: None,
            waiting: VecDeque::new(),
        }
    }

    /// Answers what is not to be run; what is waits for room for a process.
    fn next(&mut self, cx: &mut Cx<'_>) {
        while self.turn.is_none()
            && self.waiting.front().is_some_and(|prompt| prompt.resend)
            && let Some(prompt) = self.waiting.pop_front()
        {
            let fault = Fault::CannotResume;
            let unknown = vec![TurnEvent::Ended {
                outcome: Outcome::Failed { fault },
            }];
            for event in cx.board.result_of(&prompt.at.turn).unwrap_or(unknown) {
                cx.keep(&prompt.at, event);
            }
        }
    }

    fn begin(&mut self, prompt: Prompt, cx: &mut Cx<'_>) {
        let launch = cx.launch();
        self.turn = Some(Turn {
            at: prompt.at.clone(),
            launch,
            clock: Clock::new(cx.now),
            output: Vec::new(),
            dropped: 0,
        });
        let what = What::Command {
            turn: prompt.at,
            text: prompt.text,
        };
        cx.does(Effect::Launch {
            launch,
            session: self.name.clone(),
            what,
        });
    }

    fn end(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        if let Some(turn) = self.turn.take() {
            super::log_end(&turn.at, &outcome);
            cx.keep(&turn.at, TurnEvent::Ended { outcome });
        }
        self.next(cx);
    }

    fn exited(&mut self, exit: &Exit, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        let outcome = match (turn.clock.stopping(), exit.code) {
            (Some(stop), _) => stop.outcome(),
            (None, Some(0)) => Outcome::Done,
            (None, Some(_)) => {
                let words = fault::clip(&exit.describe(cx.options.program()));
                Outcome::Failed {
                    fault: Fault::Agent { words },
                }
            }
            // Somebody killed it: what it did until then is done, and is not done again.
            (None, None) => Outcome::Failed {
                fault: Fault::CannotResume,
            },
        };
        if outcome == Outcome::Done {
            let text = turn.reply();
            let at = turn.at.clone();
            if turn.dropped > 0 {
                let about = Remark::Cut {
                    most: REPLY_BYTES as u64,
                    missing: turn.dropped as u64,
                };
                cx.keep(&at, TurnEvent::Remark { about });
            }
            cx.tell(|board, say| board.keep_text(&at, "reply", &text, say));
        }
        self.end(outcome, cx);
    }
}

impl Turn {
    fn output(&mut self, bytes: &[u8], cx: &mut Cx<'_>) {
        self.clock.heard(cx.now);
        let room = REPLY_BYTES - self.output.len();
        let taken = bytes.len().min(room);
        self.output.extend_from_slice(&bytes[..taken]);
        self.dropped += bytes.len() - taken;
        let from = self.output.len().saturating_sub(PARTIAL_BYTES);
        let text = String::from_utf8_lossy(&self.output[from..]).into_owned();
        let at = self.at.clone();
        self.clock.show(&at, TurnEvent::Partial { text }, cx);
    }

    fn reply(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end().to_owned()
    }
}

impl Session for CommandSession {
    fn prompt(&mut self, prompt: Prompt, _: Vec<Image>, cx: &mut Cx<'_>) {
        if self.waiting.len() == WAITING {
            let outcome = Outcome::Failed { fault: crowded() };
            cx.keep(&prompt.at, TurnEvent::Ended { outcome });
            return;
        }
        self.waiting.push_back(prompt);
        self.next(cx);
    }

    fn interrupt(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        if let Some(index) = self.waiting.iter().position(|prompt| prompt.at == *at) {
            self.waiting.remove(index);
            cx.keep(
                at,
                TurnEvent::Ended {
                    outcome: Outcome::Stopped,
                },
            );
        } else if let Some(turn) = self.turn.as_mut().filter(|turn| turn.at == *at)
            && turn.clock.stop(Stop::Asked, cx.now)
        {
            cx.does(Effect::Kill {
                launch: turn.launch,
            });
        }
    }

    fn decide(&mut self, _: &str, _: &Decision, _: &mut Cx<'_>) -> bool {
        false
    }

    fn close(&mut self, cx: &mut Cx<'_>) {
        while let Some(prompt) = self.waiting.pop_front() {
            cx.keep(
                &prompt.at,
                TurnEvent::Ended {
                    outcome: Outcome::Stopped,
                },
            );
        }
        if let Some(at) = self.turn.as_ref().map(|turn| turn.at.clone()) {
            self.interrupt(&at, cx);
        }
    }

    fn leave(&mut self, _: &mut Cx<'_>) {}

    fn room(&mut self, _: &TurnRef, _: &mut Cx<'_>) {}

    fn kept(&mut self, _: &TurnRef, _: u64, _: &mut Cx<'_>) {}

    fn event(&mut self, launch: u64, event: Event, cx: &mut Cx<'_>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.launch == launch) else {
            return;
        };
        match event {
            Event::Launched => {
                let at = turn.at.clone();
                let agent_session = String::new();
                cx.keep(
                    &at,
                    TurnEvent::Started {
                        agent_session,
                        continued: false,
                    },
                );
            }
            Event::NotLaunched(fault) => {
                let stop = turn.clock.stopping();
                self.end(stop.map_or(Outcome::Failed { fault }, Stop::outcome), cx);
            }
            Event::Output(bytes) => turn.output(&bytes, cx),
            Event::Refused(about) => {
                let at = turn.at.clone();
                turn.clock.show(&at, TurnEvent::Remark { about }, cx);
            }
            Event::Exited(exit) => self.exited(&exit, cx),
            _ => {}
        }
    }

    fn deadline(&self, cx: &Cx<'_>) -> Option<Instant> {
        self.turn
            .as_ref()?
            .clock
            .deadline(cx.now, true, false, cx.options)
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        let at = turn.at.clone();
        turn.clock.shows(&at, cx);
        turn.clock.escalate(turn.launch, cx);
        if turn.clock.stopping().is_none()
            && let Some(limit) = turn.clock.limit(cx.now, false, cx.options)
            && turn.clock.stop(limit, cx.now)
        {
            cx.does(Effect::Kill {
                launch: turn.launch,
            });
        }
    }

    fn berth(&self) -> Berth {
        match (&self.turn, self.waiting.front()) {
            (Some(_), _) => Berth::Busy,
            (None, Some(prompt)) => Berth::Wants {
                at: prompt.at.clone(),
                again: false,
            },
            (None, None) => Berth::None,
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        if self.turn.is_none()
            && let Some(prompt) = self.waiting.pop_front()
        {
            self.begin(prompt, cx);
        }
    }

    fn is_over(&self) -> bool {
        !self.is_busy()
    }

    fn is_live(&self) -> bool {
        self.turn.is_some()
    }

    fn is_busy(&self) -> bool {
        self.turn.is_some() || !self.waiting.is_empty()
    }
}
