//! What people can do in a chat beside writing to the agent: commands, from the menu too, and
//! messages that are changed or taken back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::plan::Footer;
use hub::texts::{Lang, Text, say};
use ipc_schema::*;
use spool::TurnState;

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

/// A message with something changed in it.
fn with(id: &str, user: &str, text: &str, change: impl FnOnce(&mut Inbound)) -> Body {
    let Body::Inbound(mut inbound) = inbound(id, user, text) else {
        panic!()
    };
    change(&mut inbound);
    Body::Inbound(inbound)
}

fn shared(id: &str, user: &str, text: &str) -> Body {
    with(id, user, text, |m| {
        m.conversation = "channel".into();
        m.address = "channel".into();
        m.shared = true;
    })
}

/// One whole turn of the sender's; the session that it ran in.
fn turn(desk: &mut Desk, id: &str, text: &str, answer: &str) -> Prompt {
    let out = desk.says(id, text);
    let prompt = prompts(&out).remove(0);
    desk.post_all(out);
    let out = desk.answer(&prompt.at, answer);
    desk.post_all(out);
    prompt
}

fn said(desk: &mut Desk, body: Body) -> Vec<String> {
    let out = desk.got(WORKER, body);
    desk.post_all(out)
}

#[test]
fn sessions_are_listed_switched_and_remembered() {
    let mut desk = Desk::linked();
    let first = turn(&mut desk, "e1", "mend the build", "done");
    desk.now += 90_000;
    said(&mut desk, inbound("e2", "ann", "/new"));
    let second = turn(&mut desk, "e3", "write a test", "written");
    assert_ne!(first.session, second.session);
    let list = |first, second, current: usize| {
        let mut sessions = vec![("write a test", second, current == 2)];
        sessions.insert(
            if current == 1 { 0 } else { 1 },
            ("mend the build", first, current == 1),
        );
        en(Text::Sessions {
            sessions: &sessions,
        })
    };
    assert_eq!(
        said(&mut desk, inbound("e4", "ann", "/list")),
        [list(90, 0, 2)]
    );
    assert_eq!(
        said(&mut desk, inbound("e5", "ann", "/switch 2")),
        [en(Text::Switched {
            title: "mend the build"
        })]
    );
    desk.kill_hub();
    desk.worker_up();
    desk.runner_up(true, Standing::Unknown);
    let out = desk.says("e6", "go on");
    let prompt = prompts(&out).remove(0);
    assert_eq!(
        (prompt.session, prompt.agent_session),
        (first.session, first.agent_session)
    );
    assert_eq!(
        said(&mut desk, inbound("e7", "ann", "/switch 9")),
        [en(Text::NoSuchSession)]
    );
    let others = said(&mut desk, inbound("e8", "bob", "/switch 1"));
    assert_ne!(
        others,
        [en(Text::Switched {
            title: "mend the build"
        })],
        "nobody gets into the session of another conversation"
    );
}

#[test]
fn the_history_shows_what_was_said_and_answered() {
    let mut desk = Desk::linked();
    assert_eq!(
        said(&mut desk, inbound("e0", "ann", "/history")),
        [en(Text::NoHistory)]
    );
    turn(&mut desk, "e1", "one", "first");
    turn(&mut desk, "e2", "two", "second");
    let entry = |said, answer| en(Text::HistoryEntry { said, answer });
    let both = [entry("one", "first"), entry("two", "second")].join("\n\n");
    assert_eq!(said(&mut desk, inbound("e3", "ann", "/history")), [both]);
    assert_eq!(
        said(&mut desk, inbound("e4", "ann", "/history 1")),
        [entry("two", "second")]
    );
}

