//! One of our programs, asked to examine what it depends on (`--doctor`).
//!
//! Promises: the options with their secrets go to the program's stdin and nowhere else; it has the
//! environment that it would run with; a program that hangs is ended, and all that it says is
//! bounded and shown without control characters.
//!
//! What touches a network is the program's doing: here is none.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use worker_kit::Finding;
use worker_kit::doctor::{LONGEST, Line, Manner};

/// Beyond its own bound a program is not waited for.
const PATIENCE: Duration = LONGEST.saturating_add(Duration::from_secs(10));
/// The most that a program may say, in bytes.
const LARGEST: u64 = 4 << 20;
/// Lines that wait to be shown.
const LINES: usize = 64;
/// The longest text that is shown, in characters.
const LONGEST_WORDS: usize = 2000;
/// Bad configuration, of sysexits: it says itself what is wrong.
const BAD_OPTIONS: i32 = 78;

/// What is to be examined.
pub(crate) struct Subject {
    pub(crate) program: PathBuf,
    /// As JSON.
    pub(crate) options: SecretString,
    pub(crate) manner: Manner,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) findings: Vec<Finding>,
    pub(crate) facts: BTreeMap<String, String>,
}

impl Examined {
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// Whether to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    /// Enough is known.
    Enough,
}

/// How it ended.
enum End {
    /// By itself.
    Exited(ExitStatus),
    Enough,
    Late,
}

/// Examines; `hear` is told of each line as it comes.
pub(crate) fn examine(subject: &Subject, mut hear: impl FnMut(&Line) -> Go) -> Examined {
    let mut examined = Examined::default();
    let mut child = match start(subject) {
        Ok(child) => child,
        Err(error) => {
            let says = format!("{} cannot be started: {error}", subject.program.display());
            let advice = "install bulkhead's programs from one release";
            examined
                .findings
                .push(Finding::fail("program", says, advice));
            return examined;
        }
    };
    let end = listen(&mut child, subject, &mut |line| {
        let go = hear(&line);
        match line {
            Line::Finding(finding) => examined.findings.push(finding),
            Line::Fact(fact) => {
                examined.facts.insert(fact.fact, fact.value);
            }
        }
        go
    });
    if let Some(finding) = judge(&end, &examined, subject) {
        // Nothing comes after it, whatever whoever listens thinks.
        let _ = hear(&Line::Finding(finding.clone()));
        examined.findings.push(finding);
    }
    examined
}

fn start(subject: &Subject) -> std::io::Result<Child> {
    let mut command = Command::new(&subject.program);
    command.arg("--doctor");
    if subject.manner.offline {
        command.arg("--offline");
    }
    if subject.manner.running {
        command.arg("--running");
    }
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| monitor::is_allowed(name)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Another's program may write a secret there.
        .stderr(Stdio::null())
        .spawn()
}

/// Hands the options over, takes in what is said, and ends the program if it does not end itself.
fn listen(child: &mut Child, subject: &Subject, hear: &mut impl FnMut(Line) -> Go) -> End {
    let until = Instant::now() + PATIENCE;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let options = subject.options.clone();
    // Neither is waited for: both end with the program.
    std::thread::spawn(move || {
        // Who does not read its options says so itself.
        let _ = stdin.map(|mut stdin| stdin.write_all(options.expose_secret().as_bytes()));
    });
    let (told, lines) = mpsc::sync_channel(LINES);
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout.take(LARGEST));
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            if told.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    let ended = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let line = read(&line).map(&mut *hear);
                if line == Some(Go::Enough) {
                    break End::Enough;
                }
            }
            Err(RecvTimeoutError::Timeout) => break End::Late,
            Err(RecvTimeoutError::Disconnected) => match wait(child, until) {
                Some(status) => return End::Exited(status),
                None => break End::Late,
            },
        }
    };
    // Gone meanwhile, which is as good.
    let _ = child.kill();
    let _ = child.wait();
    ended
}

/// Waits for its end: its stdout is closed, so that is near.
fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

/// A line, fit to be shown. What is none means nothing here.
fn read(line: &[u8]) -> Option<Line> {
    let clean = |text: String| -> String {
        let chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        chars.take(LONGEST_WORDS).collect()
    };
    Some(match serde_json::from_slice(line).ok()? {
        Line::Finding(finding) => Line::Finding(Finding {
            check: clean(finding.check),
            says: clean(finding.says),
            advice: clean(finding.advice),
            verdict: finding.verdict,
        }),
        Line::Fact(fact) => Line::Fact(worker_kit::doctor::Fact {
            fact: clean(fact.fact),
            value: clean(fact.value),
        }),
    })
}

