//! The protocol against what the real command line said.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipc_schema::{Choice, Decision, Fault, QuestionKind, Remark, TurnEvent};
use proptest::prelude::*;
use serde_json::Value;

use super::super::fixtures::{self, Entry};
use super::super::lines;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn no_tools() -> Arc<Catalogue> {
    Arc::new(Catalogue::new(&crate::options::Options::default()).unwrap())
}

/// What came of replaying a transcript.
#[derive(Debug, Default)]
struct Replay {
    overs: Vec<Over>,
    contents: Vec<String>,
    unprompted: Vec<String>,
    questions: Vec<QuestionKind>,
    withdrawn: usize,
    begun: usize,
    sessions: usize,
    progress: Vec<TurnEvent>,
    prompts: usize,
    used: Vec<TurnEvent>,
    granted: Vec<String>,
    calls: Vec<Call>,
    /// Ids that were waited for.
    awaited: Vec<String>,
}

impl Replay {
    fn take(&mut self, acts: Vec<Act>) -> Vec<String> {
        let mut written = Vec::new();
        for act in acts {
            match act {
                Act::Write(line) => {
                    harmless(&line);
                    written.push(line);
                }
                Act::Begun => self.begun += 1,
                Act::Session(_) => self.sessions += 1,
                Act::Await(id) => self.awaited.push(id),
                Act::Content(block) => self.contents.push(block.text),
                Act::TooMuch => panic!("{self:?}"),
                Act::Progress(event) => self.progress.push(event),
                Act::Asked(question) => self.questions.push(question.about),
                Act::Withdrawn { expired, .. } => {
                    assert!(!expired);
                    self.withdrawn += 1;
                }
                Act::Decided { applied, .. } => assert!(applied),
                Act::Call(call) => self.calls.push(call),
                Act::Uncall(_) => {}
                Act::Grant(rules) => self.granted.extend(rules),
                Act::Used(used) => self.used.push(used),
                Act::Over(over) => self.overs.push(over),
                Act::Unprompted(block) => self.unprompted.push(block.text),
            }
        }
        written
    }
}

/// The CLI ends at a line that is no JSON, is blank, or has another role than `user`.
fn harmless(line: &str) {
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    let line: Value = serde_json::from_str(line).unwrap();
    match line["type"].as_str() {
        Some("user") => {
            assert_eq!(line["message"]["role"], "user");
            assert!(
                line["message"]["content"].is_string() || line["message"]["content"].is_array()
            );
        }
        Some("control_request" | "control_response") => {}
        _ => panic!("{line}"),
    }
}

/// Plays a transcript: prompts and answers are given when they were given then, and must come out
/// as the same lines.
fn replay(entries: &[Entry]) -> Replay {
    let now = Instant::now();
    let mut replay = Replay::default();
    let mut protocol = Protocol::new("n".into(), String::new(), PATIENCE, no_tools());
    let mut revive = false;
    for entry in entries {
        match entry {
            Entry::Start { revive: flag } => {
                revive = *flag;
                protocol = Protocol::new("n".into(), String::new(), PATIENCE, no_tools());
            }
            Entry::Stdin(line) if line["type"] == "user" => {
                let (Some(id), Some(text)) =
                    (line["uuid"].as_str(), line["message"]["content"].as_str())
                else {
                    continue;
                };
                // More than one in flight is what the runner never does.
                if protocol.flight.is_some() {
                    continue;
                }
                replay.prompts += 1;
                let written = replay.take(protocol.prompt(id, text, &[], revive));
                assert_eq!(serde_json::from_str::<Value>(&written[0]).unwrap(), *line);
            }
            Entry::Stdin(line) if line["type"] == "control_response" => {
                answer(&mut protocol, &mut replay, line, now);
            }
            Entry::Stdin(line) if line["request"]["subtype"] == "interrupt" => {
                let written = replay.take(protocol.interrupt());
                let written: Value = serde_json::from_str(&written[0]).unwrap();
                assert_eq!(written["request"], line["request"]);
            }
            Entry::Stdout(line) => {
                let line = lines::read(line).unwrap();
                replay.take(protocol.line(line, now));
            }
            Entry::Stdin(_) | Entry::Exit | Entry::File(_) => {}
        }
    }
    replay
}