#[test]
fn mode_and_model_are_an_admins_and_last_for_a_session() {
    let mut desk = Desk::linked();
    let current = Text::Modes {
        current: "default",
        modes: &["default", "plan", "bypassPermissions"],
    };
    let current = en(current);
    assert_eq!(
        said(&mut desk, inbound("e1", "ann", "/mode")),
        [current.as_str()]
    );
    assert_eq!(
        said(&mut desk, inbound("e2", "ann", "/mode yolo")),
        [en(Text::AdminsOnly { name: "mode" })]
    );
    assert_eq!(
        said(&mut desk, inbound("e3", "ann", "/model opus")),
        [en(Text::AdminsOnly { name: "model" })]
    );
    let set = Text::ModeSet {
        mode: "bypassPermissions",
        unasked: true,
    };
    assert_eq!(
        said(&mut desk, inbound("b1", "boss", "/mode yolo")),
        [en(set)]
    );
    assert_eq!(
        said(&mut desk, inbound("b2", "boss", "/model --help")),
        [en(Text::Model { current: "" })]
    );
    assert_eq!(
        said(&mut desk, inbound("b3", "boss", "/model opus")),
        [en(Text::ModelSet { model: "opus" })]
    );
    let prompt = |desk: &mut Desk, id| {
        let out = desk.got(WORKER, inbound(id, "boss", "go"));
        let prompt = prompts(&out).remove(0);
        desk.answer(&prompt.at, "ok");
        (prompt.mode, prompt.model)
    };
    assert_eq!(
        prompt(&mut desk, "b4"),
        ("bypassPermissions".into(), "opus".into())
    );
    said(&mut desk, inbound("b5", "boss", "/new"));
    assert_eq!(prompt(&mut desk, "b6"), (String::new(), String::new()));
}

#[test]
fn where_no_admin_is_named_the_accounts_owner_is_one() {
    let mut plan = plan();
    plan.projects.get_mut("demo").unwrap().admins.clear();
    let mut desk = Desk::linked_with(plan);
    let no = en(Text::AdminsOnly { name: "mode" });
    assert_eq!(said(&mut desk, inbound("e1", "ann", "/mode plan")), [no]);
    let owner = with("e2", "ann", "/mode plan", |m| m.sender.owner = true);
    let set = Text::ModeSet {
        mode: "plan",
        unasked: false,
    };
    assert_eq!(said(&mut desk, owner), [en(set)]);
}

#[test]
fn what_others_use_too_is_not_ended_by_one_of_them() {
    let mut desk = Desk::linked();
    let out = desk.got(WORKER, shared("e1", "ann", "one"));
    desk.post_all(out);
    for (n, command) in ["new", "stop", "switch 1"].into_iter().enumerate() {
        let name = command.split(' ').next().unwrap();
        let no = en(Text::OthersSession { name });
        let body = shared(&format!("n{n}"), "bob", &format!("/{command}"));
        assert_eq!(said(&mut desk, body), [no]);
    }
    let out = desk.got(WORKER, shared("e2", "boss", "/stop"));
    assert!(
        kinds(&out).contains(&"interrupt".to_owned()),
        "an admin may"
    );
}

#[test]
fn a_command_of_the_menu_is_answered_where_it_was_chosen() {
    let mut desk = Desk::linked();
    let command = |id: &str, text: &str| with(id, "ann", text, |m| m.act = Act::Command);
    let answer = |desk: &mut Desk, body| {
        let out = desk.got(WORKER, body);
        let first = deliveries(&out).remove(0);
        desk.post_all(out);
        (first.answers, first.private)
    };
    assert_eq!(
        answer(&mut desk, command("i1", "/status")),
        ("i1".into(), true)
    );
    assert_eq!(
        answer(&mut desk, command("i2", "/new")),
        ("i2".into(), false)
    );
    let stranger = with("i3", "eve", "/status", |m| {
        m.act = Act::Command;
        m.access = Access::Refused;
    });
    assert_eq!(answer(&mut desk, stranger), ("i3".into(), true));
    // /stop of a running turn has an answer of its own too.
    desk.says("e1", "run");
    assert_eq!(
        answer(&mut desk, command("i4", "/stop")),
        ("i4".into(), false)
    );
}

