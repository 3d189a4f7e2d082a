//! The rules one by one: what the captures do not show, or show only in passing.
#![allow(clippy::expect_used, clippy::panic)] // tests

mod agent;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use agent::{SOON, Start};
use fake_claude::{
    CONTROL, ClaudeControl, Event, Moment, Point, TIMES, clock, moments, prose, tool_runs,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SESSION: &str = "0b03ced4-125c-406b-876e-123027722e17";

struct Bench {
    _dir: tempfile::TempDir,
    start: Start,
    control: ClaudeControl,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let control = ClaudeControl::start().await.expect("a control");
    let start = Start::fake(dir.path()).with(CONTROL, control.address());
    Bench {
        _dir: dir,
        start,
        control,
    }
}

fn uuid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02}")
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| row["type"].as_str())
        .filter(|kind| matches!(*kind, "user" | "assistant"))
        .collect()
}

/// The uuid of the prompt that a row of the session file belongs to, found as a reader has to find it.
fn prompt_of(rows: &[Value], row: &Value) -> Option<String> {
    let mut row = row;
    loop {
        let plain = row["message"]["content"].is_string() && row["isMeta"] != true;
        if row["type"] == "user" && plain {
            return row["uuid"].as_str().map(str::to_owned);
        }
        row = rows
            .iter()
            .find(|other| other["uuid"] == row["parentUuid"] && !other["uuid"].is_null())?;
    }
}

#[tokio::test]
async fn the_answer_echoes_the_prompt_and_stands_in_the_file_under_its_uuid() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent.prompt(&uuid(1), "Ann says:\nquestion 17").await;
    let said = agent.until_type("assistant").await;
    assert_eq!(
        said["message"]["content"][0]["text"],
        "You said: Ann says:\nquestion 17"
    );
    let result = agent.until_type("result").await;
    assert_eq!(result["result"], "You said: Ann says:\nquestion 17");
    assert_eq!(result["user_message_uuids"], json!([uuid(1)]));
    // With the eager flag it is in the file now.
    let rows = start.rows(SESSION);
    let row = rows
        .iter()
        .find(|row| row["uuid"] == said["uuid"])
        .expect("the block's row");
    assert_eq!(prompt_of(&rows, row), Some(uuid(1)));
    assert_eq!(agent.finish().await, (0, String::new()));
}

#[tokio::test]
async fn a_long_answer_comes_whole_in_deltas() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent
        .prompt(&uuid(1), "Ann says:\n#chars 6000\n(be short)")
        .await;
    assert_eq!(agent.until_type("result").await["result"], prose(6000));
    let deltas = agent
        .seen
        .iter()
        .filter_map(|line| line["event"]["delta"]["text"].as_str());
    assert_eq!(deltas.collect::<String>(), prose(6000));
}