/// Decides as was decided then, and compares the line that comes of it.
fn answer(protocol: &mut Protocol, replay: &mut Replay, line: &Value, now: Instant) {
    let response = &line["response"]["response"];
    let Some((id, request)) = protocol.asks.first() else {
        return;
    };
    assert_eq!(line["response"]["request_id"], request);
    let decision = match (
        response["behavior"].as_str(),
        &response["updatedPermissions"],
    ) {
        // Not a thing that a person can say here: an interrupt does that.
        (Some("deny"), _) if response["interrupt"] == true => return,
        (Some("deny"), _) => Decision::Deny {
            why: response["message"].as_str().unwrap().into(),
        },
        (_, Value::Array(_)) => Decision::AllowAlways,
        _ => match &response["updatedInput"]["answers"] {
            Value::Object(answers) => Decision::Answers {
                answers: answers
                    .iter()
                    .map(|(question, answer)| (question.clone(), answer.as_str().unwrap().into()))
                    .collect(),
            },
            _ => Decision::Allow,
        },
    };
    let written = replay.take(protocol.decide(&id, decision, now));
    let written: Value = serde_json::from_str(&written[0]).unwrap();
    assert_eq!(written, *line);
}

fn played(name: &str) -> Vec<Replay> {
    fixtures::named(name)
        .iter()
        .map(|entries| replay(entries))
        .collect()
}

#[test]
fn no_line_of_the_real_cli_is_junk_and_no_prompt_gets_two_ends() {
    for (name, entries) in fixtures::all() {
        let replay = replay(&entries);
        assert!(replay.overs.len() <= replay.prompts, "{name}: {replay:?}");
    }
}

// pitfall: a line that is not JSON, a blank one, or another role is fatal to the CLI
#[test]
fn nothing_that_a_person_writes_makes_a_line_that_the_cli_dies_of() {
    let nasty = [
        "",
        " ",
        "\n\n",
        "a\r\nb",
        "\u{0}\u{2028}\u{1b}[0m",
        "\"}\n{",
        "\u{feff}é👩‍💻",
    ];
    let image = Image {
        media_type: "image/png".into(),
        data: "AA==".into(),
    };
    for text in nasty {
        for images in [&[][..], std::slice::from_ref(&image)] {
            let (mut protocol, now) = fresh();
            for act in protocol.prompt("p", text, images, false) {
                let Act::Write(line) = act else {
                    panic!("{act:?}")
                };
                harmless(&line);
                assert!(line.contains(&serde_json::to_string(text).unwrap()));
            }
            let ask = r#"{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool",
                "tool_name":"Bash","input":{"command":"ls"}}}"#;
            let asked = protocol.line(read(ask), now);
            let Some(Act::Asked(question)) = asked.last() else {
                panic!("{asked:?}")
            };
            let why = text.to_owned();
            let acts = protocol.decide(&question.question, Decision::Deny { why }, now);
            assert!(matches!(&acts[0], Act::Write(line) if { harmless(line); true }));
        }
    }
}

// pitfall: an assistant line a content block, an init a turn; /clear changes the session's id
#[test]
fn simple_turns_are_answered() {
    for name in [
        "simple-turn",
        "no-state-events",
        "two-blocks",
        "clear-command",
        "subagent",
    ] {
        for replay in played(name) {
            assert!(replay.prompts > 0);
            assert_eq!(
                replay.overs,
                vec![Over::Answered; replay.prompts],
                "{name}: {replay:?}"
            );
            assert_eq!(replay.begun, replay.prompts, "{name}");
        }
    }
    let two = &played("two-blocks")[0];
    assert_eq!(two.contents, ["First block.", "Second block."]);
    // Every process names its session once; /clear gives it a new name.
    assert_eq!(played("clear-command")[0].sessions, 2);
}

