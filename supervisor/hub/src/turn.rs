//! The life of a turn, as one table.
//!
//! `queued → starting → running → ended | interrupted | failed`, and from `starting` or `running`
//! `→ stopping → stopped`. A turn that is stopping is never prompted again; a turn is tried at most
//! [`ATTEMPTS`] times.

use spool::TurnState;

/// How often a turn is handed to a runner before it is given up.
pub const ATTEMPTS: u32 = 3;

/// What a turn hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Its session is free and the runner is there.
    Go,
    /// The agent has the prompt.
    Started,
    /// A person wants it to end.
    Stop,
    /// The agent answered.
    Answered,
    /// The agent stopped as asked.
    Halted,
    /// The agent failed for good.
    Broke,
    /// The attempt is gone without a result; `resumable` = the agent drops a prompt that it has
    /// already had, so sending it again is safe.
    Lost {
        /// See above.
        resumable: bool,
    },
    /// The attempt is gone and has only waited for room for its agent, one that drops a prompt that it
    /// has already had.
    Unbegun,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It goes to this state.
    To(TurnState),
    /// It starts once more, as the next attempt.
    Again,
    /// It starts once more, as the same attempt: this time does not count.
    Anew,
    /// Tried often enough: it fails.
    GiveUp,
    /// Nothing; the signal is late.
    Stay,
}

/// The table.
pub fn step(state: TurnState, attempt: u32, signal: Signal) -> Step {
    use Signal::*;
    use TurnState::*;
    match (state, signal) {
        (Queued, Go) => Step::To(Starting),
        (Queued, Stop) => Step::To(Stopped),

        (Starting, Started) => Step::To(Running),
        (Starting | Running, Stop) => Step::To(Stopping),
        (Starting | Running, Answered) => Step::To(Ended),
        (Starting | Running, Halted) => Step::To(Stopped),
        (Starting | Running, Broke) => Step::To(Failed),
        (Starting | Running, Lost { resumable: false }) => Step::To(Interrupted),
        (Starting | Running, Lost { resumable: true }) if attempt < ATTEMPTS => Step::Again,
        (Starting | Running, Lost { resumable: true }) => Step::GiveUp,
        (Starting, Unbegun) => Step::Anew,

        // The answer won the race against the interrupt: it is an answer.
        (Stopping, Answered) => Step::To(Ended),
        (Stopping, Halted | Broke | Lost { .. } | Unbegun) => Step::To(Stopped),

        _ => Step::Stay,
    }
}

/// Whether the session is taken by a turn in this state.
pub fn holds_session(state: TurnState) -> bool {
    matches!(
        state,
        TurnState::Starting | TurnState::Running | TurnState::Stopping
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use spool::TurnState::*;

    const STATES: [TurnState; 8] = [
        Queued,
        Starting,
        Running,
        Stopping,
        Ended,
        Stopped,
        Interrupted,
        Failed,
    ];
    const SIGNALS: [Signal; 9] = [
        Signal::Go,
        Signal::Started,
        Signal::Stop,
        Signal::Answered,
        Signal::Halted,
        Signal::Broke,
        Signal::Lost { resumable: true },
        Signal::Lost { resumable: false },
        Signal::Unbegun,
    ];

    #[test]
    fn a_turn_that_is_over_stays_over() {
        for state in [Ended, Stopped, Interrupted, Failed] {
            for signal in SIGNALS {
                assert_eq!(step(state, 1, signal), Step::Stay, "{state:?} {signal:?}");
            }
        }
    }

    #[test]
    fn a_stopping_turn_never_starts_again() {
        for signal in SIGNALS {
            let to = step(Stopping, 1, signal);
            assert!(
                !matches!(
                    to,
                    Step::Again | Step::Anew | Step::To(Starting | Running | Queued)
                ),
                "{signal:?} → {to:?}"
            );
        }
    }

    #[test]
    fn only_an_agent_that_drops_repeats_is_prompted_again() {
        for state in STATES {
            for signal in SIGNALS {
                if step(state, 1, signal) == Step::Again {
                    assert_eq!(signal, Signal::Lost { resumable: true });
                }
            }
        }
    }

    #[test]
    fn the_third_loss_is_the_last() {
        let lost = Signal::Lost { resumable: true };
        assert_eq!(step(Running, 1, lost), Step::Again);
        assert_eq!(step(Running, 2, lost), Step::Again);
        assert_eq!(step(Running, ATTEMPTS, lost), Step::GiveUp);
    }

    #[test]
    fn whatever_holds_a_session_can_be_ended() {
        for state in STATES.into_iter().filter(|state| holds_session(*state)) {
            for signal in [Signal::Answered, Signal::Halted, Signal::Broke] {
                let Step::To(to) = step(state, 1, signal) else {
                    panic!("{state:?} {signal:?}")
                };
                assert!(!holds_session(to), "{state:?} {signal:?} → {to:?}");
            }
        }
    }
}
