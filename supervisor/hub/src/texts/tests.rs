//! The catalogue, read as a whole.

use super::foreign::LINE_MAX;
use super::*;
use crate::plan::Login;
use ipc_schema::{Lack, Refusal, Remark, Trouble};

/// One of each; the match makes a new text fail to compile until it is here too.
fn all() -> Vec<Text<'static>> {
    const OPTIONS: &[(&str, &str)] = &[("SQLite", "one file"), ("Postgres", "")];
    static FILES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let file = |n| format!("{n}.zip (40 MB): over 25 MB");
        (0..7).map(file).collect()
    });
    let files = FILES.as_slice();
    let all = vec![
        Text::Queued { ahead: 2 },
        Text::InstantReply,
        Text::Waiting {
            ahead: 1,
            memory: false,
        },
        Text::Waiting {
            ahead: 0,
            memory: true,
        },
        Text::QueueFull { depth: 50 },
        Text::Resumed,
        Text::CannotResume,
        Text::TooManyAttempts,
        Text::QuestionExpired,
        Text::PermissionQuestion {
            tool: "Bash",
            detail: "rm -r build\nls",
            always: Some("rm -r build"),
            by: By::Typing,
        },
        Text::PermissionQuestion {
            tool: "Bash",
            detail: "ls",
            always: Some("ls"),
            by: By::Pressing,
        },
        Text::PermissionQuestion {
            tool: "Write",
            detail: "```sh\nls\n```",
            always: None,
            by: By::Typing,
        },
        Text::ChoiceQuestion {
            question: "Which DB?",
            options: OPTIONS,
            multiple: false,
            by: By::Typing,
        },
        Text::ChoiceQuestion {
            question: "Which DB?",
            options: OPTIONS,
            multiple: true,
            by: By::Pressing,
        },
        Text::ChoiceQuestion {
            question: "Which DBs?",
            options: OPTIONS,
            multiple: true,
            by: By::Typing,
        },
        Text::PlanQuestion {
            plan: "1. Look\n2. Leap\n",
            by: By::Typing,
        },
        Text::QuestionWithdrawn,
        Text::WholeInFile,
        Text::Button(Button::Allow),
        Text::Button(Button::Deny),
        Text::Button(Button::Always),
        Text::Button(Button::CarryOut),
        Text::Button(Button::KeepPlanning),
        Text::Button(Button::Choose),
        Text::QuestionNotYours,
        Text::QuestionStillOpen,
        Text::QuestionAnswered {
            what: "SQLite",
            who: "Ann",
        },
        Text::DecidedAllow { who: "" },
        Text::DecidedAllow { who: "Ann" },
        Text::DecidedAlways { who: "Ann" },
        Text::DecidedDeny { who: "Ann" },
        Text::DecidedLate,
        Text::AnsweredEarly,
        Text::Refused {
            id: "80351110224678912",
            key: "allow_from",
        },
        Text::AgentMissing { cmd: "claude" },
        logged_out(Login::Stored),
        logged_out(Login::Own),
        logged_out(Login::Token),
        logged_out(Login::Key),
        Text::AgentError {
            words: "API Error: 529\noverloaded",
        },
        trouble(Trouble::Sandbox),
        trouble(Trouble::Directory),
        trouble(Trouble::Session),
        trouble(Trouble::Start),
        trouble(Trouble::Crowded),
        trouble(Trouble::Answer),
        trouble(Trouble::Other),
        Text::RunnerError {
            at: Trouble::Start,
            detail: "",
        },
        Text::Remark(&OVERLOADED),
        Text::Remark(&Remark::Retry {
            status: 0,
            attempt: 2,
            of: 11,
            wait_ms: 500,
        }),
        Text::Remark(&Remark::Retry {
            status: 429,
            attempt: 2,
            of: 11,
            wait_ms: 500,
        }),
        Text::Remark(&Remark::Retry {
            status: 500,
            attempt: 2,
            of: 11,
            wait_ms: 500,
        }),
        Text::Retrying(&OVERLOADED),
        Text::Remark(&Remark::Compacted {
            before: 150_000,
            after: 20_000,
        }),
        Text::Remark(&Remark::Compacted {
            before: 0,
            after: 0,
        }),
        Text::Remark(&Remark::Cut {
            most: 4 << 20,
            missing: 7,
        }),
        Text::Remark(&Remark::Unknown),
        Text::Remark(refused(true)),
        Text::Remark(refused(false)),
        Text::Remark(forgot()),
        Text::EmptyAnswer,
        Text::TurnTimedOut { mins: 30 },
        Text::Stopping,
        Text::Stopped,
        Text::StoppingLater,
        Text::NothingToStop { told: false },
        Text::NothingToStop { told: true },
        Text::NewSessionDropped { dropped: 3 },
        Text::NewSession,
        Text::NewSessionWhileRunning,
        Text::Help {
            built_in: &crate::command::BUILT_IN,
            own: &[],
        },
        Text::Help {
            built_in: &["stop", "help"],
            own: &[("review", "look over\na file"), ("deploy", "")],
        },
        Text::Whoami {
            id: "80351110224678912",
            name: "Ann",
            platform: "discord:main",
            conversation: "dm:1",
            admin: true,
        },
        status(true, Some(75), false),
        status(true, Some(5), true),
        status(true, None, false),
        status(false, None, false),
        Text::UnknownCommand {
            name: "stp",
            nearest: "stop",
        },
        Text::CommandDisabled { name: "new" },
        Text::AdminsOnly { name: "restart" },
        Text::RateLimited { secs: 12 },
        Text::BannedWord,
        Text::SpoolCrowded,
        Text::TooLong { limit_kib: 192 },
        Text::LeftOut { files },
        Text::Sessions {
            sessions: &[("mend the build", 59, true), ("", 7_300, false)],
        },
        Text::NoSuchSession,
        Text::Switched { title: "mend" },
        Text::NoHistory,
        Text::HistoryEntry {
            said: "one\ntwo",
            answer: "three",
        },
        Text::HistoryEntry {
            said: "one",
            answer: "",
        },
        Text::Modes {
            current: "",
            modes: &["default", "plan"],
        },
        Text::NoModes,
        Text::ModeSet {
            mode: "plan",
            unasked: false,
        },
        Text::ModeSet {
            mode: "bypassPermissions",
            unasked: true,
        },
        Text::Model { current: "" },
        Text::ModelSet { model: "opus" },
        Text::OthersSession { name: "new" },
        Text::Lacks(Lack::Threads),
        Text::Lacks(Lack::InThreads),
        Text::Lacks(Lack::Cards),
        Text::Lacks(Lack::Files),
        Text::Lacks(Lack::Other),
        Text::RunnerDown,
        Text::PartFailed,
        Text::WorktreeKept {
            branch: "bulkhead/0f3c",
            changes: 2,
            commits: 1,
        },
        Text::NoCompact,
    ];
    for text in &all {
        match text {
            Text::Queued { .. } | Text::Waiting { .. } | Text::InstantReply => {}
            Text::QueueFull { .. } | Text::Resumed => {}
            Text::CannotResume | Text::TooManyAttempts | Text::QuestionExpired => {}
            Text::PermissionQuestion { .. } | Text::ChoiceQuestion { .. } => {}
            Text::PlanQuestion { .. } | Text::QuestionNotYours | Text::QuestionStillOpen => {}
            Text::QuestionAnswered { .. } | Text::DecidedAllow { .. } => {}
            Text::DecidedAlways { .. } | Text::DecidedDeny { .. } => {}
            Text::QuestionWithdrawn | Text::WholeInFile | Text::Button(_) => {}
            Text::DecidedLate | Text::AnsweredEarly | Text::Refused { .. } => {}
            Text::AgentMissing { .. } | Text::AgentLoggedOut { .. } => {}
            Text::RunnerError { .. } | Text::Remark(_) | Text::Retrying(_) => {}
            Text::AgentError { .. } | Text::EmptyAnswer | Text::TurnTimedOut { .. } => {}
            Text::Stopping | Text::StoppingLater | Text::Stopped | Text::NewSession => {}
            Text::NothingToStop { .. } | Text::NewSessionDropped { .. } => {}
            Text::NewSessionWhileRunning | Text::Help { .. } | Text::Whoami { .. } => {}
            Text::Status { .. } | Text::UnknownCommand { .. } => {}
            Text::CommandDisabled { .. } | Text::AdminsOnly { .. } => {}
            Text::RateLimited { .. } | Text::BannedWord | Text::TooLong { .. } => {}
            Text::SpoolCrowded => {}
            Text::LeftOut { .. } | Text::Sessions { .. } | Text::NoSuchSession => {}
            Text::Switched { .. } | Text::NoHistory | Text::HistoryEntry { .. } => {}
            Text::Modes { .. } | Text::NoModes | Text::ModeSet { .. } => {}
            Text::Model { .. } | Text::ModelSet { .. } => {}
            Text::OthersSession { .. } | Text::Lacks(_) => {}
            Text::RunnerDown | Text::PartFailed => {}
            Text::WorktreeKept { .. } | Text::NoCompact => {}
        }
    }
    all
}

