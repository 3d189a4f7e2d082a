//! REST rate limits: per route and major id, global, and the ban of addresses that make too many bad requests.
//!
//! Promises: pure; fixed windows that open with their first request, as Discord's do.
//! Does not: know Discord's real numbers, which are not published and change. These have their order of magnitude.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// Limit of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: &'static str,
    pub(crate) limit: u32,
    pub(crate) window_ms: u64,
}

impl Bucket {
    pub(crate) const fn new(name: &'static str, limit: u32, window_ms: u64) -> Self {
        Self {
            name,
            limit,
            window_ms,
        }
    }

    /// `X-RateLimit-Bucket`: opaque, the same for every major id.
    pub(crate) fn hash(self) -> String {
        let digest = Sha256::digest(self.name.as_bytes());
        digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What the headers of a limited route say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct State {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Unix milliseconds.
    pub(crate) resets_at: u64,
    pub(crate) reset_after_ms: u64,
}

/// May it pass?
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Pass(State),
    /// The route's limit.
    Limited(State),
}

#[derive(Debug)]
struct Window {
    used: u32,
    resets_at: u64,
}

/// The window of bad requests: those answered with 401, 403 or 429.
const BAD_WINDOW_MS: u64 = 600_000;

/// All windows of one fake.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    routes: HashMap<(String, &'static str, String), Window>,
    global: HashMap<String, Window>,
    bad: Option<Window>,
}

impl RateLimits {
    /// Counts a request of `who` against its route; `major` is the channel, guild or webhook.
    pub(crate) fn route(&mut self, who: &str, bucket: Bucket, major: &str, now: u64) -> Verdict {
        // Windows that are over are only ever looked at again by the same key; drop them when there are many.
        if self.routes.len() > 10_000 {
            self.routes.retain(|_, window| window.resets_at > now);
        }
        let key = (who.to_owned(), bucket.name, major.to_owned());
        let window = self.routes.entry(key).or_insert(Window {
            used: 0,
            resets_at: 0,
        });
        if window.resets_at <= now {
            *window = Window {
                used: 0,
                resets_at: now + bucket.window_ms,
            };
        }
        let state = |used: u32| State {
            limit: bucket.limit,
            remaining: bucket.limit.saturating_sub(used),
            resets_at: window.resets_at,
            reset_after_ms: window.resets_at - now,
        };
        if window.used >= bucket.limit {
            return Verdict::Limited(state(bucket.limit));
        }
        window.used += 1;
        Verdict::Pass(state(window.used))
    }

    /// Counts a request against the global limit; milliseconds to wait if it is over.
    pub(crate) fn global(&mut self, who: &str, per_second: u32, now: u64) -> Option<u64> {
        let window = self.global.entry(who.to_owned()).or_insert(Window {
            used: 0,
            resets_at: 0,
        });
        if window.resets_at <= now {
            *window = Window {
                used: 0,
                resets_at: now + 1000,
            };
        }
        window.used += 1;
        (window.used > per_second).then(|| window.resets_at - now)
    }

    /// Counts a 401, 403 or 429.
    pub(crate) fn bad(&mut self, now: u64) {
        let window = self.bad.get_or_insert(Window {
            used: 0,
            resets_at: 0,
        });
        if window.resets_at <= now {
            *window = Window {
                used: 0,
                resets_at: now + BAD_WINDOW_MS,
            };
        }
        window.used += 1;
    }

    /// Seconds for which an address that made `most` bad requests is still banned.
    pub(crate) fn banned(&self, most: u32, now: u64) -> Option<u64> {
        let window = self.bad.as_ref()?;
        (window.used >= most && window.resets_at > now)
            .then(|| (window.resets_at - now).div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, RateLimits, Verdict};

    const POST: Bucket = Bucket::new("post", 2, 5000);

    #[test]
    fn each_major_id_has_its_own_window() {
        let mut limits = RateLimits::default();
        assert!(matches!(limits.route("a", POST, "1", 0), Verdict::Pass(it) if it.remaining == 1));
        assert!(matches!(limits.route("a", POST, "1", 10), Verdict::Pass(it) if it.remaining == 0));
        assert!(
            matches!(limits.route("a", POST, "1", 1000), Verdict::Limited(it) if it.reset_after_ms == 4000)
        );
        assert!(matches!(
            limits.route("a", POST, "2", 1000),
            Verdict::Pass(_)
        ));
        assert!(matches!(
            limits.route("b", POST, "1", 1000),
            Verdict::Pass(_)
        ));
        assert!(matches!(
            limits.route("a", POST, "1", 5000),
            Verdict::Pass(_)
        ));
    }

    #[test]
    fn the_global_limit_is_per_second() {
        let mut limits = RateLimits::default();
        assert!((0..50).all(|_| limits.global("a", 50, 100).is_none()));
        assert_eq!(limits.global("a", 50, 400), Some(700));
        assert_eq!(limits.global("a", 50, 1100), None);
    }

    #[test]
    fn ten_thousand_bad_requests_ban_the_address() {
        let mut limits = RateLimits::default();
        (0..9_999).for_each(|_| limits.bad(0));
        assert_eq!(limits.banned(10_000, 1), None);
        limits.bad(0);
        assert_eq!(limits.banned(10_000, 1), Some(600));
        assert_eq!(limits.banned(10_000, 600_000), None);
    }
}
