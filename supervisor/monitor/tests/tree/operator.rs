//! What the operator does: start, stop, reload, restart.

use std::rc::Rc;

use monitor::Role::{Hub, Runner, Worker};
use monitor::control::Request;
use nix::sys::signal::Signal;

use crate::stage::{Row, Stage, exists, row};

pub(crate) fn starts_and_stops_in_order() {
    let mut stage = Stage::new(&[
        row("w", Worker, "ready status=linked wait"),
        row("h", Hub, "ready wait"),
        row("r", Runner, "ready wait"),
    ]);
    stage.wait(&["bulkhead is running projects=1"]);
    let started =
        |line: &String| line.contains(" started process=") || line.contains(" ready process=");
    let order: Vec<String> = stage.printed().into_iter().filter(started).collect();
    for (line, expected) in order.iter().zip([
        "started process=\"h\"",
        "ready process=\"h\"",
        "started process=\"r\"",
        "ready process=\"r\"",
        "started process=\"w\"",
        "ready process=\"w\"",
    ]) {
        assert!(line.contains(expected), "{order:#?}");
    }

    let status = stage.until("the worker's words", |status| {
        status.processes[2].status.as_deref() == Some("linked")
    });
    assert_eq!(
        status
            .processes
            .iter()
            .map(|one| one.name.as_str())
            .collect::<Vec<_>>(),
        ["h", "r", "w"]
    );
    assert!(
        status
            .processes
            .iter()
            .all(|one| one.state == "ready" && one.generation == 1)
    );
    assert!(!status.notes.is_empty() && !status.stopping);

    assert!(
        stage
            .client()
            .order(&Request::Stop)
            .unwrap()
            .contains("workers")
    );
    stage.wait_for_the_end();
    stage.wait(&["monitor ended: Ok(Drained)"]);
    let ending = |line: &String| line.contains("is told to end") || line.contains("ended: exit 0");
    let order: Vec<String> = stage.printed().into_iter().filter(ending).collect();
    let expected = ["\"w\"", "\"w\"", "\"r\"", "\"r\"", "\"h\"", "\"h\""];
    assert_eq!(order.len(), expected.len(), "{order:#?}");
    for (n, (line, name)) in order.iter().zip(expected).enumerate() {
        let told = n % 2 == 0;
        assert!(
            line.contains(name) && line.contains("told") == told,
            "{order:#?}"
        );
    }
    assert!(!stage.has(&["bulkhead is running"]), "said once");
}

pub(crate) fn a_second_signal_ends_everything_at_once() {
    let mut deaf = row("w", Worker, "ready spawn-apart deaf");
    deaf.drain_ms = 3_600_000;
    let mut stage = Stage::new(&[row("h", Hub, "ready wait"), deaf]);
    stage.wait(&["w-child: deaf"]);
    stage.signal(Signal::SIGINT);
    stage.wait(&["is told to end", "\"w\""]);
    stage.signal(Signal::SIGTERM);
    stage.wait_for_the_end();
    stage.wait(&["monitor ended: Ok(Forced)"]);
}

pub(crate) fn a_reload_touches_only_what_changed() {
    let hub = row("h", Hub, "ready wait");
    let changes = |text: &str| row("changes", Worker, &format!("ready status={text} wait"));
    let goes = row("goes", Worker, "ready wait");
    let mut stage = Stage::new(&[hub.clone(), changes("old"), goes]);
    stage.wait(&["bulkhead is running"]);
    let before = stage.status();

    std::fs::write(stage.dir.path().join("plan.json"), "{ broken").unwrap();
    let refused = stage
        .client()
        .order(&Request::Reload)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("line 1"), "{refused}");
    stage.wait(&["not reloaded, everything stays as it is"]);
    let twice = [hub.clone(), hub.clone()];
    crate::stage::write_plan(stage.dir.path(), &twice);
    let refused = stage
        .client()
        .order(&Request::Reload)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("two processes are called"), "{refused}");
    let pids = |status: &monitor::control::Status| -> Vec<_> {
        status.processes.iter().map(|one| one.pid).collect()
    };
    assert_eq!(
        pids(&before),
        pids(&stage.status()),
        "a refused reload changes nothing"
    );

    let words = stage.reload(&[hub, changes("new"), row("comes", Runner, "ready wait")]);
    assert_eq!(
        words,
        "starts: comes; restarts: changes; drains for good: goes; 1 untouched"
    );
    let after = stage.until("the change", |status| {
        status.processes.len() == 3
            && status.processes.iter().all(|one| one.state == "ready")
            && status.processes[2].status.as_deref() == Some("new")
    });
    let names: Vec<_> = after
        .processes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["h", "comes", "changes"]);
    assert_eq!(
        after.processes[0],
        monitor::control::ProcessStatus {
            uptime_ms: after.processes[0].uptime_ms,
            ..before.processes[0].clone()
        }
    );
    assert_eq!(after.processes[2].generation, 2);

    stage.signal(Signal::SIGHUP);
    stage.wait(&["reloaded: nothing changed; 3 untouched"]);
}

pub(crate) fn a_reload_gives_living_processes_their_new_durations() {
    let hub = row("h", Hub, "ready wait");
    let mut stage = Stage::new(std::slice::from_ref(&hub));
    stage.wait(&["bulkhead is running"]);
    let patient = Row {
        drain_ms: 77_000,
        ..hub
    };
    assert_eq!(stage.reload(&[patient]), "nothing changed; 1 untouched");
    let words = stage.client().order(&Request::Restart("h".into())).unwrap();
    assert!(words.contains("77000 ms at most"), "{words}");
}

pub(crate) fn a_second_monitor_is_refused() {
    let rows = [row("h", Hub, "ready wait")];
    let mut first = Stage::new(&rows);
    first.wait(&["bulkhead is running"]);
    let mut second = Stage::in_dir(Rc::clone(&first.dir), &rows);
    let words = second.wait(&["no claim:"]);
    assert!(words.contains(&format!("(pid {})", first.pid())), "{words}");
    second.wait_for_the_end();
    assert_eq!(
        first.process("h").state,
        "ready",
        "the first is not disturbed"
    );
}

pub(crate) fn restart_needs_no_other_process() {
    let mut stage = Stage::new(&[row("h", Hub, "exit=78"), row("w", Worker, "ready wait")]);
    stage.wait(&["ready", "\"w\""]);
    let before = stage.process("w").pid.unwrap();
    assert!(stage.restart("w").contains("drains"));
    let after = stage.until("the restart", |status| {
        status.processes[1].generation == 2 && status.processes[1].state == "ready"
    });
    assert_ne!(after.processes[1].pid, Some(before));
    assert!(!exists(before));
    assert_eq!(
        after.processes[1].failures, 0,
        "an ordered restart is no failure"
    );
    assert_eq!(
        after.processes[1].last_exit.as_deref(),
        Some("exit 0: done")
    );
    let refused = stage
        .client()
        .order(&Request::Restart("x".into()))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("there are: h, w"), "{refused}");
}