#[test]
fn what_a_session_has_used_is_told_before_the_end_of_each_turn() {
    let replay = &played("compact-command")[0];
    assert_eq!(replay.overs.len(), 3);
    let tokens = |used: &TurnEvent| match used {
        TurnEvent::Usage {
            context_tokens,
            context_window,
            cost_microusd,
            model,
        } => {
            assert!(*context_window > 0 && *cost_microusd > 0 && !model.is_empty());
            *context_tokens
        }
        other => panic!("{other:?}"),
    };
    let tokens: Vec<u64> = replay.used.iter().map(tokens).collect();
    assert_eq!(tokens.len(), 3);
    assert!(tokens[1] < tokens[0], "{tokens:?}");
    assert!(
        replay.contents[1].starts_with("The conversation was compacted: "),
        "{replay:?}"
    );
    // An older CLI tells the same.
    for replay in played("simple-turn") {
        assert_eq!(replay.used.len(), replay.overs.len(), "{replay:?}");
    }
}

// pitfall: API failures are subtype success with is_error; api_retry is told in words
#[test]
fn errors_of_the_api_are_failures_whatever_their_subtype() {
    for name in ["error-400", "error-429", "error-500", "error-529"] {
        for replay in played(name) {
            let [Over::Failed(Fault::Agent { words })] = &replay.overs[..] else {
                panic!("{name}: {replay:?}")
            };
            assert!(words.contains("API Error"), "{words}");
            assert_eq!(replay.contents, Vec::<String>::new(), "{name}");
        }
    }
    for name in ["error-401", "logged-out"] {
        for replay in played(name) {
            assert!(
                matches!(&replay.overs[..], [Over::Failed(Fault::LoggedOut { .. })]),
                "{replay:?}"
            );
        }
    }
    let note = |event: &TurnEvent| {
        matches!(
            event,
            TurnEvent::Remark {
                about: Remark::Retry { status: 529, .. }
            }
        )
    };
    assert!(played("error-529")[0].progress.iter().any(note));
}

// pitfall: control_cancel_request withdraws the question; a result of an interrupt is error_during_execution
#[test]
fn an_interrupt_ends_the_turn_and_withdraws_its_question() {
    for name in [
        "interrupt-text",
        "interrupt-tool",
        "interrupt-question",
        "sigint-mid-turn",
    ] {
        for replay in played(name) {
            match name {
                // An older CLI leaves without a result; its end is told by the process.
                "sigint-mid-turn" => assert!(replay.overs.len() <= 1),
                _ => assert_eq!(replay.overs[0], Over::Stopped, "{name}: {replay:?}"),
            }
            if name == "interrupt-question" {
                assert_eq!((replay.questions.len(), replay.withdrawn), (1, 1));
            }
        }
    }
    assert_eq!(played("interrupt-idle")[0].overs, [Over::Answered]);
}

// pitfall: updatedInput is required on allow; AskUserQuestion and ExitPlanMode arrive as can_use_tool
#[test]
fn questions_are_answered_in_the_clis_own_words() {
    for name in [
        "tool-allowed",
        "tool-denied",
        "always-allowed",
        "ask-user-question",
        "plan-mode",
    ] {
        for replay in played(name) {
            assert!(!replay.questions.is_empty(), "{name}");
            assert!(
                replay.overs.iter().all(|over| *over == Over::Answered),
                "{name}: {replay:?}"
            );
        }
    }
    let asked = &played("tool-allowed")[0].questions[0];
    assert!(
        matches!(asked, QuestionKind::Permission { tool, detail, .. }
            if tool == "Bash" && detail.contains("touch")),
        "{asked:?}"
    );
    let asked = &played("ask-user-question")[0].questions[0];
    let QuestionKind::Choice {
        text,
        options,
        multiple: false,
    } = asked
    else {
        panic!("{asked:?}")
    };
    assert_eq!(text, "Which DB?");
    assert_eq!(
        options[0],
        Choice {
            label: "sqlite".into(),
            description: "take sqlite".into()
        }
    );
    let asked = &played("plan-mode")[0].questions[0];
    assert!(
        matches!(asked, QuestionKind::Plan { text } if !text.is_empty()),
        "{asked:?}"
    );
}

// pitfall: a uuid is deduplicated, live and after resume: only a replay echo comes
#[test]
fn a_prompt_that_the_cli_knows_is_told_as_known() {
    // The first process was killed after the result, before it was idle.
    for replay in played("resume-completed") {
        assert_eq!(replay.overs, [Over::Known], "{replay:?}");
        assert_eq!(replay.contents.len(), 1);
    }
    for replay in played("resume-stopped") {
        assert_eq!(replay.overs, [Over::Stopped, Over::Known], "{replay:?}");
    }
    for replay in played("same-uuid-live") {
        assert_eq!(replay.overs, [Over::Answered, Over::Known]);
    }
}