#[tokio::test]
async fn lines_run_ahead_of_the_file_until_the_message_ends() {
    let Bench {
        start,
        control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent
        .prompt(&uuid(1), "#hold before-result\n#say one\n#say two")
        .await;
    control.held(Point::BeforeResult, SOON).await.expect("held");
    agent.heard().await;
    assert_eq!(
        agent
            .seen
            .iter()
            .filter(|line| line["type"] == "assistant")
            .count(),
        2
    );
    assert_eq!(kinds(&start.rows(SESSION)), ["user"]);
    agent.kill().await;
    assert_eq!(kinds(&start.rows(SESSION)), ["user"]);
}

#[tokio::test]
async fn a_turn_is_held_at_every_point_once_and_goes_on_after_a_kill() {
    for point in Point::ALL {
        let Bench {
            start,
            control,
            _dir,
        } = bench().await;
        let start = start.resuming().with("CLAUDE_CODE_MAX_RETRIES", "0");
        let prompt = format!("#hold {point}\n#say before\n#tool Bash sleep 0\n#say answer");
        let mut agent = start.new_session(SESSION);
        agent.prompt(&uuid(1), &prompt).await;
        let stand = control
            .held(point, SOON)
            .await
            .unwrap_or_else(|e| panic!("{point}: {e}"));
        assert_eq!(
            (stand.pid, stand.uuid.as_str()),
            (agent.pid(), uuid(1).as_str())
        );
        agent.kill().await;
        let gone = |event: &Event| matches!(event, Event::Gone { pid } if *pid == stand.pid);
        control
            .ledger()
            .wait_for(gone, SOON)
            .await
            .expect("its end");

        let begun = start.session_file(SESSION).exists();
        assert_eq!(begun, point != Point::Received, "{point}");
        let mut agent = if begun {
            start.resume(SESSION)
        } else {
            start.new_session(SESSION)
        };
        agent.prompt(&uuid(1), &prompt).await;
        let echo = agent.until(|line| line["isReplay"] == true).await;
        assert_eq!(echo["uuid"], uuid(1));
        let finished = matches!(point, Point::Saved | Point::AfterResult);
        if finished {
            agent.until_state("idle").await;
            assert_eq!(control.runs("#say answer"), 1, "{point}");
        } else {
            // The echo may have come late, after the result.
            if !agent.seen.iter().any(|line| line["type"] == "result") {
                agent.until_type("result").await;
            }
            let result = agent
                .seen
                .iter()
                .find(|line| line["type"] == "result")
                .expect("a result");
            assert_eq!(result["result"], "answer", "{point}");
        }
        let rows = start.rows(SESSION);
        let answers: Vec<_> = rows
            .iter()
            .filter(|row| row["message"]["content"][0]["text"] == "answer")
            .collect();
        assert_eq!(
            answers.len(),
            1,
            "{point}: the answer stands in the file once"
        );
        assert_eq!(prompt_of(&rows, answers[0]), Some(uuid(1)), "{point}");
        assert_eq!(agent.finish().await.0, 0);
        // A tool whose outcome was not in the file runs again: at least once, and at most twice.
        let runs = tool_runs(&start.cwd).expect("the log").len();
        let again = matches!(point, Point::Tool);
        assert_eq!(runs, if again { 2 } else { 1 }, "{point}: runs of the tool");
    }
}

#[tokio::test]
async fn a_stopped_turn_stays_stopped() {
    let Bench {
        start,
        control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent
        .prompt(&uuid(1), "#hold first-delta\n#chars 400")
        .await;
    control.held(Point::FirstDelta, SOON).await.expect("held");
    agent
        .control("stop", json!({ "subtype": "interrupt" }))
        .await;
    let answer = agent.until_type("control_response").await;
    assert_eq!(
        answer["response"]["response"],
        json!({ "still_queued": [] })
    );
    let result = agent.until_type("result").await;
    assert_eq!(
        (result["is_error"].as_bool(), result["result"].as_str()),
        (Some(true), None)
    );
    agent.until_state("idle").await;
    assert_eq!(control.release_all(), 0, "it no longer stands there");
    agent.kill().await;
    let mut agent = start.clone().resuming().resume(SESSION);
    agent
        .prompt(&uuid(1), "#hold first-delta\n#chars 400")
        .await;
    agent.until_state("idle").await;
    assert_eq!(
        agent.shapes(),
        [
            "user isReplay=true string",
            "command_lifecycle state=completed",
            "system subtype=session_state_changed state=idle"
        ]
    );
    assert_eq!(control.runs("#chars 400"), 1);
}

#[tokio::test]
async fn an_interrupt_ends_the_tool_that_runs_and_its_group() {
    let Bench {
        start,
        control,
        _dir,
    } = bench().await;
    let mut agent = start.start(&["--session-id", SESSION, "--allowedTools", "Bash"]);
    agent
        .prompt(
            &uuid(1),
            "#tool Bash echo $$ > pid; while :; do sleep 1; done",
        )
        .await;
    control
        .ledger()
        .wait_for(|event| matches!(event, Event::Tool { .. }), SOON)
        .await
        .expect("the tool");
    agent
        .control("stop", json!({ "subtype": "interrupt" }))
        .await;
    let result = agent.until_type("result").await;
    assert_eq!(result["terminal_reason"], "aborted_tools");
    agent.until_state("idle").await;
    assert_eq!(tool_runs(&start.cwd).expect("the log").len(), 1);
    assert_eq!(agent.finish().await.0, 1, "the last result was an error");
}

#[tokio::test]
async fn sigterm_is_143_and_the_older_one_leaves_its_tool_running() {
    for (version, lives) in [("2.1.329", false), ("2.1.197", true)] {
        let Bench {
            start,
            control: _control,
            _dir,
        } = bench().await;
        let start = start.with("FAKE_CLAUDE_AS", version);
        let mut agent = start.start(&["--session-id", SESSION, "--allowedTools", "Bash"]);
        // The tool waits for a line in one pipe and holds another open for as long as it lives.
        let [line, alive] = ["line", "alive"].map(|name| start.cwd.join(name));
        for pipe in [&line, &alive] {
            nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        }
        agent
            .prompt(
                &uuid(1),
                "#tool Bash exec 3> alive; read line < line; echo $line > out",
            )
            .await;
        // Opening waits until the tool has the other end.
        let ends = move || (File::open(alive), OpenOptions::new().write(true).open(line));
        let (alive, line) = tokio::task::spawn_blocking(ends).await.expect("no panic");
        let (mut alive, mut line) = (alive.expect("a pipe"), line.expect("a pipe"));
        agent.signal(Signal::SIGTERM);
        assert_eq!(agent.end().await.0, 143, "{version}");
        assert!(!agent.seen.iter().any(|line| line["type"] == "result"));
        let over = move || {
            let _ = line.write_all(b"I live\n"); // nobody may be there
            alive.read_to_end(&mut Vec::new())
        };
        tokio::task::spawn_blocking(over)
            .await
            .expect("no panic")
            .expect("the tool's end");
        assert_eq!(start.cwd.join("out").exists(), lives, "{version}");
    }
}

#[tokio::test]
async fn a_question_can_be_answered_once() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent.prompt(&uuid(1), "#ask Which? | a | b").await;
    let asked = agent.until_type("control_request").await;
    assert_eq!(asked["request"]["tool_name"], "AskUserQuestion");
    let mut other = asked.clone();
    other["request_id"] = json!("another");
    agent.allow(&other).await;
    let mut input = asked["request"]["input"].clone();
    input["answers"] = json!({ "Which?": "b" });
    agent
        .answer(
            &asked,
            json!({ "behavior": "allow", "updatedInput": input }),
        )
        .await;
    assert_eq!(
        agent.until_type("control_response").await["response"]["request_id"],
        asked["request_id"]
    );
    assert_eq!(
        agent.until_type("result").await["result"],
        "Tool said: The user answered: \"Which?\"=\"b\""
    );
    agent.allow(&asked).await;
    agent.heard().await;
    assert_eq!(agent.finish().await.0, 0);
}

#[tokio::test]
async fn always_holds_where_its_settings_are_read() {
    // Those of the project are not: `--setting-sources user`.
    for (place, asked_again) in [("localSettings", true), ("session", false)] {
        let Bench {
            start,
            control: _control,
            _dir,
        } = bench().await;
        let mut agent = start.new_session(SESSION);
        agent.prompt(&uuid(1), "#tool Bash touch x").await;
        let asked = agent.until_type("control_request").await;
        let input = &asked["request"]["input"];
        let mut always = asked["request"]["permission_suggestions"][0].clone();
        assert_eq!(always["destination"], "localSettings");
        always["destination"] = json!(place);
        let answer =
            json!({ "behavior": "allow", "updatedInput": input, "updatedPermissions": [always] });
        agent.answer(&asked, answer).await;
        agent.until_state("idle").await;
        assert!(start.cwd.join("x").exists(), "the tool ran for real");
        agent.prompt(&uuid(2), "#tool Bash touch x").await;
        if asked_again {
            let asked = agent.until_type("control_request").await;
            agent.allow(&asked).await;
            let settings = start.cwd.join(".claude/settings.local.json");
            let settings = std::fs::read_to_string(settings).expect("settings");
            assert_eq!(settings, r#"{"permissions":{"allow":["Bash(touch x)"]}}"#);
        }
        agent.until_state("idle").await;
        agent.prompt(&uuid(3), "#tool Bash touch y").await;
        agent.until_type("control_request").await;
    }
}

#[tokio::test]
async fn the_older_one_wants_the_input_back() {
    for (version, runs) in [("2.1.329", true), ("2.1.197", false)] {
        let Bench {
            start,
            control: _control,
            _dir,
        } = bench().await;
        let mut agent = start
            .clone()
            .with("FAKE_CLAUDE_AS", version)
            .new_session(SESSION);
        agent.prompt(&uuid(1), "#tool Bash touch x").await;
        let asked = agent.until_type("control_request").await;
        agent.answer(&asked, json!({ "behavior": "allow" })).await;
        agent.until_type("result").await;
        assert_eq!(start.cwd.join("x").exists(), runs, "{version}");
    }
}

#[tokio::test]
async fn the_oldest_tells_no_state() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.with("FAKE_CLAUDE_AS", "older").new_session(SESSION);
    agent.prompt(&uuid(1), "hello").await;
    agent.until_type("result").await;
    agent.heard().await;
    assert!(
        !agent
            .shapes()
            .iter()
            .any(|shape| shape.contains("session_state_changed"))
    );
    assert!(
        !agent
            .shapes()
            .iter()
            .any(|shape| shape.contains("command_lifecycle"))
    );
}

#[tokio::test]
async fn the_modes_are_judged() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.clone().new_session(SESSION);
    let mut asked = 0;
    let mut switch = async |agent: &mut agent::Agent, mode: &str| {
        asked += 1;
        agent
            .control(
                &format!("c{asked}"),
                json!({ "subtype": "set_permission_mode", "mode": mode }),
            )
            .await;
        agent.until_type("control_response").await["response"]["subtype"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        switch(&mut agent, "acceptEdits").await.as_deref(),
        Some("success")
    );
    assert_eq!(
        switch(&mut agent, "nonsense").await.as_deref(),
        Some("error")
    );
    assert_eq!(
        switch(&mut agent, "bypassPermissions").await.as_deref(),
        Some("error")
    );
    agent.prompt(&uuid(1), "#tool Write note.txt").await;
    agent.until_type("result").await;
    assert!(start.cwd.join("note.txt").exists());
    agent.control("u", json!({ "subtype": "nonsense" })).await;
    assert_eq!(
        agent.until_type("control_response").await["response"]["subtype"],
        "error"
    );
}

#[tokio::test]
async fn trouble_passes_or_ends_the_turn() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start
        .with("CLAUDE_CODE_MAX_RETRIES", "2")
        .new_session(SESSION);
    agent.prompt(&uuid(1), "#error 529 2\n#say made it").await;
    assert_eq!(agent.until_type("result").await["result"], "made it");
    assert_eq!(
        agent
            .shapes()
            .iter()
            .filter(|shape| shape.contains("api_retry"))
            .count(),
        2
    );
    agent.prompt(&uuid(2), "#error 529 3\n#say made it").await;
    let result = agent.until(|line| line["type"] == "result").await;
    assert_eq!(
        (result["subtype"].as_str(), result["is_error"].as_bool()),
        (Some("success"), Some(true))
    );
    agent.prompt(&uuid(3), "#error logged-out").await;
    let result = agent.until(|line| line["type"] == "result").await;
    assert_eq!(result["result"], "Not logged in · Please run /login");
    assert_eq!(agent.finish().await.0, 1);
}

