//! The real runner with many sessions: room for few agents, a worktree each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;

use fake_claude::Event;
use ipc_schema::{Fault, Outcome, Trouble, TurnEvent};
use serde_json::json;
use support::{Desk, fake_acp, fake_claude};

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    let who = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
    git.arg("-C").arg(dir).args(who).args(arguments);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The most agents that lived at a time.
fn peak(desk: &Desk) -> usize {
    let mut live = 0_usize;
    let counts = desk.control.ledger().filter_map(|event| {
        match event {
            Event::Started(_) => live += 1,
            Event::Gone { .. } => live -= 1,
            _ => {}
        }
        Some(live)
    });
    counts.into_iter().max().unwrap_or(0)
}

#[tokio::test]
async fn more_sessions_than_agents_may_run_are_all_answered_in_turn() {
    let mut desk = Desk::start(json!({"cmd": fake_claude(), "max_agents": 2})).await;
    let say = |desk: &Desk, round: u32| {
        for n in 0..5 {
            let text = format!("#say {n} in round {round}");
            desk.prompt(&format!("s{n}"), &format!("t{n}.{round}"), &text);
        }
    };
    say(&desk, 1);
    let mut waited = 0;
    for n in 0..5 {
        let turn = desk.answer(&format!("t{n}.1")).await;
        assert_eq!(turn.texts(), [format!("{n} in round 1")]);
        let waits = |event: &&TurnEvent| matches!(event, TurnEvent::Waiting { .. });
        waited += turn.events.iter().filter(waits).count();
    }
    assert!(
        (1..=3).contains(&waited),
        "{waited} were told that they wait"
    );
    // Whoever waited when the runner died is asked again, and each is answered once.
    say(&desk, 2);
    desk.kill_runner(2).await;
    for n in 0..5 {
        let turn = desk.answer(&format!("t{n}.2")).await;
        assert_eq!(turn.texts(), [format!("{n} in round 2")]);
    }
    assert!(peak(&desk) <= 2, "{} lived at once", peak(&desk));
}

#[tokio::test]
async fn an_agent_over_acp_works_in_its_sessions_worktree_and_goes_on_there() {
    let mut desk =
        apart(json!({"kind": "acp", "cmd": fake_acp(), "home_dirs": [".fake-acp"]})).await;
    let dirs: Vec<_> = ["a", "b"]
        .map(|session| desk.work().join(".bulkhead/worktrees").join(session))
        .into();
    for (session, dir) in ["a", "b"].into_iter().zip(&dirs) {
        desk.prompt(session, session, "#cwd");
        let turn = desk.answer(session).await;
        assert_eq!(Path::new(turn.texts()[0]), dir);
        assert!(dir.join("file").exists());
    }
    // Another process of the session is at the same place, and finds its conversation.
    desk.kill_runner(2).await;
    desk.compared(2).await;
    desk.prompt("a", "again", "#cwd\n#recall");
    let turn = desk.answer("again").await;
    assert_eq!(Path::new(turn.texts()[0]), dirs[0]);
    assert_eq!(turn.texts()[1], "2 free small");
    std::fs::write(dirs[1].join("note"), "from b").unwrap();
    let send = "#call send_file {\"path\": \"note\"}";
    desk.prompt("b", "file", send);
    assert_eq!(desk.answer("file").await.texts(), ["sent to the chat"]);
}

/// A runner whose sessions have a worktree each, in a repository with one file.
async fn apart(more: serde_json::Value) -> Desk {
    let mut options = json!({"workspace": "worktree"});
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let desk = Desk::start(options).await;
    let work = desk.work();
    git(&work, &["init", "-q"]);
    std::fs::write(work.join("file"), "base\n").unwrap();
    git(&work, &["add", "file"]);
    git(&work, &["commit", "-qm", "base"]);
    desk
}