/// What its end says, beside what it said itself.
fn judge(end: &End, examined: &Examined, subject: &Subject) -> Option<Finding> {
    let program = subject.program.file_name().unwrap_or_default().display();
    let nothing = examined.findings.is_empty() && examined.facts.is_empty();
    const STATUS: &str = "`bulkhead status` says how it does once it runs";
    match end {
        End::Enough => None,
        End::Late => Some(Finding::fail(
            "time",
            format!("{program} did not end within {} s", PATIENCE.as_secs()),
            "try again, with fewer programs running",
        )),
        End::Exited(status) => match status.code() {
            Some(0) if nothing && !subject.manner.offline => {
                let says = format!("{program} examines nothing");
                Some(Finding::warn("program", says, STATUS))
            }
            Some(0) => None,
            Some(BAD_OPTIONS) if !nothing => None,
            _ if nothing => {
                let says = format!("{program} cannot examine anything: it ended with {status}");
                Some(Finding::warn("program", says, STATUS))
            }
            _ => {
                let says = format!("{program} ended with {status} before everything was examined");
                Some(Finding::fail(
                    "program",
                    says,
                    "try again; this is a fault of the program",
                ))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use worker_kit::doctor::Verdict;

    use super::*;

    fn subject(directory: &tempfile::TempDir, script: &str) -> Subject {
        let program = directory.path().join("foo-worker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Subject {
            program,
            options: r#"{"token":"canary"}"#.to_owned().into(),
            manner: Manner::default(),
        }
    }

    fn run(script: &str) -> Examined {
        let directory = tempfile::tempdir().unwrap();
        examine(&subject(&directory, script), |_| Go::On)
    }

    #[test]
    fn options_go_to_stdin_and_lines_come_back() {
        let found = run(r#"
            case "$* $(env)" in *canary*) exit 9;; esac
            read -r options
            [ "$options" = '{"token":"canary"}' ] || exit 8
            printf '%s\n' '{"check":"token","verdict":"fail","says":"no\tgood","do":"click","more":1}'
            echo 'not a line'
            echo '{"fact":"bot_name","value":"b"}'
            echo '{"check":"late","verdict":"ok","says":"fine"}'"#);
        let expected = [
            Finding::fail("token", "no good", "click"),
            Finding::ok("late", "fine"),
        ];
        assert_eq!(found.findings, expected);
        assert_eq!((found.fact("bot_name"), found.fact("x")), ("b", ""));
    }

    #[test]
    fn a_program_that_knows_nothing_of_it_is_told_of_and_no_failure() {
        for (script, words) in [
            ("cat > /dev/null", "examines nothing"),
            ("exit 64", "exit status: 64"),
            ("kill -9 $$", "signal: 9"),
        ] {
            let found = run(script).findings;
            assert_eq!(found.len(), 1, "{script}");
            assert_eq!(found[0].verdict, Verdict::Warn);
            assert!(found[0].says.contains(words), "{found:?}");
        }
        let missing = Subject {
            program: "/nowhere/foo-worker".into(),
            ..subject(&tempfile::tempdir().unwrap(), "")
        };
        let found = examine(&missing, |_| Go::On).findings;
        assert_eq!(found[0].verdict, Verdict::Fail);
    }

    #[test]
    fn one_that_dies_in_the_middle_has_failed_and_bad_options_speak_for_themselves() {
        let line = r#"echo '{"check":"options","verdict":"fail","says":"x","do":"y"}'"#;
        assert_eq!(run(&format!("{line}; exit 78")).findings.len(), 1);
        let found = run(&format!("{line}; kill -6 $$")).findings;
        assert_eq!((found.len(), found[1].check.as_str()), (2, "program"));
    }

    #[test]
    fn it_is_ended_once_enough_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let subject = subject(
            &directory,
            r#"echo '{"fact":"a","value":"1"}'; exec sleep 1000"#,
        );
        let found = examine(&subject, |_| Go::Enough);
        assert_eq!((found.fact("a"), found.findings.len()), ("1", 0));
    }
}
