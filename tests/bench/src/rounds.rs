//! How often each thing is done.

/// Numbers of rounds.
#[derive(Debug, Clone)]
pub(crate) struct Rounds {
    /// Calls of fdatasync.
    pub(crate) disk: usize,
    /// Messages whose latency is taken.
    pub(crate) latency: usize,
    /// Conversations at once.
    pub(crate) conversations: usize,
    /// Messages through the whole tree.
    pub(crate) throughput: usize,
    /// Messages with the rate limits on.
    pub(crate) limited: usize,
    /// Events over which a worker's memory is watched.
    pub(crate) events: usize,
    /// Long replies of each length.
    pub(crate) replies: usize,
    /// Messages that are deduplicated.
    pub(crate) dedup: usize,
    /// Kills, starts.
    pub(crate) kills: usize,
    /// Turns that are stopped.
    pub(crate) stops: usize,
    /// Numbers of idle sessions whose memory is looked at, rising.
    pub(crate) sessions: &'static [usize],
    /// Seconds over which idleness is watched.
    pub(crate) idle_s: u64,
}

impl Rounds {
    /// The usual numbers, or few of each.
    pub(crate) fn new(short: bool) -> Self {
        if short {
            return Self {
                disk: 20,
                latency: 20,
                conversations: 10,
                throughput: 100,
                limited: 50,
                events: 2000,
                replies: 2,
                dedup: 3000,
                kills: 2,
                stops: 3,
                sessions: &[0, 4],
                idle_s: 1,
            };
        }
        Self {
            disk: 500,
            latency: 1000,
            conversations: 100,
            throughput: 20_000,
            limited: 1000,
            events: 100_000,
            replies: 50,
            dedup: 1_000_000,
            kills: 20,
            stops: 50,
            sessions: &[0, 10, 50],
            idle_s: 10,
        }
    }
}