#[test]
fn the_menu_names_what_may_be_used() {
    let desk = Desk::linked();
    let names: Vec<String> = desk
        .engine
        .menu(WORKER)
        .into_iter()
        .map(|spec| spec.name)
        .collect();
    let mut all = hub::command::BUILT_IN.to_vec();
    all.retain(|name| *name != "compact");
    assert_eq!(names, all, "its agent cannot do the other");
    assert!(desk.engine.menu("nobody").is_empty());
}

#[test]
fn a_message_that_waits_can_be_changed_and_taken_back_one_that_runs_cannot() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "one");
    let running = prompts(&out).remove(0);
    for (id, text) in [("e2", "two"), ("e3", "three"), ("e4", "four")] {
        let out = desk.says(id, text);
        desk.post_all(out);
    }
    let edit = |id: &str, user: &str, of: &str, text: &str| {
        let of = of.to_owned();
        with(id, user, text, |m| m.act = Act::Edited { of })
    };
    let delete = |id: &str, user: &str, of: &str| {
        let of = of.to_owned();
        with(id, user, "", |m| m.act = Act::Deleted { of })
    };
    for body in [
        edit("x1", "ann", "e1", "too late"),
        edit("x2", "ann", "e2", "better"),
        edit("x3", "bob", "e4", "not his"),
        delete("x4", "ann", "e3"),
        delete("x5", "bob", "e4"),
        delete("x6", "ann", "e1"),
    ] {
        let out = desk.got(WORKER, body);
        assert_eq!(kinds(&out), ["accepted"]);
    }
    let out = desk.answer(&running.at, "1");
    let next = prompts(&out).remove(0);
    assert_eq!(next.text, "better");
    desk.post_all(out);
    let out = desk.answer(&next.at, "2");
    assert_eq!(prompts(&out)[0].text, "four", "three was taken back");
    let turn = desk.spool.turn(&running.at.turn).unwrap().unwrap();
    assert_eq!(
        (turn.state, turn.prompt.as_str()),
        (TurnState::Ended, "one")
    );
}

#[test]
fn what_the_bot_lacks_and_what_was_left_out_is_said() {
    let mut desk = Desk::linked();
    let lacks = |id: &str| {
        with(id, "ann", "/status", |m| {
            m.lacks = vec![Lack::Threads];
        })
    };
    let first = said(&mut desk, lacks("e1"));
    assert_eq!(first[0], en(Text::Lacks(Lack::Threads)));
    assert_eq!(said(&mut desk, lacks("e2")).len(), 1, "once a day");
    desk.now += 24 * 3_600_000;
    assert_eq!(said(&mut desk, lacks("e3")).len(), 2);
    let files = vec!["a.zip (40 MB): over 25 MB".to_owned()];
    let body = with("e4", "ann", "look", |m| m.left_out = files.clone());
    assert_eq!(said(&mut desk, body), [en(Text::LeftOut { files: &files })]);
    // In the reader's language, where the worker has words in it.
    let files = vec!["a.zip：超过 25 MB".to_owned(), "b.zip: gone".to_owned()];
    let body = with("e5", "bob", "看一下", |m| {
        m.left_out = vec!["a.zip: over 25 MB".into(), "b.zip: gone".into()];
        m.left_out_zh = vec!["a.zip：超过 25 MB".into()];
    });
    let zh = say(&Text::LeftOut { files: &files }, Lang::Zh);
    assert!(said(&mut desk, body).contains(&zh));
}

fn with_footer(limit: u32) -> Desk {
    let mut plan = plan();
    let demo = plan.projects.values_mut().next().unwrap();
    demo.footer = Footer {
        model: true,
        context: true,
        work_dir: "/srv/demo".into(),
    };
    let can = Capabilities {
        text_limit: limit,
        ..worker_can()
    };
    Desk::linked_to(plan, can)
}