#[test]
fn a_turn_that_was_cut_off_goes_on_in_the_next_process() {
    for name in [
        "resume-interrupted-text",
        "resume-interrupted-text-early",
        "resume-interrupted-tool",
        "resume-question",
        "resume-never-persisted",
    ] {
        for replay in played(name) {
            assert_eq!(replay.overs, [Over::Answered], "{name}: {replay:?}");
        }
    }
}

// pitfall: background work can start a turn nobody asked for
#[test]
fn work_in_the_background_speaks_to_nobodys_question() {
    for replay in played("background-tool") {
        assert_eq!(replay.overs, [Over::Answered], "{replay:?}");
        assert_eq!(
            (replay.contents.len(), replay.unprompted.len()),
            (1, 1),
            "{replay:?}"
        );
    }
}

// pitfall: system/task_*: subagents and background Bash
#[test]
fn work_beside_the_conversation_is_shown() {
    for (name, shown) in [
        (
            "subagent",
            vec![
                "general-purpose: sub: started in the background",
                "general-purpose: sub: done",
            ],
        ),
        // It ends after the turn, when there is nobody to be shown it.
        (
            "background-tool",
            vec!["Bash: test: started in the background"],
        ),
    ] {
        for replay in played(name) {
            let tools = replay.progress.iter().filter_map(|event| match event {
                TurnEvent::Tool { name, input } => Some(format!("{name}: {input}")),
                _ => None,
            });
            let tasks: Vec<String> = tools.skip(1).collect();
            assert_eq!(tasks, shown, "{name}");
        }
    }
}

#[test]
fn text_that_is_never_written_down_is_not_held_for_ever() {
    let (mut protocol, now) = fresh();
    protocol.prompt("p", "hi", &[], false);
    let mut acts = Vec::new();
    for n in 0..40_000 {
        // Many small ones weigh as well.
        acts.extend(protocol.line(said(&format!("u{n}"), "m", "x"), now));
    }
    let much = |acts: &[Act]| acts.iter().filter(|act| **act == Act::TooMuch).count();
    assert_eq!(much(&acts), 1);
    let flight = protocol.flight.as_ref().unwrap();
    assert_eq!(flight.pending.holds(), 0);
    assert_eq!(protocol.line(result("p"), now), [Act::Over(Over::Answered)]);
}

fn read(line: &str) -> Line {
    lines::read(line).unwrap()
}

fn said(uuid: &str, message: &str, text: &str) -> Line {
    read(&format!(
        r#"{{"type":"assistant","uuid":"{uuid}","message":{{"id":"{message}",
            "content":[{{"type":"text","text":"{text}"}}]}}}}"#
    ))
}

fn state(state: &str) -> Line {
    read(&format!(
        r#"{{"type":"system","subtype":"session_state_changed","state":"{state}"}}"#
    ))
}

fn result(prompt: &str) -> Line {
    read(&format!(
        r#"{{"type":"result","subtype":"success","result":"x","uuid":"r","user_message_uuid":"{prompt}"}}"#
    ))
}

fn fresh() -> (Protocol, Instant) {
    (
        Protocol::new("n".into(), String::new(), PATIENCE, no_tools()),
        Instant::now(),
    )
}

// pitfall: stdout runs ahead of the session file
#[test]
fn text_is_content_once_the_message_after_it_is_written_down() {
    let (mut protocol, now) = fresh();
    protocol.prompt("p", "hi", &[], false);
    assert!(
        !protocol
            .line(said("u1", "m1", "one"), now)
            .iter()
            .any(|a| matches!(a, Act::Await(_)))
    );
    let acts = protocol.line(said("u2", "m2", "two"), now);
    assert!(acts.contains(&Act::Await("u2".into())), "{acts:?}");
    assert_eq!(protocol.written(&["other".into()]), []);
    let one = Block {
        id: "u1".into(),
        text: "one".into(),
    };
    assert_eq!(protocol.written(&["u2".into()]), [Act::Content(one)]);
    // The last one is certain with the result, whatever the file holds.
    let acts = protocol.line(result("p"), now);
    let two = Block {
        id: "u2".into(),
        text: "two".into(),
    };
    assert_eq!(acts, [Act::Content(two), Act::Over(Over::Answered)]);
}