#[tokio::test]
async fn bad_agents_are_played() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(&uuid(20));
    agent
        .prompt(&uuid(1), "#junk\n#flood 100000\n#say after all that")
        .await;
    let result = agent.until_type("result").await;
    assert_eq!(result["result"], "after all that");
    let junk: Vec<_> = agent
        .seen
        .iter()
        .filter(|line| line["type"] == "no-json")
        .collect();
    assert_eq!(
        (
            junk[0]["line"].as_str(),
            junk[1]["line"].as_str().map(str::len)
        ),
        (Some("this is not JSON"), Some(100_000))
    );

    let mut agent = start.new_session(&uuid(21));
    agent.prompt(&uuid(2), "#exit 3\n#chars 100").await;
    assert_eq!(agent.end().await.0, 3);
    assert!(!agent.seen.iter().any(|line| line["type"] == "result"));

    let mut agent = start.new_session(&uuid(22));
    agent.prompt(&uuid(3), "#silent").await;
    agent
        .until(|line| line["type"] == "command_lifecycle" && line["state"] == "started")
        .await;
    agent
        .control("stop", json!({ "subtype": "interrupt" }))
        .await;
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.end().await.0, 143);
    assert!(
        !agent
            .seen
            .iter()
            .any(|line| line["type"] == "control_response"),
        "it does not even answer"
    );
}

