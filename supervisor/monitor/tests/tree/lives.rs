//! Crash loops, held processes, watchdogs and deadlines.

use monitor::Role::{Hub, Runner, Worker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{Stage, row};

pub(crate) fn a_crash_loop_recovers() {
    let mut stage = Stage::new(&[
        row("h", Hub, "ready wait"),
        row("w", Worker, "ready exit-before=6,1 wait"),
    ]);
    for failures in 1..=5 {
        let line = stage.wait(&["starts again in", "\"w\"", &format!("failures={failures}")]);
        assert!(line.contains("last=\"exit 1\""), "{line}");
    }
    stage.wait(&["degraded: died 3 times", "\"w\""]);
    let status = stage.until("recovery", |status| {
        status.processes[1].generation == 6 && status.processes[1].state == "ready"
    });
    let worker = &status.processes[1];
    assert_eq!(
        (worker.restarts, worker.failures, worker.degraded),
        (5, 5, true)
    );
    assert_eq!(worker.last_exit.as_deref(), Some("exit 1"));
    assert_eq!(stage.process("h").generation, 1);
}

pub(crate) fn five_crash_loops_leak_nothing() {
    let names = ["a", "b", "c", "d", "e"];
    let mut rows = vec![row("h", Hub, "ready wait")];
    rows.extend(names.map(|name| row(name, Worker, "ready exit=1")));
    rows[1].links = vec!["a".to_owned(), "b".to_owned()];
    let mut stage = Stage::new(&rows);
    for name in names {
        stage.wait(&["started", &format!("{name:?}"), "generation=10"]);
    }
    let status = stage.status();
    assert!(status.processes[1..].iter().all(|one| one.degraded));
    assert!(
        status.processes[1..]
            .iter()
            .all(|one| one.next_start_in_ms.is_none_or(|ms| ms <= 100))
    );
    assert_eq!(status.processes[0].generation, 1);
    let open = std::fs::read_dir(format!("/proc/{}/fd", stage.pid()))
        .unwrap()
        .count();
    assert!(open < 45, "{open} descriptors are open after 50 births");
    stage.signal(Signal::SIGTERM);
    stage.wait_for_the_end();
    stage.wait(&["monitor ended: Ok(Drained)"]);
}

pub(crate) fn held_until_told() {
    let hub = row("h", Hub, "exit=76");
    let loops = row("loops", Runner, "exit=1");
    let mut stage = Stage::new(&[
        hub.clone(),
        loops.clone(),
        row("w", Worker, "status=unknown-token exit=77"),
    ]);
    let words = stage.wait(&["held:", "\"w\""]);
    assert!(words.contains("bulkhead restart w"), "{words}");
    // Others are born again and again meanwhile.
    stage.wait(&["started", "\"loops\"", "generation=10"]);
    let status = stage.status();
    let worker = &status.processes[2];
    assert_eq!(
        (worker.state.as_str(), worker.generation, worker.pid),
        ("held", 1, None)
    );
    assert_eq!(
        worker.last_exit.as_deref(),
        Some("exit 77: credentials refused")
    );
    assert_eq!(
        worker.status.as_deref(),
        Some("unknown-token"),
        "its last words stay"
    );
    assert!(worker.held.as_deref().unwrap().contains("bulkhead reload"));
    assert!(
        status.processes[0]
            .held
            .as_deref()
            .unwrap()
            .contains("release")
    );

    assert_eq!(stage.restart("w"), "w starts");
    stage.wait(&["held:", "\"w\""]);
    assert_eq!(stage.process("w").generation, 2);

    stage.reload(&[hub, loops, row("w", Worker, "ready wait")]);
    stage.wait(&["ready", "\"w\"", "generation=3"]);
    assert_eq!(stage.process("w").held, None);
}

pub(crate) fn a_silent_process_is_ended() {
    let mut worker = row("w", Worker, "ready beat=20,3 wait");
    worker.watchdog_ms = Some(100);
    let mut stage = Stage::new(&[row("h", Hub, "ready wait"), worker]);
    stage.wait(&["w: beat 3"]);
    stage.wait(&["missed its watchdog beats", "generation=1"]);
    stage.wait(&["ended: killed by SIGABRT (it missed its watchdog beats)"]);
    stage.wait(&["starts again in", "\"w\""]);
    stage.wait(&["ready", "\"w\"", "generation=2"]);
    assert!(
        !stage.has(&["missed", "\"h\""]),
        "who has no watchdog may be silent"
    );
}

pub(crate) fn never_ready() {
    let mut worker = row("w", Worker, "wait");
    worker.ready_ms = 100;
    let mut stage = Stage::new(&[row("h", Hub, "ready wait"), worker]);
    stage.wait(&["was not ready within 100 ms", "generation=1"]);
    stage.wait(&["ended: exit 0: done (it was not ready in time)"]);
    stage.wait(&["started", "\"w\"", "generation=2"]);
}

pub(crate) fn a_missing_program() {
    let mut worker = row("w", Worker, "ready wait");
    worker.program = Some("/nonexistent/worker".into());
    let mut stage = Stage::new(&[row("h", Hub, "ready wait"), worker]);
    stage.wait(&["died: exit 72: its program could not be executed"]);
    stage.wait(&["starts again in", "failures=2"]);
}

pub(crate) fn a_sleeping_monitor_accuses_nobody() {
    let mut sleeper = row("sleeper", Worker, "ready beat=50 wait");
    sleeper.watchdog_ms = Some(500);
    let clock = row("clock", Worker, "ready beat=50 wait");
    let mut stage = Stage::new(&[sleeper, clock]);
    stage.wait(&["bulkhead is running"]);
    let pid = Pid::from_raw(stage.process("sleeper").pid.unwrap());
    stage.signal(Signal::SIGSTOP);
    kill(pid, Signal::SIGSTOP).unwrap();
    // The clock's beats tell the time: 50 of them are 2.5 seconds, more than three missed beats.
    while stage.has(&["clock: beat"]) {
        stage.wait(&["clock: beat"]);
    }
    for _ in 0..50 {
        stage.wait(&["clock: beat"]);
    }
    stage.signal(Signal::SIGCONT);
    stage.wait(&["the monitor did not run for"]);
    kill(pid, Signal::SIGCONT).unwrap();
    while stage.has(&["sleeper: beat"]) {
        stage.wait(&["sleeper: beat"]);
    }
    stage.wait(&["sleeper: beat"]);
    assert_eq!(stage.process("sleeper").generation, 1);
    assert!(!stage.has(&["missed"]));
}
