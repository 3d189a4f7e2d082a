//! The real runner with the real Claude Code, which talks to a fake model on loopback.
//!
//! Ignored unless asked for, since the command line is not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE=/path/to/claude cargo test -p agent-runner --test real -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use fake_model::FakeModel;
use fake_model::script::Point;
use ipc_schema::{Decision, Outcome, QuestionKind, TurnEvent};
use serde_json::{Value, json};
use support::{Desk, SOON, Turn, kill, nap, processes};

async fn real() -> (Desk, FakeModel) {
    real_with(json!({})).await
}

async fn real_with(more: Value) -> (Desk, FakeModel) {
    let cli = std::env::var_os("BULKHEAD_CLAUDE")
        .unwrap_or_else(|| panic!("BULKHEAD_CLAUDE=/path/to/claude names the command line"));
    let model = FakeModel::start().await.unwrap();
    let mut options = json!({
        "cmd": cli.to_str().unwrap(),
        "env": {"ANTHROPIC_BASE_URL": model.url(), "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1"},
    });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    (Desk::start(options).await, model)
}

/// The agent's process: the innermost that has the session's id in its command line.
fn agent(desk: &Desk, session: &str) -> i32 {
    let newest = desk.agents(session).into_iter().max();
    newest.unwrap_or_else(|| panic!("no agent of {session}"))
}

