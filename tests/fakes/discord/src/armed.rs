//! Faults that wait for their moment.
//!
//! Promises: a fault is spent exactly as often as its [`Times`] says; the oldest that fits comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::faults::{GatewayFault, RestAct, RestFault, Times};

#[derive(Debug)]
enum Left {
    Count(u32),
    Until(u64),
    Ever,
}

#[derive(Debug)]
struct Armed<T> {
    what: T,
    skip: u32,
    left: Left,
    hold: Option<u64>,
}

impl<T> Armed<T> {
    fn new(what: T, skip: u32, times: Times, now: u64) -> Self {
        let left = match times {
            Times::Next(count) => Left::Count(count),
            Times::ForMs(ms) => Left::Until(now + ms),
            Times::Always => Left::Ever,
        };
        Self {
            what,
            skip,
            left,
            hold: None,
        }
    }

    fn spent(&self, now: u64) -> bool {
        match self.left {
            Left::Count(count) => count == 0,
            Left::Until(until) => until <= now,
            Left::Ever => false,
        }
    }

    /// Whether it strikes this time; counts.
    fn strikes(&mut self, now: u64) -> bool {
        if self.spent(now) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Left::Count(count) = &mut self.left {
            *count -= 1;
        }
        true
    }
}

/// Where held requests wait.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// How many requests have come to it.
    pub(crate) reached: Arc<watch::Sender<u32>>,
    pub(crate) released: Arc<watch::Sender<bool>>,
}

/// All that is armed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    gateway: Vec<Armed<GatewayFault>>,
    rest: Vec<Armed<RestFault>>,
    gates: BTreeMap<u64, Gate>,
}

impl Faults {
    pub(crate) fn arm_gateway(&mut self, what: GatewayFault, times: Times, now: u64) {
        self.gateway.push(Armed::new(what, 0, times, now));
    }

    /// Arms a REST fault; gives the number of its hold, if it is one.
    pub(crate) fn arm_rest(&mut self, fault: RestFault, now: u64) -> Option<u64> {
        let holds = matches!(fault.what, RestAct::HoldRequest | RestAct::HoldResponse);
        let mut armed = Armed::new(fault.clone(), fault.skip, fault.times, now);
        if holds {
            let id = self.gates.last_key_value().map_or(0, |(id, _)| id + 1);
            let gate = Gate {
                reached: Arc::new(watch::Sender::new(0)),
                released: Arc::new(watch::Sender::new(false)),
            };
            self.gates.insert(id, gate);
            armed.hold = Some(id);
        }
        let hold = armed.hold;
        self.rest.push(armed);
        hold
    }

    pub(crate) fn gate(&self, hold: u64) -> Option<Gate> {
        self.gates.get(&hold).cloned()
    }

    /// Lets go of what a hold holds, and disarms it. Says whether there is such a hold.
    pub(crate) fn release(&mut self, hold: u64) -> bool {
        self.rest.retain(|armed| armed.hold != Some(hold));
        self.gates.get(&hold).is_some_and(|gate| {
            gate.released.send_replace(true);
            true
        })
    }

    pub(crate) fn clear(&mut self) {
        self.gateway.clear();
        self.rest.clear();
        for gate in self.gates.values() {
            gate.released.send_replace(true);
        }
    }

    fn gateway(&mut self, now: u64, fits: impl Fn(GatewayFault) -> bool) -> Option<GatewayFault> {
        self.gateway.retain(|armed| !armed.spent(now));
        let hit = self.gateway.iter_mut().find(|armed| fits(armed.what))?;
        hit.strikes(now).then_some(hit.what)
    }

    pub(crate) fn on_upgrade(&mut self, now: u64) -> Option<u16> {
        match self.gateway(now, |it| matches!(it, GatewayFault::RefuseUpgrade { .. }))? {
            GatewayFault::RefuseUpgrade { status } => Some(status),
            _ => None,
        }
    }

    pub(crate) fn on_connect(&mut self, now: u64) -> Option<GatewayFault> {
        use GatewayFault as G;
        self.gateway(now, |it| {
            matches!(
                it,
                G::NoHello
                    | G::AcceptClose { .. }
                    | G::ReconnectBeforeHello
                    | G::DispatchBeforeHello
            )
        })
    }

    pub(crate) fn on_identify(&mut self, now: u64) -> Option<GatewayFault> {
        use GatewayFault as G;
        self.gateway(now, |it| {
            matches!(it, G::RefuseIdentify | G::SilentIdentify)
        })
    }

    pub(crate) fn on_resume(&mut self, now: u64) -> Option<GatewayFault> {
        use GatewayFault as G;
        self.gateway(now, |it| {
            matches!(it, G::RefuseResume { .. } | G::SilentResume)
        })
    }

    pub(crate) fn on_ready(&mut self, now: u64) -> Option<GatewayFault> {
        use GatewayFault as G;
        self.gateway(now, |it| {
            matches!(it, G::MuteAfterReady | G::NoAcksAfterReady)
        })
    }

    /// What strikes this request, with the number of the hold if it is one.
    pub(crate) fn on_request(
        &mut self,
        method: &str,
        route: &str,
        path: &str,
        now: u64,
    ) -> Option<(RestAct, Option<u64>)> {
        self.rest.retain(|armed| !armed.spent(now));
        let fits = |fault: &RestFault| {
            fault
                .method
                .as_ref()
                .is_none_or(|it| it.eq_ignore_ascii_case(method))
                && fault
                    .route
                    .as_ref()
                    .is_none_or(|it| it == route || it == path)
        };
        let mut matching = self.rest.iter_mut().filter(|armed| fits(&armed.what));
        matching.find_map(|armed| {
            armed
                .strikes(now)
                .then(|| (armed.what.what.clone(), armed.hold))
        })
    }
}