/// A turn that says what it has used.
fn costly(desk: &mut Desk, answer: &str, outcome: Outcome) -> Vec<String> {
    let out = desk.says("e1", "one");
    let at = prompts(&out).remove(0).at;
    desk.post_all(out);
    desk.update(&at, 1, started(false));
    desk.update(&at, 2, block("b", answer));
    let usage = TurnEvent::Usage {
        context_tokens: 84_000,
        context_window: 200_000,
        cost_microusd: 0,
        model: "opus".into(),
    };
    desk.update(&at, 3, usage);
    let out = desk.update(&at, 4, ended(outcome));
    desk.post_all(out)
}

const UNDER: &str = "\n-# opus · context 42 % · /srv/demo";

#[test]
fn an_answer_has_a_line_of_figures_under_it() {
    let mut desk = with_footer(2000);
    let said = costly(&mut desk, "The answer.", Outcome::Done);
    assert_eq!(said, [format!("The answer.{UNDER}")]);
    // Nobody asked what a turn has used that was stopped.
    let mut desk = with_footer(2000);
    let said = costly(&mut desk, "The answer.", Outcome::Stopped);
    assert!(said.iter().all(|text| !text.contains("-#")), "{said:?}");
}

#[test]
fn the_line_of_figures_takes_nothing_from_the_answer_and_no_message_of_its_own() {
    for length in 100..500 {
        let words = "word ".repeat(length / 5);
        let answer = words.trim();
        let mut desk = with_footer(120);
        let said = costly(&mut desk, answer, Outcome::Done);
        assert!(
            said.iter().all(|text| text.chars().count() <= 120),
            "{said:?}"
        );
        let (last, before) = said.split_last().unwrap();
        let last = last.strip_suffix(UNDER).expect("under the last");
        assert!(!last.is_empty());
        let mut all: Vec<&str> = before.iter().map(String::as_str).collect();
        all.push(last);
        assert_eq!(all.join(" "), answer);
    }
}

#[test]
fn who_waits_for_room_for_an_agent_is_told() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "one");
    let prompt = prompts(&out).remove(0);
    let waiting = TurnEvent::Waiting {
        ahead: 2,
        memory: true,
    };
    let out = desk.update(&prompt.at, 1, waiting.clone());
    let told = en(Text::Waiting {
        ahead: 2,
        memory: true,
    });
    assert_eq!(desk.post_all(out), [told]);
    // Who takes it back is not told again.
    let out = desk.says("e2", "/stop");
    desk.post_all(out);
    let out = desk.update(&prompt.at, 2, waiting);
    assert_eq!(desk.post_all(out), Vec::<String>::new());
}

#[test]
fn a_turn_that_only_waited_for_room_has_not_been_tried() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "one");
    let first = prompts(&out).remove(0);
    desk.post_all(out);
    for _ in 0..5 {
        let waiting = TurnEvent::Waiting {
            ahead: 0,
            memory: false,
        };
        let out = desk.update(&first.at, 1, waiting);
        desk.post_all(out);
        let again = prompts(&desk.runner_up(true, Standing::Unknown)).remove(0);
        // It may have been begun after all, so the agent is to look.
        assert_eq!((&again.at, again.resend), (&first.at, true));
    }
    // Once its agent was started it is one of three attempts.
    for attempt in 1..3 {
        let at = TurnRef {
            attempt,
            ..first.at.clone()
        };
        desk.update(&at, 1, started(false));
        let again = prompts(&desk.runner_up(true, Standing::Unknown)).remove(0);
        assert_eq!(again.at.attempt, attempt + 1);
    }
    let at = TurnRef {
        attempt: 3,
        ..first.at
    };
    desk.update(&at, 1, started(false));
    let out = desk.runner_up(true, Standing::Unknown);
    assert_eq!(prompts(&out).len(), 0);
}