const OVERLOADED: Remark = Remark::Retry {
    status: 529,
    attempt: 4,
    of: 11,
    wait_ms: 19_500,
};

fn trouble(at: Trouble) -> Text<'static> {
    Text::RunnerError {
        at,
        detail: "/run/x: no space\nleft",
    }
}

fn refused(write: bool) -> &'static Remark {
    let path = "/etc/hosts".into();
    let what = match write {
        true => Refusal::Write { path },
        false => Refusal::Read { path },
    };
    Box::leak(Box::new(Remark::Refused { what }))
}

fn forgot() -> &'static Remark {
    let why = "no such session".into();
    Box::leak(Box::new(Remark::Forgot { why }))
}

fn logged_out(login: Login) -> Text<'static> {
    Text::AgentLoggedOut {
        words: "Invalid API key",
        login,
        cmd: "/opt/claude",
    }
}

fn status(runner_up: bool, running_secs: Option<usize>, stopping: bool) -> Text<'static> {
    Text::Status {
        project: "shop",
        agent: "claudecode",
        session: "0f3c",
        runner_up,
        running_secs,
        stopping,
        queued: 2,
        model: "",
        mode: "plan",
        used: "21k/200k tokens (10 %)",
        login: Login::Key,
        trust: Some(!runner_up),
        volume: "shop",
        branch: "bulkhead/0f3c",
        sandbox: runner_up.then_some(("landlock, namespaces", "ports")),
        refused: stopping.then_some(&Refusal::Port { port: 8443 }),
    }
}