// pitfall: can_use_tool has no time-out of its own
#[test]
fn a_question_nobody_answers_is_denied_at_its_deadline() {
    let (mut protocol, now) = fresh();
    protocol.prompt("p", "hi", &[], false);
    let ask = r#"{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool",
        "tool_name":"Bash","input":{"command":"ls"}}}"#;
    let acts = protocol.line(read(ask), now);
    let Some(Act::Asked(question)) = acts.last() else {
        panic!("{acts:?}")
    };
    assert_eq!(question.deadline_ms, 60_000);
    assert_eq!(protocol.deadline(), Some(now + PATIENCE));
    assert_eq!(protocol.tick(now), []);
    let acts = protocol.tick(now + PATIENCE);
    assert!(
        matches!(&acts[0], Act::Write(line) if line.contains("deny")),
        "{acts:?}"
    );
    assert!(matches!(&acts[1], Act::Withdrawn { expired: true, .. }));
    let late = protocol.decide(&question.question, Decision::Allow, now);
    assert!(
        matches!(&late[..], [Act::Decided { applied: false, .. }]),
        "{late:?}"
    );
}

// pitfall: control_request: hook_callback, and whatever is new
#[test]
fn a_request_that_nobody_can_answer_is_refused() {
    let (mut protocol, now) = fresh();
    let hook =
        r#"{"type":"control_request","request_id":"q","request":{"subtype":"hook_callback"}}"#;
    let acts = protocol.line(read(hook), now);
    assert!(matches!(&acts[..], [Act::Write(line)] if line.contains(r#""subtype":"error""#)));
    let ask = r#"{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool",
        "tool_name":"Bash","input":{}}}"#;
    let acts = protocol.line(read(ask), now);
    assert!(matches!(&acts[..], [Act::Write(line)] if line.contains("Nobody can be asked")));
}

#[test]
fn a_result_from_a_cli_that_does_not_echo_every_prompt_still_ends_the_turn() {
    let (mut protocol, now) = fresh();
    // The first turn shows that this CLI echoes.
    protocol.prompt("p1", "hi", &[], false);
    protocol.line(read(r#"{"type":"user","uuid":"p1","isReplay":true}"#), now);
    protocol.line(result("p1"), now);
    protocol.prompt("p2", "/cost", &[], false);
    protocol.line(state("running"), now);
    let bare = r#"{"type":"result","subtype":"success","result":"3 $","uuid":"r2"}"#;
    assert_eq!(protocol.line(read(bare), now), []);
    let acts = protocol.line(state("idle"), now);
    let words = Block {
        id: "r2".into(),
        text: "3 $".into(),
    };
    assert_eq!(acts, [Act::Content(words), Act::Over(Over::Answered)]);
}

#[test]
fn a_turn_without_idle_is_over_soon_after_its_result() {
    let (mut protocol, now) = fresh();
    protocol.prompt("p", "hi", &[], false);
    protocol.line(state("running"), now);
    assert_eq!(protocol.line(result("p"), now).len(), 1);
    let settled = protocol.deadline().unwrap();
    assert_eq!(protocol.tick(settled), [Act::Over(Over::Answered)]);
    assert!(protocol.is_free());
}

#[test]
fn text_that_is_being_written_is_bounded() {
    let (mut protocol, now) = fresh();
    protocol.prompt("p", "hi", &[], false);
    let delta = format!(
        r#"{{"type":"stream_event","event":{{"type":"content_block_delta",
            "delta":{{"type":"text_delta","text":"{}"}}}}}}"#,
        "é".repeat(1000)
    );
    for _ in 0..100 {
        for act in protocol.line(read(&delta), now) {
            if let Act::Progress(TurnEvent::Partial { text }) = act {
                assert!(text.len() <= PARTIAL_BYTES);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Prompt,
    Interrupt,
    Decide(bool),
    Line(usize),
    Written,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Prompt),
        1 => Just(Step::Interrupt),
        2 => any::<bool>().prop_map(Step::Decide),
        9 => (0..14usize).prop_map(Step::Line),
        2 => Just(Step::Written),
        1 => Just(Step::Wait),
    ]
}

