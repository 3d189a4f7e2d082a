//! Who may start and who may stop: hub, then runners, then workers; and back.
//!
//! Pure. A role starts when everybody of the roles before it has been started and has either become
//! ready or fallen (backoff, held): what is broken delays nobody for longer than its own deadline.
//! A role stops when everybody of the roles after it has ended. The order holds for the start and
//! stop of the tree; a single restart waits for nobody, because each process bears the absence of
//! every other.

use crate::spec::Role;
use crate::table::State;

/// Whether processes of this role may be started now.
pub(crate) fn may_start<'a>(role: Role, mut all: impl Iterator<Item = (Role, &'a State)>) -> bool {
    all.all(|(other, state)| {
        other >= role
            || matches!(
                state,
                State::Ready { .. } | State::Backoff { .. } | State::Held(_)
            )
    })
}

/// Whether processes of this role may be told to stop now, in an ordered stop.
pub(crate) fn may_stop<'a>(role: Role, mut all: impl Iterator<Item = (Role, &'a State)>) -> bool {
    all.all(|(other, state)| other <= role || has_ended(state))
}

/// Whether there is nothing more to wait for. A process that two SIGKILLs did not end hangs in the
/// kernel; waiting longer would not help.
pub(crate) fn has_ended(state: &State) -> bool {
    match state {
        State::Stopped => true,
        State::Draining { kills, .. } => *kills >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::table::{Held, Then};

    const ZERO: Duration = Duration::ZERO;
    const READY: State = State::Ready {
        since: ZERO,
        beat: ZERO,
    };
    const STARTING: State = State::Starting { since: ZERO };
    const DRAINING: State = State::Draining {
        kill_at: ZERO,
        kills: 1,
        then: Then::Stop,
    };
    const HUNG: State = State::Draining {
        kill_at: ZERO,
        kills: 2,
        then: Then::Stop,
    };

    #[test]
    fn a_role_starts_behind_the_roles_before_it() {
        let starts = |hub, runner| {
            let all = [
                (Role::Worker, STARTING),
                (Role::Hub, hub),
                (Role::Runner, runner),
            ];
            [Role::Hub, Role::Runner, Role::Worker]
                .map(|role| may_start(role, all.iter().map(|(role, state)| (*role, state))))
        };
        assert_eq!(starts(State::Stopped, State::Stopped), [true, false, false]);
        assert_eq!(starts(STARTING, State::Stopped), [true, false, false]);
        assert_eq!(starts(READY, State::Stopped), [true, true, false]);
        assert_eq!(starts(READY, READY), [true, true, true]);
        for fallen in [State::Backoff { until: ZERO }, State::Held(Held::Config)] {
            assert_eq!(
                starts(fallen, fallen),
                [true, true, true],
                "nobody waits for the fallen"
            );
        }
        assert_eq!(starts(READY, DRAINING), [true, true, false]);
    }

    #[test]
    fn a_role_stops_behind_the_roles_after_it() {
        let stops = |runner, worker| {
            let all = [
                (Role::Hub, READY),
                (Role::Runner, runner),
                (Role::Worker, worker),
            ];
            [Role::Hub, Role::Runner, Role::Worker]
                .map(|role| may_stop(role, all.iter().map(|(role, state)| (*role, state))))
        };
        assert_eq!(stops(READY, READY), [false, false, true]);
        assert_eq!(stops(READY, DRAINING), [false, false, true]);
        assert_eq!(stops(READY, State::Stopped), [false, true, true]);
        assert_eq!(stops(State::Stopped, HUNG), [true, true, true]);
    }
}
