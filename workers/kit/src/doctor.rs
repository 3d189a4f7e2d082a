//! `--doctor`: what a program finds when it examines, for real, everything that it depends on.
//!
//! The options come as one JSON object on stdin, secrets included, as they do for `--check`. What is
//! found goes to stdout, one JSON object a line, as soon as it is known: a [`Finding`] or a [`Fact`].
//!
//! Promises:
//! - It ends, by [`LONGEST`], whatever its network does.
//! - No secret that was named with [`Doctor::hide`] is in what it says, whoever repeated it.
//! - A line is one line, of bounded length.
//!
//! It changes nothing and takes nothing that a running process of the same account needs.

use std::fmt;
use std::io::Write;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// How long all of it may take.
pub const LONGEST: Duration = Duration::from_secs(150);
/// The longest text of a finding, in characters.
const LONGEST_WORDS: usize = 1000;
/// A shorter secret is not looked for: it would be found in every word.
const SHORTEST_SECRET: usize = 4;
/// Clocks this far apart are as good as the same: a `Date` has whole seconds.
const APART: Duration = Duration::from_secs(10);
/// Clocks this far apart are wrong.
const TOO_FAR_APART: Duration = Duration::from_secs(120);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works; somebody should look at it.
    Warn,
    /// It does not work until somebody does something.
    Fail,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was examined, in one word: `token`, `gateway`, …
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found and what it means, in words.
    pub says: String,
    /// Where to click or what to type; empty where there is nothing to do.
    #[serde(rename = "do", default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(check: &str, says: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Ok, says, "")
    }

    /// It works, but.
    pub fn warn(check: &str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Warn, says, advice)
    }

    /// It does not work.
    pub fn fail(check: &str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding::new(check, Verdict::Fail, says, advice)
    }

    fn new(
        check: &str,
        verdict: Verdict,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            check: check.to_owned(),
            verdict,
            says: says.into(),
            advice: advice.into(),
        }
    }
}

/// Something worth knowing about what was examined: the bot's name, its invite link, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Its name.
    pub fact: String,
    /// Its value.
    pub value: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// What was found.
    Finding(Finding),
    /// What is known.
    Fact(Fact),
}

/// How to examine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Nothing outside this machine is asked, and nothing that costs money.
    pub offline: bool,
    /// A process of the same account is connected now: it is not to be disturbed.
    pub running: bool,
}

/// Where findings go.
pub struct Doctor {
    manner: Manner,
    hidden: Vec<SecretString>,
    to: Box<dyn Write>,
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor")
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}

impl Doctor {
    /// One that writes there.
    pub fn new(manner: Manner, to: impl Write + 'static) -> Doctor {
        Doctor {
            manner,
            hidden: Vec::new(),
            to: Box::new(to),
        }
    }

    /// How to examine.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// From now on this text is in nothing that is said.
    pub fn hide(&mut self, secret: &SecretString) {
        let text = secret.expose_secret().trim();
        if text.len() >= SHORTEST_SECRET {
            self.hidden.push(text.into());
        }
    }

    /// Says what was found.
    pub fn find(&mut self, finding: Finding) {
        let Finding {
            check,
            verdict,
            says,
            advice,
        } = finding;
        let (says, advice) = (self.clean(&says), self.clean(&advice));
        self.say(&Line::Finding(Finding {
            check,
            verdict,
            says,
            advice,
        }));
    }

    /// Says what is known.
    pub fn fact(&mut self, fact: &str, value: &str) {
        let value = self.clean(value);
        self.say(&Line::Fact(Fact {
            fact: fact.to_owned(),
            value,
        }));
    }

    fn say(&mut self, line: &Line) {
        // Strings always make JSON; and whoever does not listen any more needs no answer.
        let text = serde_json::to_string(line).unwrap_or_default();
        let _ = writeln!(self.to, "{text}").and_then(|()| self.to.flush());
    }

    fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.hidden {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), "…");
            }
        }
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST_WORDS)
            .collect()
    }
}

/// Compares this machine's clock with the `Date` of somebody's answer. `None`: it had none that can
/// be read.
pub fn clock(whose: &str, date: Option<&str>, now: SystemTime) -> Option<Finding> {
    let theirs = httpdate::parse_http_date(date?).ok()?;
    let (apart, side) = match now.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    const SET: &str =
        "set the clock: timedatectl set-ntp true (or install chrony), then: timedatectl";
    let seconds = apart.as_secs();
    Some(if apart <= APART {
        Finding::ok("clock", format!("agrees with {whose}'s"))
    } else if apart <= TOO_FAR_APART {
        let says = format!("this machine's clock is {seconds} s {side} {whose}'s");
        Finding::warn("clock", says, SET)
    } else {
        let says = format!(
            "this machine's clock is {seconds} s {side} {whose}'s: certificates, deadlines and what \
             was written while nobody was connected are judged by it"
        );
        Finding::fail("clock", says, SET)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn lines(&self) -> Vec<Line> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }
    }

    #[test]
    fn a_line_is_one_line_without_the_secret_and_of_bounded_length() {
        let page = Page::default();
        let mut doctor = Doctor::new(Manner::default(), page.clone());
        doctor.hide(&" canary ".into());
        doctor.hide(&"a".into());
        doctor.find(Finding::fail("token", "no\n\"canary\" here", "say canary"));
        doctor.fact("owner", &"canary".repeat(10_000));
        doctor.fact("name", &"é".repeat(10_000));
        let lines = page.lines();
        assert_eq!(
            lines[0],
            Line::Finding(Finding::fail("token", "no \"…\" here", "say …"))
        );
        let Line::Fact(fact) = &lines[1] else {
            panic!()
        };
        assert!(!fact.value.contains("canary"));
        let Line::Fact(fact) = &lines[2] else {
            panic!()
        };
        assert_eq!(fact.value.chars().count(), LONGEST_WORDS);
        assert!(!format!("{doctor:?}").contains("canary"));
    }

    #[test]
    fn the_form_of_a_line_is_as_documented() {
        let page = Page::default();
        let mut doctor = Doctor::new(Manner::default(), page.clone());
        doctor.find(Finding::ok("token", "known"));
        doctor.find(Finding::warn("clock", "late", "set it"));
        doctor.fact("bot_name", "b");
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let expected = [
            r#"{"check":"token","verdict":"ok","says":"known"}"#,
            r#"{"check":"clock","verdict":"warn","says":"late","do":"set it"}"#,
            r#"{"fact":"bot_name","value":"b"}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let judge = |now| clock("Discord", Some(date), now).unwrap();
        let s = Duration::from_secs;
        for near in [theirs, theirs + s(10), theirs - s(10)] {
            assert_eq!(judge(near).verdict, Verdict::Ok);
        }
        let ahead = judge(theirs + s(60));
        assert_eq!(ahead.verdict, Verdict::Warn);
        assert!(ahead.says.contains("60 s ahead of Discord"), "{ahead:?}");
        let behind = judge(theirs - s(3600));
        assert_eq!(behind.verdict, Verdict::Fail);
        assert!(behind.says.contains("3600 s behind") && behind.advice.contains("timedatectl"));
        assert_eq!(clock("x", Some("yesterday"), theirs), None);
        assert_eq!(clock("x", None, theirs), None);
    }
}