fn line(kind: usize, prompt: &str, n: usize) -> Line {
    match kind {
        0 => state("running"),
        1 => state("idle"),
        2 => read(&format!(
            r#"{{"type":"result","subtype":"success","result":"x","uuid":"r{n}",
                "user_message_uuid":"{prompt}"}}"#
        )),
        3 => read(&format!(
            r#"{{"type":"result","subtype":"success","result":"x","uuid":"r{n}"}}"#
        )),
        4 => read(r#"{"type":"result","subtype":"error_during_execution","is_error":true}"#),
        5 | 6 => said(&format!("u{n}"), &format!("m{}", n / 3), "text"),
        7 => read(&format!(
            r#"{{"type":"user","uuid":"{prompt}","isReplay":true}}"#
        )),
        8 => read(&format!(
            r#"{{"type":"command_lifecycle","command_uuid":"{prompt}","state":"started"}}"#
        )),
        9 | 10 => read(&format!(
            r#"{{"type":"control_request","request_id":"q{n}","request":{{"subtype":"can_use_tool",
                "tool_name":"Bash","input":{{}}}}}}"#
        )),
        11 => read(&format!(
            r#"{{"type":"control_cancel_request","request_id":"q{}"}}"#,
            n - 1
        )),
        12 => read(r#"{"type":"system","subtype":"init","session_id":"s"}"#),
        _ => read(r#"{"type":"result","subtype":"success","origin":{"kind":"task-notification"}}"#),
    }
}

proptest! {
    /// Whatever the CLI prints in whatever order: one end a prompt, no block twice, every question
    /// that is asked is closed by the turn's end, and every request is answered at most once.
    #[test]
    fn any_order_of_lines_keeps_the_promises(steps in prop::collection::vec(step(), 0..120)) {
        let (mut protocol, mut now) = fresh();
        let (mut prompts, mut overs) = (0, 0);
        let mut blocks = Vec::new();
        let mut open: Vec<String> = Vec::new();
        let mut answered: BTreeMap<String, usize> = BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            let n = n + 1;
            let prompt = format!("p{prompts}");
            let acts = match step {
                Step::Prompt if protocol.is_free() => {
                    prompts += 1;
                    protocol.prompt(&format!("p{prompts}"), "hi", &[], prompts % 3 == 0)
                }
                Step::Prompt => continue,
                Step::Interrupt => protocol.interrupt(),
                Step::Decide(true) if !open.is_empty() => {
                    let question = open[0].clone();
                    protocol.decide(&question, Decision::Allow, now)
                }
                Step::Decide(_) => protocol.decide("unknown", Decision::Allow, now),
                Step::Line(kind) => protocol.line(line(kind, &prompt, n), now),
                Step::Written => protocol.written(&[format!("u{}", n - 1), format!("u{}", n.saturating_sub(2))]),
                Step::Wait => {
                    now += PATIENCE;
                    protocol.tick(now)
                }
            };
            for act in acts {
                match act {
                    Act::Over(_) => {
                        overs += 1;
                        prop_assert!(open.is_empty(), "{open:?}");
                    }
                    Act::Content(block) => {
                        prop_assert!(overs < prompts, "content belongs to a turn");
                        prop_assert!(!blocks.contains(&block.id), "{} twice", block.id);
                        blocks.push(block.id);
                    }
                    Act::Asked(question) => open.push(question.question),
                    Act::Withdrawn { question, .. } | Act::Decided { question, applied: true } => {
                        open.retain(|known| *known != question);
                    }
                    Act::Write(line) if line.contains("control_response") => {
                        let line: Value = serde_json::from_str(&line).unwrap();
                        let id = line["response"]["request_id"].as_str().unwrap().to_owned();
                        *answered.entry(id).or_default() += 1;
                    }
                    _ => {}
                }
            }
            prop_assert!(overs <= prompts && prompts <= overs + 1, "one prompt in flight");
            prop_assert!(answered.values().all(|times| *times == 1), "{answered:?}");
        }
    }
}