#[tokio::test]
async fn background_work_begins_a_turn_that_nobody_asked_for() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent
        .prompt(&uuid(1), "#later the build is done\n#say I build")
        .await;
    assert_eq!(agent.until_type("result").await["result"], "I build");
    agent.until_state("idle").await;
    agent.until_state("running").await;
    let result = agent.until_type("result").await;
    assert_eq!(result["result"], "the build is done");
    assert_eq!(result["user_message_uuid"], Value::Null);
    agent.until_state("idle").await;
}

#[tokio::test]
async fn a_waiting_message_can_be_taken_back() {
    let Bench {
        start,
        control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent.prompt(&uuid(1), "#hold first-delta\nfirst").await;
    control.held(Point::FirstDelta, SOON).await.expect("held");
    agent.prompt(&uuid(2), "second").await;
    let back = |uuid: String| json!({ "subtype": "cancel_async_message", "message_uuid": uuid });
    agent.control("back", back(uuid(2))).await;
    assert_eq!(
        agent.until_type("control_response").await["response"]["response"]["cancelled"],
        true
    );
    agent.control("again", back(uuid(2))).await;
    assert_eq!(
        agent.until_type("control_response").await["response"]["response"]["cancelled"],
        false
    );
    control.release_all();
    agent.until_state("idle").await;
    assert_eq!(agent.finish().await.0, 0);
    assert_eq!(control.runs("second"), 0);
}

#[tokio::test]
async fn only_the_older_one_refuses_a_session_of_another_directory() {
    for (version, found) in [("2.1.329", true), ("2.1.197", false)] {
        let Bench {
            start,
            control: _control,
            _dir,
        } = bench().await;
        let mut start = start.with("FAKE_CLAUDE_AS", version);
        let mut agent = start.new_session(SESSION);
        agent.prompt(&uuid(1), "hello").await;
        agent.until_type("result").await;
        agent.finish().await;
        start.cwd = start.home.clone();
        let (code, words) = start.resume(SESSION).finish().await;
        assert_eq!(code == 0, found, "{version}: {words}");
        assert_eq!(
            words.contains("No conversation found with session ID"),
            !found
        );
    }
}

#[tokio::test]
async fn a_key_is_wanted_where_that_is_checked() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let start = start.with("FAKE_CLAUDE_LOGIN", "checked");
    for (n, name, well) in [
        (30, "NOTHING", false),
        (31, "ANTHROPIC_API_KEY", true),
        (32, "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", true),
    ] {
        let mut agent = start.clone().with(name, "3").new_session(&uuid(n));
        agent.prompt(&uuid(1), "hello").await;
        assert_eq!(
            agent.until_type("result").await["is_error"],
            !well,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_configuration_directory_can_be_elsewhere() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let config = start.home.join("elsewhere");
    let mut agent = start
        .clone()
        .with("CLAUDE_CONFIG_DIR", &config.to_string_lossy())
        .new_session(SESSION);
    agent.prompt(&uuid(1), "hello").await;
    agent.until_type("result").await;
    assert!(fake_claude::session_file(&config, &start.cwd, SESSION).is_file());
}

#[tokio::test]
async fn an_agent_goes_on_when_its_control_or_its_reader_is_gone() {
    let Bench {
        start,
        control,
        _dir,
    } = bench().await;
    let mut agent = start.new_session(SESSION);
    agent.prompt(&uuid(1), "#hold first-delta\nhello").await;
    control.held(Point::FirstDelta, SOON).await.expect("held");
    // A turn outlives whoever listened: it is finished alone and stands in the file.
    agent.close();
    drop(control);
    assert_eq!(agent.end().await.0, 0);
    assert_eq!(kinds(&start.rows(SESSION)), ["user", "assistant"]);
}

#[tokio::test]
async fn the_control_knows_who_started_and_a_socket_will_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("control");
    let control = ClaudeControl::start_at(&path).await.expect("a control");
    let start = Start::fake(dir.path())
        .with(CONTROL, control.address())
        .with("CANARY", "a secret");
    let mut agent = start.new_session(SESSION);
    agent.prompt(&uuid(1), "hello").await;
    agent.until_type("result").await;
    let started = |event: &Event| matches!(event, Event::Started(_));
    let Event::Started(hello) = control
        .ledger()
        .wait_for(started, SOON)
        .await
        .expect("a start")
        .what
    else {
        panic!("no start");
    };
    assert_eq!(
        (hello.pid, hello.session.as_str(), hello.resumed),
        (agent.pid(), SESSION, false)
    );
    assert!(hello.env.contains(&"CANARY".to_owned()));
    assert!(
        !format!("{:?}", control.ledger().snapshot()).contains("a secret"),
        "names only"
    );
}

#[tokio::test]
async fn what_cannot_be_begun_says_why() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let ends = async |args: &[&str]| start.start(args).end().await;
    assert_eq!(
        ends(&["--florp"]).await,
        (1, "error: unknown option '--florp'\n".to_owned())
    );
    assert!(
        ends(&["--resume", &uuid(40)])
            .await
            .1
            .contains("No conversation found")
    );
    assert!(
        ends(&["--session-id", "abc"])
            .await
            .1
            .contains("Must be a valid UUID")
    );
    let (code, words) = start
        .clone()
        .with("FAKE_CLAUDE_AS", "3")
        .start(&[])
        .end()
        .await;
    assert_eq!(
        (code, words.contains("there are 2.1.329, 2.1.197 and older")),
        (1, true)
    );
}

#[tokio::test]
async fn prompts_and_results_are_timed_by_the_clock_of_the_machine() {
    let Bench {
        start,
        control: _control,
        _dir,
    } = bench().await;
    let file = start.cwd.join("times");
    let start = start.with(TIMES, file.to_str().expect("a path"));
    let begun = clock().expect("a clock");
    let mut agent = start.new_session(SESSION);
    for n in 1..=2 {
        agent.prompt(&uuid(n), "hello").await;
        agent.until_type("result").await;
    }
    agent.heard().await; // no prompt
    agent.finish().await;
    let ended = clock().expect("a clock");
    let moments = moments(&file).expect("moments");
    let [
        Moment::Read(a),
        Moment::Answered(b),
        Moment::Read(c),
        Moment::Answered(d),
    ] = moments[..]
    else {
        panic!("{moments:?}")
    };
    let order = [begun, a, b, c, d, ended];
    assert!(order.is_sorted(), "{order:?}");
}
