//! When a request may go. Pure.
//!
//! Limits go by method, route template and major id (the channel or server), and from the first
//! answer on by the bucket that Discord names for them. Above them stand two gates: the global limit
//! and Cloudflare's ban of the address, which hold everything; answers to interactions are outside of
//! the first. Under them the worker keeps itself to fewer requests a second than Discord's 50.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Requests a second; Discord's limit is 50.
const A_SECOND: usize = 45;
/// Of these, how many may be such that nobody waits for.
const SPARE_A_SECOND: usize = 25;
const SECOND: Duration = Duration::from_secs(1);
/// Buckets that are remembered; those that are over are forgotten first.
const BUCKETS: usize = 4096;
/// Added to every reset: Discord's clock and ours are not the same.
const LATER: Duration = Duration::from_millis(20);

/// What a request counts against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Method and route template.
    pub(crate) route: &'static str,
    /// The channel or server; empty where there is none.
    pub(crate) major: String,
}

impl Key {
    /// Answers to interactions do not count against the limit of all requests.
    fn is_outside(&self) -> bool {
        self.route.contains(" /webhooks/") || self.route.contains(" /interactions/")
    }
}

/// `X-RateLimit-*` of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) bucket: Option<String>,
    pub(crate) remaining: Option<u32>,
    pub(crate) reset_after: Option<Duration>,
}

/// Whom a 429 concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The route.
    Route,
    /// Every route.
    Global,
    /// This machine's address, by Cloudflare.
    Address,
}

#[derive(Debug)]
struct Bucket {
    remaining: u32,
    resets: Instant,
}

/// All limits of one bot.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Every route but answers to interactions is held.
    global: Option<Instant>,
    /// Everything is.
    address: Option<Instant>,
    /// Route → the bucket that Discord named.
    names: HashMap<&'static str, String>,
    buckets: HashMap<String, Bucket>,
    lately: VecDeque<Instant>,
}

impl Limits {
    /// Takes a place for a request, or says how long to wait before asking again.
    pub(crate) fn take(&mut self, key: &Key, now: Instant) -> Result<(), Duration> {
        self.take_of(key, A_SECOND, 0, now)
    }

    /// As [`Limits::take`], for what nobody waits for: leaves room for what somebody does.
    pub(crate) fn take_spare(&mut self, key: &Key, now: Instant) -> Result<(), Duration> {
        self.take_of(key, SPARE_A_SECOND, 1, now)
    }

    /// How long the whole address is held, if it is.
    pub(crate) fn address_held(&self, now: Instant) -> Option<Duration> {
        let until = self.address.filter(|until| *until > now)?;
        Some(until - now)
    }