fn catalogue(lang: Lang) -> String {
    all()
        .iter()
        .map(|text| format!("{text:?}\n{}\n", say(text, lang)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn english() {
    insta::assert_snapshot!(catalogue(Lang::En));
}

#[test]
fn chinese() {
    insta::assert_snapshot!(catalogue(Lang::Zh));
}

#[test]
fn every_text_is_in_its_language() {
    // Nothing but other people's words.
    let foreign =
        |text: &Text<'_>| matches!(text, Text::HistoryEntry { answer, .. } if !answer.is_empty());
    for text in all().into_iter().filter(|text| !foreign(text)) {
        let (en, zh) = (say(&text, Lang::En), say(&text, Lang::Zh));
        assert_eq!(
            (Lang::of_text(&en), Lang::of_text(&zh)),
            (Lang::En, Lang::Zh),
            "{text:?}"
        );
    }
}

#[test]
fn notices_have_three_lines_at_most() {
    for text in all() {
        let is_list = matches!(
            text,
            Text::PermissionQuestion { .. }
                | Text::ChoiceQuestion { .. }
                | Text::PlanQuestion { .. }
                | Text::Help { .. }
                | Text::Whoami { .. }
                | Text::Status { .. }
                | Text::Sessions { .. }
                | Text::HistoryEntry { .. }
                | Text::LeftOut { .. }
        );
        for lang in [Lang::En, Lang::Zh] {
            let said = say(&text, lang);
            assert!(is_list || said.lines().count() <= 3, "{said}");
            assert!(said.lines().all(|line| line == line.trim_end()), "{said}");
        }
    }
}

#[test]
fn help_names_every_command() {
    for lang in [Lang::En, Lang::Zh] {
        let built_in = &crate::command::BUILT_IN;
        let help = say(&Text::Help { built_in, own: &[] }, lang);
        let lines: Vec<&str> = help.lines().skip(1).collect();
        assert_eq!(lines.len(), built_in.len());
        for (line, name) in lines.into_iter().zip(built_in) {
            let about = line.strip_prefix(&format!("/{name} - "));
            assert!(about.is_some_and(|about| !about.is_empty()), "{line}");
        }
    }
}

#[test]
fn help_names_so_many_of_the_operators_commands_and_counts_the_rest() {
    let about = "x".repeat(1000);
    for (count, lines, last) in [
        (1, 1, "/review - xx"),
        (HELP_OWN, HELP_OWN, "/review - xx"),
        (HELP_OWN + 5, HELP_OWN + 1, "… and 5 more"),
    ] {
        let own = vec![("review", about.as_str()); count];
        let built_in = &[];
        let help = say(
            &Text::Help {
                built_in,
                own: &own,
            },
            Lang::En,
        );
        assert_eq!(help.lines().count(), 1 + lines);
        assert!(help.lines().last().unwrap().starts_with(last), "{help}");
        assert!(help.lines().all(|line| line.chars().count() < 150));
    }
}

#[test]
fn foreign_text_keeps_to_its_place() {
    let words = format!("bad\n\nReply 1 to allow. {}", "x".repeat(LINE_MAX));
    let said = say(&Text::AgentError { words: &words }, Lang::En);
    assert_eq!(said.lines().count(), 2);
    assert!(said.chars().count() < LINE_MAX + 150);
    let said = say(
        &Text::Refused {
            id: "1` to `admin_from",
            key: "allow_from",
        },
        Lang::En,
    );
    assert!(said.contains("`1' to 'admin_from`"), "{said}");
    let detail = format!("a\n```````\nAllowed.\n{}", "long ".repeat(5000));
    let question = Text::PermissionQuestion {
        tool: "Bash",
        detail: &detail,
        always: None,
        by: By::Typing,
    };
    let said = say(&question, Lang::Zh);
    assert!(
        said.contains("\n````````\na\n```````\nAllowed.\n"),
        "nothing ends the fence"
    );
    assert!(said.contains(detail.trim_end()), "and nothing is left out");
}

#[test]
fn languages_have_codes() {
    for lang in [Lang::En, Lang::Zh] {
        assert_eq!(Lang::from_code(lang.code()), Some(lang));
    }
    assert_eq!(Lang::from_code("fr"), None);
    assert_eq!(Lang::of_text("hello, wörld 🎉 かな"), Lang::En);
    assert_eq!(Lang::of_text("fix the 数据库"), Lang::Zh);
}

#[test]
fn somebody_without_a_name_is_told_their_id() {
    let whoami = Text::Whoami {
        id: "77",
        name: "",
        platform: "weibo-main",
        conversation: "dm:77",
        admin: true,
    };
    let first = |lang| say(&whoami, lang).lines().next().unwrap().to_owned();
    assert_eq!(first(Lang::En), "Your id is `77`");
    assert_eq!(first(Lang::Zh), "您的 ID 是 `77`");
}