#[test]
fn the_status_says_what_the_session_has_used() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "one");
    let prompt = prompts(&out).remove(0);
    desk.update(&prompt.at, 1, started(false));
    let usage = TurnEvent::Usage {
        context_tokens: 20_000,
        context_window: 200_000,
        cost_microusd: 0,
        model: "opus".into(),
    };
    desk.update(&prompt.at, 2, usage);
    let status = said(&mut desk, inbound("e2", "ann", "/status")).remove(0);
    assert!(status.contains("20k/200k tokens (10 %), opus"), "{status}");
}

#[test]
fn compact_is_a_turn_where_the_agent_can_and_a_word_where_it_cannot() {
    let mut desk = Desk::linked();
    let told = said(&mut desk, inbound("e1", "ann", "/compact keep names"));
    assert_eq!(told, [en(Text::NoCompact)]);
    let mut can = plan();
    can.projects.get_mut("demo").unwrap().compacts = true;
    let mut desk = Desk::linked_with(can);
    let out = desk.says("e1", "/compact keep names");
    assert_eq!(prompts(&out)[0].text, "/compact keep names");
}

#[test]
fn a_worktree_is_shown_and_one_that_is_kept_is_told_once() {
    let mut desk = Desk::linked();
    let prompt = turn(&mut desk, "e1", "mend", "done");
    let tree = Worktree {
        session: prompt.session.clone(),
        path: "/w/t".into(),
        branch: "bulkhead/t".into(),
        ..Worktree::default()
    };
    let kept = Worktree {
        kept: true,
        changes: 2,
        commits: 1,
        ..tree.clone()
    };
    let tell = |desk: &mut Desk, tree: &Worktree| {
        let worktrees = vec![tree.clone()];
        let out = desk.got(RUNNER, Body::Worktrees(Worktrees { worktrees }));
        desk.post_all(out)
    };
    // What a hub hears first is no news.
    assert_eq!(tell(&mut desk, &kept), Vec::<String>::new());
    assert_eq!(tell(&mut desk, &tree), Vec::<String>::new());
    let status = said(&mut desk, inbound("e2", "ann", "/status")).remove(0);
    assert!(status.contains("Worktree: `bulkhead/t`"), "{status}");
    let told = en(Text::WorktreeKept {
        branch: "bulkhead/t",
        changes: 2,
        commits: 1,
    });
    assert_eq!(tell(&mut desk, &kept), [told]);
    assert_eq!(tell(&mut desk, &kept), Vec::<String>::new());
    assert_eq!(desk.engine.worktrees(), [("demo".to_owned(), kept)]);
}

#[test]
fn the_sandbox_is_shown_and_to_each_session_what_was_refused_it_last() {
    let mut desk = Desk::linked();
    let prompt = turn(&mut desk, "e1", "mend", "done");
    let mut status = |id: &str, told: Option<Sandbox>| {
        if let Some(told) = told {
            desk.got(RUNNER, Body::Sandbox(told));
        }
        said(&mut desk, inbound(id, "ann", "/status")).remove(0)
    };
    // Nobody has said yet.
    let said = status("e2", None);
    assert!(!said.contains("Sandbox"), "{said}");
    let refused = |session: &str, path: &str| Refused {
        session: session.into(),
        what: Refusal::Read { path: path.into() },
    };
    let on = Sandbox {
        by: "landlock, namespaces".into(),
        network: "ports".into(),
        refused: vec![
            refused("other", "/theirs"),
            refused(&prompt.session, "/mine"),
        ],
    };
    let said = status("e3", Some(on));
    for words in [
        "Sandbox: on (landlock, namespaces, network: ports)",
        "reading `/mine`",
        "`read = [\"/mine\"]`",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!said.contains("/theirs"), "{said}");
    let said = status("e4", Some(Sandbox::default()));
    assert!(
        said.contains("Sandbox: OFF") && !said.contains("/mine"),
        "{said}"
    );
}
