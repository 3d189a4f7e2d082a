//! The real runner with agents that do everything wrong: whatever comes out of them, the turn ends in
//! words, nothing of theirs is left, the runner stays small, and the session goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Instant;

use fake_claude::Point;
use ipc_schema::{Fault, Outcome};
use serde_json::json;
use support::{Desk, SOON, Turn, fake_acp, fake_claude, nap, processes};

/// What a runner may have had at its peak, in kB, a build with all checks: it holds a line of 16 MiB
/// now and then, and never two of somebody else's megabytes for each one that was printed.
const PEAK: u64 = 120_000;

/// A runner whose agent does what the script says, and is Claude Code once `good` is there.
async fn agent(script: &str) -> Desk {
    let good = fake_claude();
    let script = format!(
        "if [ -e good ]; then exec {} \"$@\"; fi; {script}",
        good.display()
    );
    Desk::start(json!({
        "cmd": "sh", "args": ["-c", script, "agent"], "allowed_tools": ["Bash"],
        "sandbox": {"read": [good.parent().unwrap()]},
    }))
    .await
}

fn words(turn: &Turn) -> &str {
    match &turn.outcome {
        Some(Outcome::Failed {
            fault: Fault::Agent { words } | Fault::Died { words },
        }) => words,
        other => panic!("{other:?}"),
    }
}

/// The session answers the next message, and what came before has left nothing behind.
async fn goes_on(desk: &Desk) {
    gone(desk).await;
    std::fs::write(desk.work().join("good"), "").unwrap();
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
    let peak = peak(desk);
    assert!(peak < PEAK, "{peak} kB");
}

fn peak(desk: &Desk) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    peak.parse().unwrap()
}

/// Everything that comes from this runner and lives.
fn offspring(desk: &Desk) -> Vec<i32> {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let dead = fields.next()? == "Z";
        let parent: i32 = fields.next()?.parse().ok()?;
        (!dead).then_some((pid, parent))
    });
    let parents: Vec<(i32, i32)> = stats.collect();
    let mut family = vec![desk.pid()];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        family.extend(children.map(|(pid, _)| *pid));
        at += 1;
    }
    family.split_off(1)
}

async fn gone(desk: &Desk) {
    let until = Instant::now() + SOON;
    loop {
        let left = offspring(desk);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{left:?} live on: {}", desk.log());
        tokio::task::yield_now().await;
    }
}