#[tokio::test]
async fn two_sessions_of_a_repository_do_not_overwrite_each_others_files() {
    let mut desk = apart(json!({
        "cmd": fake_claude(), "allowed_tools": ["Bash"],
        // It would count as work.
        "env": {"FAKE_CLAUDE_TOOL_LOG": "/dev/null"},
    }))
    .await;
    let tree = |desk: &Desk, session: &str| desk.work().join(".bulkhead/worktrees").join(session);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    for session in ["a", "b", "c"] {
        desk.prompt(session, session, "#tool Bash cat file > was\n#say done");
    }
    for session in ["a", "b", "c"] {
        desk.answer(session).await;
        assert_eq!(read(&tree(&desk, session).join("was")), "base\n");
        let text = format!("#tool Bash echo {session} > file; rm was\n#say done");
        desk.prompt(session, &format!("{session}2"), &text);
        desk.answer(&format!("{session}2")).await;
    }
    assert_eq!(read(&desk.work().join("file")), "base\n");
    for session in ["a", "b", "c"] {
        assert_eq!(
            read(&tree(&desk, session).join("file")),
            format!("{session}\n")
        );
    }
    // The same place after a new start: it resumes, which it can nowhere else.
    desk.kill_runner(2).await;
    desk.prompt(
        "a",
        "a3",
        "#tool Bash git add -A; git -c user.name=A -c user.email=a@b commit -qm a\n#say done",
    );
    desk.answer("a3").await;
    desk.worktrees(|trees| trees.len() == 3).await;

    // Closed: what is clean goes, what is not stays and says why.
    desk.prompt("c", "c3", "#tool Bash git checkout -q file\n#say done");
    desk.answer("c3").await;
    for session in ["a", "b", "c"] {
        desk.close(session);
    }
    let kept = |tree: &ipc_schema::Worktree| tree.kept;
    let trees = desk
        .worktrees(|trees| trees.len() == 2 && trees.iter().all(kept))
        .await;
    let told: Vec<_> = trees
        .iter()
        .map(|tree| (tree.session.as_str(), tree.changes, tree.commits))
        .collect();
    assert_eq!(told, [("a", 0, 1), ("b", 1, 0)]);
    assert!(!tree(&desk, "c").exists());
    assert_eq!(
        git(
            &desk.work(),
            &[
                "branch",
                "--list",
                "bulkhead/*",
                "--format=%(refname:short)"
            ]
        ),
        "bulkhead/a\nbulkhead/b"
    );
    // Who comes back to a session that is closed finds its past.
    desk.prompt("c", "c4", "hello again");
    desk.answer("c4").await;
    assert!(tree(&desk, "c").join("file").exists());
}

#[tokio::test]
async fn plain_commands_have_worktrees_too_and_without_a_repository_it_is_said() {
    let script = "pwd; test -f file";
    let command = json!({"kind": "command", "cmd": "/bin/sh", "args": ["-c", script]});
    let desk = apart(command.clone()).await;
    desk.prompt("s", "t", "hi");
    let turn = desk.answer("t").await;
    assert!(
        turn.texts()[0].ends_with("/work/.bulkhead/worktrees/s"),
        "{turn:?}"
    );

    let mut none = command;
    none["workspace"] = json!("worktree");
    let desk = Desk::start(none).await;
    desk.prompt("s", "t", "hi");
    let turn = desk.ended("t").await;
    let Some(Outcome::Failed {
        fault: Fault::Runner {
            at: Trouble::Directory,
            detail,
        },
    }) = turn.outcome
    else {
        panic!("{turn:?}")
    };
    assert!(detail.contains("needs a git repository"), "{detail}");
}

/// What an agent plants in the repository is for the runner's own git to meet.
#[tokio::test]
async fn what_is_planted_in_a_repository_leads_the_runners_git_nowhere() {
    let desk = apart(json!({"cmd": fake_claude()})).await;
    // The sessions' branches are made there: a link makes git write wherever that leads.
    let away = desk.work().with_file_name("away");
    std::fs::create_dir(&away).unwrap();
    let planted = desk.work().join(".git/refs/heads/bulkhead");
    std::os::unix::fs::symlink(&away, &planted).unwrap();
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    let failed = matches!(turn.outcome, Some(Outcome::Failed { .. }));
    assert!(failed, "{turn:?}");
    assert_eq!(std::fs::read_dir(&away).unwrap().count(), 0);
    std::fs::remove_file(planted).unwrap();
    desk.prompt("s", "t2", "hello");
    assert_eq!(desk.answer("t2").await.texts(), ["You said: hello"]);
}