    /// At most `a_second` of all requests, and more than `left` of the bucket have to be there.
    fn take_of(
        &mut self,
        key: &Key,
        a_second: usize,
        left: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        while self
            .lately
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= SECOND)
        {
            self.lately.pop_front();
        }
        let outside = key.is_outside();
        // The one that has to be over before there is room.
        let paced = self.lately.len().checked_sub(a_second);
        let paced = paced.and_then(|nth| self.lately.get(nth));
        let paced = paced.filter(|_| !outside).map(|first| *first + SECOND);
        let global = self.global.filter(|_| !outside);
        let name = self.name(key);
        let bucket = self.buckets.get_mut(&name);
        let full = bucket
            .as_ref()
            .filter(|it| it.remaining <= left)
            .map(|it| it.resets);
        let held = [global, self.address, paced, full];
        let until = held.into_iter().flatten().max();
        if let Some(until) = until.filter(|until| *until > now) {
            return Err(until - now);
        }
        if let Some(bucket) = bucket {
            if bucket.resets <= now {
                // A new window of unknown size: one request finds out.
                bucket.remaining = 1;
                bucket.resets = now + SECOND;
            }
            bucket.remaining = bucket.remaining.saturating_sub(1);
        }
        if !outside {
            self.lately.push_back(now);
        }
        Ok(())
    }

    /// Notes what an answer says of its bucket.
    pub(crate) fn told(&mut self, key: &Key, told: &Told, now: Instant) {
        if let Some(name) = &told.bucket
            && self.names.get(key.route) != Some(name)
        {
            self.names.insert(key.route, name.clone());
        }
        let (Some(remaining), Some(after)) = (told.remaining, told.reset_after) else {
            return;
        };
        let resets = now + after + LATER;
        let name = self.name(key);
        self.make_room(now);
        let bucket = self
            .buckets
            .entry(name)
            .or_insert(Bucket { remaining, resets });
        // Answers overtake each other: within a window the lowest figure is the newest.
        let same_window = bucket.resets > now && resets <= bucket.resets + SECOND;
        bucket.remaining = if same_window {
            bucket.remaining.min(remaining)
        } else {
            remaining
        };
        bucket.resets = resets;
    }

    /// Notes a 429: nothing of that scope goes for so long.
    pub(crate) fn limited(&mut self, key: &Key, scope: Scope, after: Duration, now: Instant) {
        let until = now + after + LATER;
        match scope {
            Scope::Global => self.global = self.global.max(Some(until)),
            Scope::Address => self.address = self.address.max(Some(until)),
            Scope::Route => {
                self.make_room(now);
                let name = self.name(key);
                let full = Bucket {
                    remaining: 0,
                    resets: until,
                };
                self.buckets.insert(name, full);
            }
        }
    }

    fn name(&self, key: &Key) -> String {
        let route = self.names.get(key.route).map_or(key.route, String::as_str);
        format!("{route} {}", key.major)
    }

    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() >= BUCKETS {
            self.buckets.retain(|_, bucket| bucket.resets > now);
        }
        if self.buckets.len() >= BUCKETS {
            // Thousands of channels within a window; a 429 will tell again.
            self.buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(channel: &str) -> Key {
        Key {
            route: "POST /channels/{}/messages",
            major: channel.into(),
        }
    }

    fn told(remaining: u32, seconds: u64) -> Told {
        Told {
            bucket: Some("hash".into()),
            remaining: Some(remaining),
            reset_after: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn a_bucket_that_is_used_up_waits_for_its_reset() {
        let now = Instant::now();
        let mut limits = Limits::default();
        assert_eq!(limits.take(&post("1"), now), Ok(()));
        limits.told(&post("1"), &told(1, 5), now);
        assert_eq!(limits.take(&post("1"), now), Ok(()), "one was left");
        assert_eq!(
            limits.take(&post("1"), now),
            Err(Duration::from_millis(5020))
        );
        assert_eq!(
            limits.take(&post("2"), now),
            Ok(()),
            "another channel has its own"
        );
        let later = now + Duration::from_millis(5020);
        assert_eq!(limits.take(&post("1"), later), Ok(()));
        assert!(
            limits.take(&post("1"), later).is_err(),
            "one request finds out the new window"
        );
    }

    #[test]
    fn case_35_bucket_new_message() {
        // Limits go by the template of a path and its channel, so that a message which nobody has
        // asked about yet is in the bucket that its channel has used up.
        let now = Instant::now();
        let mut limits = Limits::default();
        let edit = |message: &str| crate::rest::writes::edit("1", message, Default::default()).key;
        limits.told(&edit("10"), &told(0, 5), now);
        assert!(limits.take(&edit("11"), now).is_err());
        // Two routes that Discord puts into one bucket share it from the first answers on.
        let other = Key {
            route: "POST /other/{}",
            major: "1".into(),
        };
        limits.told(&other, &told(9, 5), now);
        limits.told(&post("1"), &told(0, 5), now);
        assert!(limits.take(&other, now).is_err());
    }

    #[test]
    fn what_nobody_waits_for_leaves_room_for_what_somebody_does() {
        let now = Instant::now();
        let mut limits = Limits::default();
        limits.told(&post("1"), &told(1, 5), now);
        assert!(limits.take_spare(&post("1"), now).is_err());
        assert_eq!(limits.take(&post("1"), now), Ok(()), "the last is left");
        let spare = |limits: &mut Limits, n: u32| limits.take_spare(&post(&n.to_string()), now);
        let gone = (10..100).take_while(|n| spare(&mut limits, *n).is_ok());
        assert_eq!(gone.count(), SPARE_A_SECOND - 1);
        assert_eq!(limits.take(&post("2"), now), Ok(()));
    }

    #[test]
    fn interactions_go_on() {
        let now = Instant::now();
        let mut limits = Limits::default();
        let answer = crate::rest::writes::callback(
            crate::snowflake::Id(2),
            crate::rest::writes::Ack::Pressed,
        );
        let minute = Duration::from_secs(60);
        limits.limited(&post("1"), Scope::Global, minute, now);
        assert!(limits.take(&post("1"), now).is_err());
        assert_eq!(limits.take(&answer.key, now), Ok(()));
        assert_eq!(limits.address_held(now), None);
        limits.limited(&post("1"), Scope::Address, minute, now);
        assert!(limits.take(&answer.key, now).is_err());
        assert_eq!(limits.address_held(now), Some(minute + LATER));
        assert_eq!(limits.address_held(now + minute * 2), None);
    }

    #[test]
    fn answers_that_overtake_each_other_do_not_give_more() {
        let now = Instant::now();
        let mut limits = Limits::default();
        limits.told(&post("1"), &told(0, 5), now);
        limits.told(&post("1"), &told(3, 5), now);
        assert!(limits.take(&post("1"), now).is_err());
    }

    #[test]
    fn global_429_and_cloudflare_hold_everything() {
        for scope in [Scope::Global, Scope::Address] {
            let now = Instant::now();
            let mut limits = Limits::default();
            limits.limited(&post("1"), scope, Duration::from_secs(60), now);
            limits.limited(&post("1"), scope, Duration::from_secs(1), now);
            assert!(
                limits
                    .take(&post("2"), now + Duration::from_secs(59))
                    .is_err()
            );
            assert_eq!(
                limits.take(&post("2"), now + Duration::from_secs(61)),
                Ok(())
            );
        }
    }

    #[test]
    fn case_18_cloudflare_429() {
        use crate::rest::answer::{Meaning, Raw, read};
        // HTML, and no word of how long.
        let html = Raw {
            status: 429,
            body: b"<html>error code: 1015</html>".to_vec(),
            ..Raw::default()
        };
        let Meaning::Limited { scope, after } = read(&html) else {
            panic!("a limit");
        };
        let start = Instant::now();
        let mut limits = Limits::default();
        limits.limited(&post("1"), scope, after, start);
        let answer = crate::rest::writes::callback(
            crate::snowflake::Id(2),
            crate::rest::writes::Ack::Pressed,
        );
        let minute = Duration::from_secs(60);
        let mut now = start;
        while now < start + minute {
            for key in [post("1"), post("2"), answer.key.clone()] {
                assert!(limits.take(&key, now).is_err());
                assert!(limits.take_spare(&key, now).is_err());
            }
            assert!(limits.address_held(now).is_some());
            now += Duration::from_millis(250);
        }
        assert_eq!(limits.take(&post("2"), start + minute + LATER), Ok(()));
    }

    #[test]
    fn a_429_of_the_route_holds_the_route_alone() {
        let now = Instant::now();
        let mut limits = Limits::default();
        limits.limited(&post("1"), Scope::Route, Duration::from_secs(3), now);
        assert!(
            limits
                .take(&post("1"), now + Duration::from_secs(2))
                .is_err()
        );
        assert_eq!(limits.take(&post("2"), now), Ok(()));
    }

    #[test]
    fn the_worker_keeps_below_fifty_a_second() {
        let mut now = Instant::now();
        let mut limits = Limits::default();
        let start = now;
        for n in 0..500 {
            while let Err(wait) = limits.take(&post(&n.to_string()), now) {
                now += wait;
            }
        }
        assert!(now - start >= Duration::from_secs(10));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut limits = Limits::default();
        for n in 0..20_000 {
            limits.told(&post(&n.to_string()), &told(1, 5), now);
        }
        assert!(limits.buckets.len() <= BUCKETS);
    }
}
