//! How processes end, and what they leave behind.

use std::rc::Rc;

use monitor::Role::{Hub, Runner, Worker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{Stage, exists, pid_in, row};

pub(crate) fn who_ignores_sigterm_is_killed() {
    let mut worker = row("w", Worker, "ready deaf");
    worker.drain_ms = 100;
    let mut stage = Stage::new(&[worker]);
    let pid = pid_in(&stage.wait(&["w: deaf"]));
    stage.restart("w");
    stage.wait(&["did not end in time; is sent SIGKILL"]);
    stage.wait(&["ended: killed by SIGKILL (it did not end in time)"]);
    stage.wait(&["ready", "generation=2"]);
    assert!(!exists(pid));
    stage.signal(Signal::SIGTERM);
    stage.wait_for_the_end();
    stage.wait(&["monitor ended: Ok(Drained)"]);
}

pub(crate) fn orphans_are_swept() {
    let mut stage = Stage::new(&[
        row("h", Hub, "ready wait"),
        row("r", Runner, "ready spawn spawn-apart wait"),
    ]);
    let orphans = [
        stage.wait(&["r-child: deaf"]),
        stage.wait(&["r-child: deaf"]),
    ];
    let orphans = orphans.map(|line| pid_in(&line));
    kill(
        Pid::from_raw(stage.process("r").pid.unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    for pid in orphans {
        let pid = format!("pid={pid} ");
        stage.wait(&["lost its parent is sent SIGTERM", &pid]);
        stage.wait(&["lost its parent is sent SIGKILL", &pid]);
    }
    stage.until("their end", |_| !orphans.into_iter().any(exists));
    assert_eq!(stage.zombies(), 0);
    stage.wait(&["ready", "\"r\"", "generation=2"]);
}

pub(crate) fn background_jobs_are_spared() {
    let mut stage = Stage::new(&[
        row("r", Runner, "ready spawn-job wait"),
        row("crashes", Worker, "ready spawn-apart exit-before=2,1 wait"),
    ]);
    let job = pid_in(&stage.wait(&["r-child-child: deaf"]));
    // A sweep that finds somebody else's stray has looked at this one too.
    let stray = pid_in(&stage.wait(&["crashes-child: deaf"]));
    stage.wait(&["lost its parent is sent SIGKILL", &format!("pid={stray} ")]);
    assert!(exists(job), "its session lives");
    assert!(!stage.has(&["lost its parent", &format!("pid={job} ")]));
    stage.restart("r");
    stage.wait(&["lost its parent is sent SIGKILL", &format!("pid={job} ")]);
    stage.until("its end", |_| !exists(job));
}

pub(crate) fn the_tree_dies_with_its_monitor() {
    let rows = [
        row("by-pipe", Hub, "ready until-alone"),
        row("by-signal", Runner, "ready until-term"),
        row("by-both", Worker, "ready wait"),
    ];
    let mut stage = Stage::new(&rows);
    stage.wait(&["bulkhead is running"]);
    stage.signal(Signal::SIGKILL);
    stage.wait_for_the_end();
    let mut next = Stage::in_dir(Rc::clone(&stage.dir), &rows);
    next.wait(&["bulkhead is running"]);
}

pub(crate) fn a_nameless_signal_stops_no_reaping() {
    let mut stage = Stage::new(&[
        row("a", Hub, "ready exit-before=2,1 signal=40 wait"),
        row("b", Worker, "ready exit-before=3,1 wait"),
    ]);
    stage.wait(&["died: killed by a real-time signal", "\"a\""]);
    stage.wait(&["ready", "\"b\"", "generation=3"]);
    stage.until("no zombies", |_| stage.zombies() == 0);
}