async fn up(nap: &str) {
    while processes(nap).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bad_input_junk_without_end() {
    let desk = agent("exec yes 'Segmentation fault (core dumped)'").await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(words(&turn).contains("no stream-json"), "{turn:#?}");
    let warned = desk.log().matches("it is passed over").count();
    assert!(warned < 10, "{warned} lines in the log");
    goes_on(&desk).await;
}

#[tokio::test]
async fn bad_input_json_that_means_nothing_and_lines_that_are_cut_off() {
    let lines = r#"printf '{"type":"assistant"}\n[]\n{"type":"result"\n"\n\0\n{}\n{"type":"user","isReplay":true,"uuid":7}\n{"type":"control_request"}\n'; printf '{"type":"res'; exit 5"#;
    let desk = agent(lines).await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(words(&turn).contains("code 5"), "{turn:#?}");
    goes_on(&desk).await;
}

#[tokio::test]
async fn bad_input_a_hundred_megabytes_without_a_newline() {
    let desk = agent("head -c 100000000 /dev/zero | tr '\\0' x; exit 3").await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(words(&turn).contains("code 3"), "{turn:#?}");
    goes_on(&desk).await;
    // From an agent that then goes on as if nothing had been.
    desk.prompt("s", "flood", "#flood 100000000\n#say done");
    assert_eq!(desk.answer("flood").await.texts(), ["done"]);
    assert!(peak(&desk) < PEAK, "{} kB", peak(&desk));
}

#[tokio::test]
async fn bad_input_a_hundred_megabytes_on_stderr() {
    let desk = agent("head -c 100000000 /dev/zero >&2; echo 'last words' >&2; exit 3").await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(words(&turn).contains("last words"), "{turn:#?}");
    assert!(words(&turn).len() < 4096);
    goes_on(&desk).await;
}

// Its limit in time is a rule of the session's: `silence_ends_a_turn_unless_a_person_is_asked`.
#[tokio::test]
async fn bad_input_nothing_at_all() {
    let silence = nap(7601);
    let desk = agent(&format!("exec {silence}")).await;
    desk.prompt("s", "t", "hello");
    up(&silence).await;
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
    goes_on(&desk).await;
    desk.prompt("s", "silent", "#silent");
    desk.turn("silent", |turn| !turn.events.is_empty()).await;
    desk.interrupt("silent");
    assert_eq!(desk.ended("silent").await.outcome, Some(Outcome::Stopped));
    desk.prompt("s", "last", "hello");
    desk.answer("last").await;
}

#[tokio::test]
async fn bad_input_an_agent_that_exits_at_once() {
    for (script, expect) in [
        ("exit 0", "code 0"),
        ("echo 'no license' >&2; exit 9", "no license"),
        ("kill -ABRT $$", "signal 6"),
    ] {
        let desk = agent(script).await;
        desk.prompt("s", "t", "hello");
        let turn = desk.ended("t").await;
        assert!(words(&turn).contains(expect), "{script}: {turn:#?}");
        goes_on(&desk).await;
    }
}

#[tokio::test]
async fn bad_input_an_agent_that_forks_a_daemon() {
    // One that has let go of everything, and two that hold the pipes open.
    let [free, holds, last] = [7611, 7612, 7613].map(nap);
    let script = format!(
        "(setsid {free} >/dev/null 2>&1 </dev/null 3>&- &); setsid {holds} & ({last} &); exit 4"
    );
    let desk = agent(&script).await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(words(&turn).contains("code 4"), "{turn:#?}");
    for nap in [&free, &holds, &last] {
        assert_eq!(processes(nap), Vec::<i32>::new(), "{nap}");
    }
    goes_on(&desk).await;
    // And one whose daemon outlives the turn: it goes with the agent.
    let script = format!("#tool Bash setsid {free} >/dev/null 2>&1 & disown\n#say up");
    desk.prompt("s", "daemon", &script);
    assert_eq!(desk.answer("daemon").await.texts(), ["up"]);
    up(&free).await;
    desk.close("s");
    gone(&desk).await;
}

#[tokio::test]
async fn bad_input_an_agent_that_fills_its_stdout_while_the_hub_is_down() {
    const BLOCKS: usize = 40;
    let desk = Desk::claude().await;
    let blocks = "#chars 60000\n".repeat(BLOCKS);
    let script = format!("{blocks}#flood 20000000\n#hold first-delta\n#hold before-result");
    desk.prompt("s", "t", &script);
    desk.control.held(Point::FirstDelta, SOON).await.unwrap();
    desk.hub.die();
    desk.control.release_all();
    // It got rid of everything, though nobody took it from the runner.
    desk.control.held(Point::BeforeResult, SOON).await.unwrap();
    assert!(peak(&desk) < PEAK, "{} kB", peak(&desk));
    desk.hub.come_back();
    desk.control.release_all();
    let turn = desk.answer("t").await;
    assert_eq!(turn.texts().len(), BLOCKS);
    assert!(turn.texts().iter().all(|text| text.len() == 60_000));
    assert!(peak(&desk) < PEAK, "{} kB", peak(&desk));
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
}

/// An agent over ACP, and a plain program.
#[tokio::test]
async fn bad_input_of_other_kinds_of_agent() {
    let acp = format!(
        "if [ -e good ]; then exec {}; fi; exec yes junk",
        fake_acp().display()
    );
    let plain = "if [ -e good ]; then echo \"You said: $(cat)\"; exit; fi; head -c 100000000 /dev/zero; exit 6";
    for (kind, script, why) in [
        ("acp", acp.as_str(), "no JSON-RPC"),
        ("command", plain, "code 6"),
    ] {
        let desk = Desk::start(json!({
            "kind": kind, "cmd": "sh", "args": ["-c", script, "agent"],
            "sandbox": {"read": [fake_acp().parent().unwrap()]},
        }))
        .await;
        desk.prompt("s", "t", "hello");
        let turn = desk.ended("t").await;
        assert!(words(&turn).contains(why), "{kind}: {turn:#?}");
        goes_on(&desk).await;
    }
}
