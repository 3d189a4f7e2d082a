//! The monitor with real processes.
//!
//! One program in four roles: the tests, the monitor they start, the launcher it spawns and the
//! children these become. It has no test framework of its own accord because a launcher must own
//! its command line and its main thread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod child;
mod deaths;
mod inheritance;
mod lives;
mod operator;
mod stage;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const TESTS: &[(&str, fn())] = &[
    (
        "starts_and_stops_in_order",
        operator::starts_and_stops_in_order,
    ),
    (
        "a_second_signal_ends_everything_at_once",
        operator::a_second_signal_ends_everything_at_once,
    ),
    (
        "a_reload_touches_only_what_changed",
        operator::a_reload_touches_only_what_changed,
    ),
    (
        "a_reload_gives_living_processes_their_new_durations",
        operator::a_reload_gives_living_processes_their_new_durations,
    ),
    (
        "a_second_monitor_is_refused",
        operator::a_second_monitor_is_refused,
    ),
    (
        "restart_needs_no_other_process",
        operator::restart_needs_no_other_process,
    ),
    (
        "a_child_inherits_exactly_what_is_named",
        inheritance::exactly_what_is_named,
    ),
    ("links_outlive_the_hub", inheritance::links_outlive_the_hub),
    ("a_crash_loop_recovers", lives::a_crash_loop_recovers),
    (
        "five_crash_loops_leak_nothing",
        lives::five_crash_loops_leak_nothing,
    ),
    ("held_until_told", lives::held_until_told),
    (
        "a_silent_process_is_ended",
        lives::a_silent_process_is_ended,
    ),
    ("a_process_that_is_never_ready_is_ended", lives::never_ready),
    ("a_missing_program_is_tried_again", lives::a_missing_program),
    (
        "a_sleeping_monitor_accuses_nobody",
        lives::a_sleeping_monitor_accuses_nobody,
    ),
    (
        "who_ignores_sigterm_is_killed",
        deaths::who_ignores_sigterm_is_killed,
    ),
    ("orphans_are_swept", deaths::orphans_are_swept),
    (
        "background_jobs_of_the_living_are_spared",
        deaths::background_jobs_are_spared,
    ),
    (
        "the_tree_dies_with_its_monitor",
        deaths::the_tree_dies_with_its_monitor,
    ),
    (
        "a_nameless_signal_stops_no_reaping",
        deaths::a_nameless_signal_stops_no_reaping,
    ),
];

fn main() {
    let mut args = std::env::args_os().skip(1);
    let role = args.next().unwrap_or_default();
    match role.to_str() {
        Some("launch") => monitor::launch::run(args),
        Some("child") => child::run(args.map(|arg| arg.into_string().unwrap()).collect()),
        Some("monitor") => stage::monitor(args.next().unwrap().as_ref()),
        _ => tests(),
    }
}

/// Runs the tests whose name contains one of the arguments, or all; four at a time.
fn tests() {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with('-'));
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    let tests: Vec<_> = TESTS.iter().filter(|(name, _)| wanted(name)).collect();
    if flags.iter().any(|flag| flag == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, test)) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = catch_unwind(test).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!(
        "\n{} passed, {} failed {failed:?}",
        tests.len() - failed.len(),
        failed.len()
    );
    std::process::exit(i32::from(!failed.is_empty()));
}