/// The answer of a turn; whatever the model holds of it from now on goes on.
async fn released(desk: &Desk, model: &FakeModel, turn: &str) -> Turn {
    let answer = desk.answer(turn);
    tokio::pin!(answer);
    loop {
        let next = model.ledger().next();
        model.release_all();
        tokio::select! {
            turn = &mut answer => return turn,
            _ = model.ledger().wait_past(next, SOON) => {}
        }
    }
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn turns_are_answered_and_the_session_is_resumed() {
    let (mut desk, _model) = real().await;
    desk.prompt("s", "one", "#say first\n#say second");
    assert_eq!(desk.answer("one").await.texts(), ["first", "second"]);
    desk.prompt("s", "two", "hello");
    assert_eq!(desk.answer("two").await.texts(), ["You said: hello"]);
    desk.kill_runner(2).await;
    desk.prompt("s", "three", "hello again");
    let turn = desk.answer("three").await;
    assert_eq!(turn.texts(), ["You said: hello again"]);
    assert_eq!(turn.continued, 0);
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_question_is_asked_and_answered() {
    let (desk, _model) = real().await;
    desk.prompt("s", "t", "#tool Bash touch made\n#say done");
    let turn = desk.turn("t", |turn| !turn.questions.is_empty()).await;
    let QuestionKind::Permission {
        tool,
        detail,
        always,
    } = &turn.questions[0].about
    else {
        panic!("{turn:?}")
    };
    assert_eq!(tool, "Bash");
    assert!(
        detail.starts_with("touch made") && always.is_some(),
        "{turn:?}"
    );
    assert!(!desk.work().join("made").exists());
    desk.decide(&turn.questions[0], Decision::Allow);
    let turn = desk.answer("t").await;
    assert!(
        turn.events
            .iter()
            .any(|e| matches!(e, TurnEvent::Decided { applied: true, .. }))
    );
    assert_eq!(turn.texts(), ["done"]);
    assert!(desk.work().join("made").exists());
    // pitfall: in default mode safe commands and reads inside the work dir do not ask
    desk.prompt("s", "safe", "#tool Bash ls\n#tool Read made\n#say done");
    assert!(desk.answer("safe").await.questions.is_empty());
}

// pitfall: system/task_*: subagents and background Bash
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn work_beside_the_conversation_is_shown() {
    let (desk, _model) = real_with(json!({"allowed_tools": ["Bash", "Task"]})).await;
    let command = json!({"command": "exit 3", "description": "fails", "run_in_background": true});
    // The turn is still at work when what is beside it has ended.
    let until =
        |file: &str| format!("#tool Bash until [ -e {file} ]; do sleep 0.1; done\n#say done");
    desk.prompt(
        "s",
        "bash",
        &format!("#tool Bash {command}\n{}", until("one")),
    );
    let failed = "Bash: Background command \"fails\" failed with exit code 3";
    shown(&desk, "bash", "Bash: fails: started in the background").await;
    shown(&desk, "bash", failed).await;
    std::fs::write(desk.work().join("one"), "").unwrap();
    desk.answer("bash").await;

    let work =
        json!({"description": "look", "prompt": "#say seen", "subagent_type": "general-purpose"});
    desk.prompt(
        "s",
        "agent",
        &format!("#tool Task {work}\n{}", until("two")),
    );
    shown(
        &desk,
        "agent",
        "general-purpose: look: started in the background",
    )
    .await;
    shown(&desk, "agent", "general-purpose: look: done").await;
    std::fs::write(desk.work().join("two"), "").unwrap();
    desk.answer("agent").await;
}

/// Waits until that line was shown of a turn.
async fn shown(desk: &Desk, turn: &str, line: &str) {
    let is_it = |event: &TurnEvent| match event {
        TurnEvent::Tool { name, input } => format!("{name}: {input}") == line,
        _ => false,
    };
    desk.turn(turn, |turn| turn.shown.iter().any(is_it)).await;
}

// pitfall: interrupt to result takes milliseconds, and setsid children survive it
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn an_interrupt_ends_a_turn_and_what_it_started() {
    let (desk, model) = real().await;
    desk.prompt("s", "text", "#say never\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    desk.interrupt("text");
    assert_eq!(desk.ended("text").await.outcome, Some(Outcome::Stopped));
    model.release_all();

    let [a, b] = [7201, 7202].map(nap);
    let script = format!("trap '' TERM; setsid {a} & touch up; {b}");
    desk.prompt("s", "tool", &format!("#tool Bash {script}\n#say done"));
    let turn = desk.turn("tool", |turn| !turn.questions.is_empty()).await;
    desk.decide(&turn.questions[0], Decision::Allow);
    while !desk.work().join("up").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("tool");
    assert_eq!(desk.ended("tool").await.outcome, Some(Outcome::Stopped));
    for nap in [a, b] {
        assert_eq!(processes(&nap), Vec::<i32>::new(), "{nap}");
    }
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn an_agent_and_a_runner_that_are_killed_in_mid_turn_are_continued() {
    let (mut desk, model) = real().await;
    desk.prompt("killed", "agent", "#say The end.\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    kill(agent(&desk, "killed"));
    let turn = released(&desk, &model, "agent").await;
    assert_eq!((turn.texts(), turn.continued), (vec!["The end."], 1));

    desk.prompt("killed", "runner", "#say Another end.\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    let old = agent(&desk, "killed");
    desk.kill_runner(2).await;
    let turn = released(&desk, &model, "runner").await;
    assert_eq!(
        (turn.texts(), turn.continued, turn.attempt),
        (vec!["Another end."], 1, 2)
    );
    assert_ne!(agent(&desk, "killed"), old);
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_conversation_is_compacted_and_what_it_used_is_told() {
    let (desk, _model) = real().await;
    desk.prompt("s", "one", "#chars 20000");
    desk.answer("one").await;
    desk.prompt("s", "two", "/compact");
    let turn = desk.answer("two").await;
    assert!(
        turn.texts()[0].starts_with("The conversation was compacted"),
        "{turn:#?}"
    );
    let used = turn.events.iter().find_map(|event| match event {
        TurnEvent::Usage {
            context_tokens,
            context_window,
            cost_microusd,
            model,
        } => Some((*context_tokens, *context_window, *cost_microusd, model)),
        _ => None,
    });
    let (tokens, window, cost, model) = used.unwrap();
    assert!(tokens > 0 && window > tokens && cost > 0 && !model.is_empty());
}

/// What a process begins with is told first, so that the hub can count what each has spent: the sum of
/// the CLI's forgets what a process that was killed has spent.
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn what_a_conversation_costs_is_told_from_where_each_process_begins() {
    let sums = |turn: &Turn| {
        let events = turn.events.iter().filter_map(|event| match event {
            TurnEvent::Usage { cost_microusd, .. } => Some(*cost_microusd),
            _ => None,
        });
        events.collect::<Vec<u64>>()
    };
    let (desk, _model) = real().await;
    desk.prompt("s", "one", "hello");
    let one = sums(&desk.answer("one").await);
    assert!(one.len() == 1 && one[0] > 0, "{one:?}");

    kill(agent(&desk, "s"));
    desk.prompt("s", "two", "hello");
    let two = sums(&desk.answer("two").await);
    assert!(two.len() == 2 && two[0] == 0 && two[1] > 0, "{two:?}");

    // One that leaves by itself, here for another mode, writes down what it has spent.
    desk.prompt_with("s", "three", "hello", |prompt| prompt.mode = "plan".into());
    let three = sums(&desk.answer("three").await);
    assert!(three[0] == two[1] && three[1] > three[0], "{three:?}");
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn always_outlives_the_agent() {
    let (mut desk, _model) = real().await;
    desk.prompt("s", "one", "#tool Bash touch made\n#say done");
    let turn = desk.turn("one", |turn| !turn.questions.is_empty()).await;
    desk.decide(&turn.questions[0], Decision::AllowAlways);
    desk.answer("one").await;
    desk.prompt("s", "two", "#tool Bash touch made too\n#say done");
    assert!(desk.answer("two").await.questions.is_empty(), "at once");
    desk.kill_runner(2).await;
    desk.prompt("other", "three", "#tool Bash touch made\n#say done");
    assert!(
        desk.answer("three").await.questions.is_empty(),
        "and later on"
    );
}

/// Tools of the operator's: one that answers, one that does not.
fn tools(nap: &str) -> Value {
    let input = json!({"type": "object", "properties": {"id": {"type": "integer"}}});
    json!([
        {"name": "order", "description": "d", "input": input, "secrets": {"ORDERS_KEY": "canary-9d"},
         "command": ["sh", "-c", "cat; echo with $ORDERS_KEY"]},
        {"name": "hung", "description": "d",
         "command": ["sh", "-c", format!("touch \"$HOME/up\"; trap '' TERM; setsid {nap} & {nap}")]},
    ])
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn tools_of_the_operators_are_called_and_stopped_and_files_are_sent() {
    let nap = nap(7221);
    let (mut desk, _model) = real_with(json!({"tools": tools(&nap)})).await;
    desk.prompt("s", "one", "#tool mcp__bulkhead__order {\"id\": 7}");
    let text = desk.answer("one").await.texts().join("\n");
    assert!(
        text.contains("{\"id\":7}") && text.contains("with [secret]"),
        "{text}"
    );
    desk.prompt("s", "junk", "#tool mcp__bulkhead__order {\"id\": \"x\"}");
    let text = desk.answer("junk").await.texts().join("\n");
    assert!(text.contains("does not fit"), "{text}");

    desk.prompt("s", "hung", "#tool mcp__bulkhead__hung {}");
    while !desk.dir.path().join("home/up").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("hung");
    assert_eq!(desk.ended("hung").await.outcome, Some(Outcome::Stopped));
    assert_eq!(processes(&nap), Vec::<i32>::new());

    std::fs::write(desk.work().join("a.txt"), "text").unwrap();
    let send = "#say Here:\n#tool mcp__bulkhead__send_file {\"path\": \"a.txt\"}\n#say done";
    desk.prompt("s", "file", send);
    let turn = desk.answer("file").await;
    let place = |wanted: fn(&TurnEvent) -> bool| turn.events.iter().position(wanted).unwrap();
    let text = place(|event| matches!(event, TurnEvent::Text { .. }));
    let file = place(|event| matches!(event, TurnEvent::File { .. }));
    assert!(text < file, "{turn:#?}");

    // Resumed, it has them still.
    desk.kill_runner(2).await;
    desk.prompt("s", "again", "#tool mcp__bulkhead__order {\"id\": 8}");
    let text = desk.answer("again").await.texts().join("\n");
    assert!(text.contains("{\"id\":8}"), "{text}");
}

/// An agent that has nothing but tools, told to do everything else.
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn an_agent_that_has_only_tools_does_nothing_else() {
    let (desk, model) = real_with(json!({"tools_only": true, "tools": tools("true")})).await;
    let dir = desk.dir.path();
    let canary = dir.join("canary.txt");
    std::fs::write(&canary, "canary-of-a-file-3a").unwrap();
    std::fs::write(desk.work().join("CLAUDE.md"), "canary-of-a-project-3b").unwrap();
    let home = dir.join("home/.claude");
    std::fs::create_dir_all(home.join("commands")).unwrap();
    std::fs::write(home.join("CLAUDE.md"), "canary-of-a-user-3c").unwrap();
    let ran = dir.join("ran");
    let touch = format!("touch {}", ran.display());
    std::fs::write(home.join("commands/run.md"), format!("!`{touch}`")).unwrap();
    let hook = json!({"hooks": [{"type": "command", "command": touch}]});
    let settings = json!({"hooks": {"SessionStart": [hook.clone()], "UserPromptSubmit": [hook]},
        "permissions": {"allow": ["Bash", "Read", "WebFetch"]}});
    std::fs::write(home.join("settings.json"), settings.to_string()).unwrap();

    let path = canary.display();
    let web = model.url();
    for (n, attempt) in [
        format!("#tool Bash cat {path}"),
        format!("#tool Bash {touch}"),
        format!("#tool Bash curl --silent {web}/control/ledger"),
        format!("#tool Read {path}"),
        format!("#tool Write {}", ran.display()),
        format!("#tool Edit {{\"file_path\": \"{path}\", \"old_string\": \"canary\", \"new_string\": \"x\"}}"),
        format!("#tool WebFetch {{\"url\": \"{web}\", \"prompt\": \"x\"}}"),
        format!("#tool Glob {{\"pattern\": \"{path}\"}}"),
        format!("#tool Task {{\"description\": \"d\", \"prompt\": \"#tool Bash {touch}\", \"subagent_type\": \"general-purpose\"}}"),
        "#tool Skill {\"skill\": \"run\"}".to_owned(),
        "#tool mcp__bulkhead__send_file {\"path\": \"CLAUDE.md\"}".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let turn = format!("tool{n}");
        desk.prompt("s", &turn, &attempt);
        let turn = desk.answer(&turn).await;
        assert!(turn.questions.is_empty(), "{attempt}: {turn:#?}");
        let text = turn.texts().join("\n");
        assert!(text.contains("No such tool"), "{attempt}: {text}");
    }
    for (n, message) in [
        format!("read @{path} please"),
        format!("read @\"{path}\" please"),
        format!("!cat {path}"),
        "/run".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let turn = format!("message{n}");
        desk.prompt("s", &turn, &message);
        desk.ended(&turn).await;
    }
    desk.prompt("s", "own", "#tool mcp__bulkhead__order {\"id\": 7}");
    let text = desk.answer("own").await.texts().join("\n");
    assert!(text.contains("{\"id\":7}"), "{text}");

    // Nor has the program any network itself, though nothing was said of one: all that is there is
    // its own loopback, with the way to the model on it.
    let sees = |name: &str| {
        let file = format!("/proc/{}/net/{name}", agent(&desk, "s"));
        std::fs::read_to_string(file).unwrap()
    };
    let devices = sees("dev");
    let devices: Vec<&str> = devices.lines().skip(2).map(str::trim).collect();
    assert!(
        matches!(&devices[..], [own] if own.starts_with("lo:")),
        "{devices:?}"
    );
    assert_eq!(sees("route").lines().count(), 1, "a headline and no routes");

    assert!(!ran.exists(), "something ran");
    assert_eq!(
        std::fs::read_to_string(&canary).unwrap(),
        "canary-of-a-file-3a"
    );
    // What the model was told, all of it.
    let told = format!("{:?}", model.ledger().snapshot());
    let projects = std::fs::read_dir(home.join("projects")).unwrap();
    let files = projects.flat_map(|project| std::fs::read_dir(project.unwrap().path()).unwrap());
    let said: String = files
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    assert!(said.contains("mcp__bulkhead__order"));
    for canary in [
        "canary-of-a-file",
        "canary-of-a-project",
        "canary-of-a-user",
        "canary-9d",
    ] {
        assert!(!told.contains(canary) && !said.contains(canary), "{canary}");
    }
}

// pitfall: resume only from the same cwd
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_session_in_a_worktree_is_resumed_there_even_after_it_was_closed() {
    let (mut desk, _model) =
        real_with(json!({"workspace": "worktree", "mode": "acceptEdits"})).await;
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
        git.arg("-C").arg(desk.work()).args(who).args(arguments);
        assert!(git.status().unwrap().success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    std::fs::write(desk.work().join("file"), "base\n").unwrap();
    git(&["add", "file"]);
    git(&["commit", "-qm", "base"]);
    let tree = desk.work().join(".bulkhead/worktrees/s");
    let edit = json!({"file_path": tree.join("new"), "content": "mine\n"});
    desk.prompt("s", "one", &format!("#tool Write {edit}\n#say done"));
    desk.answer("one").await;
    assert_eq!(std::fs::read_to_string(tree.join("new")).unwrap(), "mine\n");
    assert!(!desk.work().join("new").exists());
    std::fs::remove_file(tree.join("new")).unwrap();
    desk.close("s");
    desk.worktrees(<[_]>::is_empty).await;
    assert!(!tree.exists());
    // Resumed where it began, which is there again.
    desk.kill_runner(2).await;
    desk.prompt("s", "two", "hello");
    assert_eq!(desk.answer("two").await.texts(), ["You said: hello"]);
    assert!(tree.join("file").exists());
}
