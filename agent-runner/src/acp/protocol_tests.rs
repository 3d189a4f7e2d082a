use super::*;
use serde_json::json;

use ipc_schema::{QuestionKind, Remark};

/// A protocol, its clock, and what it wrote.
struct Talk {
    protocol: Protocol,
    now: Instant,
    acts: Vec<Act>,
}

const HELLO: &str = r#"{"protocolVersion":1,"agentCapabilities":{"loadSession":true,
    "promptCapabilities":{"image":true}},"agentInfo":{"name":"a","version":"1"}}"#;

fn beginning(conversation: Option<&str>) -> Beginning {
    Beginning {
        servers: Vec::new(),
        cwd: "/w".into(),
        conversation: conversation.map(str::to_owned),
        login: None,
    }
}

impl Talk {
    fn begin(beginning: Beginning) -> Talk {
        let protocol = Protocol::new("n".into(), beginning, Duration::from_secs(600));
        let mut talk = Talk {
            protocol,
            now: Instant::now(),
            acts: Vec::new(),
        };
        talk.acts = talk.protocol.open(talk.now);
        talk
    }

    /// One that is ready for a prompt.
    fn ready() -> Talk {
        let mut talk = Talk::begin(beginning(None));
        talk.answer("initialize", HELLO);
        talk.answer("session/new", r#"{"sessionId":"s"}"#);
        assert_eq!(talk.acts, [Act::Opened("s".into(), None)]);
        talk.acts.clear();
        talk
    }

    /// One whose prompt is out.
    fn running() -> Talk {
        let mut talk = Talk::ready();
        talk.prompt("hello", &Wanted::default());
        assert_eq!(talk.acts[0], Act::Begins);
        talk
    }

    fn prompt(&mut self, text: &str, wanted: &Wanted) {
        let acts = self.protocol.prompt(text, &[], wanted, self.now);
        self.acts.extend(acts);
    }

    fn line(&mut self, line: &Value) {
        let acts = self.protocol.line(&line.to_string(), self.now).unwrap();
        self.acts.extend(acts);
    }

    fn update(&mut self, update: Value) {
        self.line(&json!({"jsonrpc": "2.0", "method": "session/update",
            "params": {"sessionId": "s", "update": update}}));
    }

    fn says(&mut self, text: &str, message: &str) {
        self.update(
            json!({"sessionUpdate": "agent_message_chunk", "messageId": message,
            "content": {"type": "text", "text": text}}),
        );
    }

    fn asks(&mut self, id: u64) {
        self.line(
            &json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission",
            "params": {"sessionId": "s", "toolCall": {"toolCallId": "t", "title": "touch a",
                "kind": "execute", "rawInput": {"command": "touch a"}},
                "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"},
                    {"optionId": "a", "name": "Always touch", "kind": "allow_always"},
                    {"optionId": "n", "name": "No", "kind": "reject_once"}]}}),
        );
    }

    fn question(&self) -> Question {
        let asked = self.acts.iter().rev().find_map(|act| match act {
            Act::Asked(question) => Some(question.clone()),
            _ => None,
        });
        asked.unwrap_or_else(|| panic!("{:?}", self.acts))
    }

    /// The newest line that was written.
    fn written(&self) -> Value {
        let line = self.acts.iter().rev().find_map(|act| match act {
            Act::Write(line) => Some(line),
            _ => None,
        });
        serde_json::from_str(line.unwrap_or_else(|| panic!("{:?}", self.acts))).unwrap()
    }

    /// Takes out the newest request, which must be that, and answers it.
    fn answered(&mut self, method: &str, with: Value) -> Value {
        let line = self.written();
        assert_eq!(line["method"], method);
        self.acts.retain(|act| !matches!(act, Act::Write(_)));
        let mut answer = json!({"jsonrpc": "2.0", "id": line["id"]});
        if let (Value::Object(into), Value::Object(with)) = (&mut answer, with) {
            into.extend(with);
        }
        self.line(&answer);
        line["params"].clone()
    }

    fn answer(&mut self, method: &str, result: &str) -> Value {
        let result: Value = serde_json::from_str(result).unwrap();
        self.answered(method, json!({"result": result}))
    }

    fn error(&mut self, method: &str, code: i32, message: &str) -> Value {
        self.answered(method, json!({"error": {"code": code, "message": message}}))
    }

    fn ends(&mut self, reason: &str) {
        self.answer("session/prompt", &format!(r#"{{"stopReason":"{reason}"}}"#));
    }

    fn contents(&self) -> Vec<&str> {
        let texts = self.acts.iter().filter_map(|act| match act {
            Act::Content(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn over(&self) -> &Over {
        match self.acts.last() {
            Some(Act::Over(over)) => over,
            _ => panic!("{:?}", self.acts),
        }
    }

    fn tools(&self) -> Vec<String> {
        let tools = self.acts.iter().filter_map(|act| match act {
            Act::Progress(TurnEvent::Tool { name, input }) => Some(format!("{name}: {input}")),
            _ => None,
        });
        tools.collect()
    }
}

fn words(over: &Over) -> &str {
    match over {
        Over::Failed(Fault::Agent { words } | Fault::LoggedOut { words }) => words,
        other => panic!("{other:?}"),
    }
}

fn mode(name: &str) -> Wanted {
    Wanted {
        mode: name.into(),
        ..Wanted::default()
    }
}

#[test]
fn it_says_what_it_cannot_do_and_begins_a_conversation() {
    let mut talk = Talk::begin(beginning(None));
    let hello = talk.answer("initialize", HELLO);
    assert_eq!(hello["protocolVersion"], 1);
    let can = &hello["clientCapabilities"];
    assert_eq!(can["terminal"], false);
    assert_eq!(
        can["fs"],
        json!({"readTextFile": false, "writeTextFile": false})
    );
    assert_eq!(
        can["elicitation"],
        json!({"form": {}}),
        "forms, but no addresses"
    );
    let new = talk.answer("session/new", r#"{"sessionId":"s"}"#);
    assert_eq!(new, json!({"cwd": "/w", "mcpServers": []}));
    assert!(talk.protocol.is_free() && talk.protocol.can_resume());
}

#[test]
fn a_turn_is_told_block_by_block() {
    let mut talk = Talk::running();
    talk.says("Let ", "1");
    talk.says("me see.", "1");
    talk.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Terminal",
        "kind": "execute", "name": "Bash", "rawInput": {}}),
    );
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "title": "ls -l",
        "rawInput": {"command": "ls -l"}}),
    );
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "t",
        "status": "completed"}),
    );
    talk.update(json!({"sessionUpdate": "agent_thought_chunk",
        "content": {"type": "text", "text": "hm"}}));
    talk.says("Two", "2");
    talk.says("Three", "3");
    talk.update(
        json!({"sessionUpdate": "usage_update", "used": 10, "size": 100,
        "cost": {"amount": 0.5, "currency": "USD"}}),
    );
    talk.update(json!({"sessionUpdate": "usage_update", "used": 0, "size": 100}));
    talk.update(json!({"sessionUpdate": "something_new"}));
    talk.ends("end_turn");
    assert_eq!(talk.contents(), ["Let me see.", "Two", "Three"]);
    assert_eq!(talk.tools(), ["Bash: ls -l"]);
    for text in ["", "hm"] {
        let text = text.into();
        let thinks = Act::Progress(TurnEvent::Thinking { text });
        assert!(talk.acts.contains(&thinks), "{:?}", talk.acts);
    }
    let used = TurnEvent::Usage {
        context_tokens: 10,
        context_window: 100,
        cost_microusd: 500_000,
        model: String::new(),
    };
    assert!(talk.acts.contains(&Act::Used(used)), "{:?}", talk.acts);
    assert_eq!(talk.over(), &Over::Answered);
    assert!(talk.protocol.is_free());
}

#[test]
fn a_tool_of_which_little_is_told_is_shown_all_the_same_and_once() {
    let mut talk = Talk::running();
    for id in ["t", "u"] {
        talk.update(
            json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": "look",
            "kind": "search"}),
        );
    }
    talk.says("seen", "1");
    talk.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "u",
        "status": "in_progress"}),
    );
    assert_eq!(talk.tools(), ["search: look", "search: look"]);
}

#[test]
fn a_permission_is_asked_for_and_answered_by_its_request() {
    for (decision, id) in [
        (Decision::Allow, "y"),
        (Decision::AllowAlways, "a"),
        (Decision::Deny { why: String::new() }, "n"),
    ] {
        let mut talk = Talk::running();
        talk.asks(0);
        let question = talk.question();
        let QuestionKind::Permission {
            tool,
            detail,
            always,
        } = &question.about
        else {
            panic!("{question:?}")
        };
        assert_eq!((tool.as_str(), detail.as_str()), ("run", "touch a"));
        assert_eq!(always.as_deref(), Some("Always touch"));
        assert!(talk.protocol.is_asking());
        let acts = talk
            .protocol
            .decide(&question.question, &decision, talk.now);
        talk.acts.extend(acts);
        let outcome = json!({"outcome": {"outcome": "selected", "optionId": id}});
        assert_eq!(talk.written()["result"], outcome);
        assert_eq!(talk.written()["id"], 0);
        assert!(!talk.protocol.is_asking());
    }
}

#[test]
fn a_denial_that_ends_the_turn_is_told() {
    let denied = |says: bool| {
        let mut talk = Talk::running();
        let out = talk.written();
        talk.asks(0);
        let why = "not now".to_owned();
        let question = talk.question().question;
        let acts = talk
            .protocol
            .decide(&question, &Decision::Deny { why }, talk.now);
        assert!(
            matches!(acts.last(), Some(Act::Progress(TurnEvent::Note { text }))
            if text.contains("no reason"))
        );
        if says {
            talk.says("then not", "2");
        }
        talk.line(&json!({"id": out["id"], "result": {"stopReason": "end_turn"}}));
        talk.contents().join("|")
    };
    assert!(denied(false).contains("because that was denied"));
    assert_eq!(denied(true), "then not");
}

#[test]
fn nobody_answers_in_time() {
    let mut talk = Talk::running();
    talk.asks(4);
    talk.now = talk.protocol.deadline().unwrap();
    talk.acts = talk.protocol.tick(talk.now);
    assert_eq!(talk.written()["result"]["outcome"]["optionId"], "n");
    assert!(matches!(
        &talk.acts[1],
        Act::Withdrawn { expired: true, .. }
    ));
    assert_eq!(talk.protocol.deadline(), None);
}

#[test]
fn an_interrupt_cancels_the_turn_and_what_was_asked() {
    let mut talk = Talk::running();
    let out = talk.written();
    talk.asks(4);
    talk.acts = talk.protocol.interrupt();
    let Act::Write(cancel) = &talk.acts[0] else {
        panic!("{:?}", talk.acts)
    };
    let cancel: Value = serde_json::from_str(cancel).unwrap();
    assert_eq!(cancel["method"], "session/cancel");
    assert!(cancel.get("id").is_none() && cancel["params"]["sessionId"] == "s");
    assert_eq!(
        talk.written()["result"],
        json!({"outcome": {"outcome": "cancelled"}})
    );
    talk.acts.clear();
    talk.asks(5);
    assert_eq!(
        talk.written()["result"],
        json!({"outcome": {"outcome": "cancelled"}}),
        "nobody is asked any more"
    );
    talk.line(&json!({"id": out["id"], "result": {"stopReason": "cancelled"}}));
    assert_eq!(talk.over(), &Over::Stopped);
}

#[test]
fn every_reason_to_stop_has_its_words() {
    for (reason, part) in [
        ("max_tokens", "limit of tokens"),
        ("max_turn_requests", "as often as it may"),
        ("refusal", "refuses"),
        ("cancelled", "not from the chat"),
    ] {
        let mut talk = Talk::running();
        talk.says("half", "1");
        talk.ends(reason);
        assert_eq!(talk.contents(), ["half"]);
        assert!(words(talk.over()).contains(part), "{reason}");
    }
    let mut talk = Talk::running();
    talk.ends("something_new");
    assert_eq!(talk.over(), &Over::Answered);
}

#[test]
fn an_error_is_told_once_and_a_missing_login_as_one() {
    let mut talk = Talk::running();
    talk.says("API Error: 400 no", "1");
    talk.error(
        "session/prompt",
        -32603,
        "Internal error: API Error: 400 no",
    );
    assert_eq!(talk.contents(), [""; 0]);
    assert_eq!(words(talk.over()), "Internal error: API Error: 400 no");
    assert!(talk.protocol.is_free(), "the session goes on");
    talk.prompt("again", &Wanted::default());
    talk.error("session/prompt", -32000, "Authentication required");
    assert!(matches!(talk.over(), Over::Failed(Fault::LoggedOut { .. })));
}

#[test]
fn requests_that_are_not_served_are_turned_down() {
    let mut talk = Talk::running();
    for method in ["fs/read_text_file", "terminal/create", "_own/thing"] {
        talk.line(&json!({"id": "x", "method": method, "params": {"sessionId": "s"}}));
        assert_eq!(talk.written()["error"]["code"], -32601, "{method}");
        assert_eq!(talk.written()["id"], "x");
    }
    let odd = json!({"sessionId": "s", "toolCall": 7, "options": []});
    talk.line(&json!({"id": 9, "method": "session/request_permission", "params": odd}));
    assert_eq!(talk.written()["error"]["code"], -32602);
}

#[test]
fn an_old_conversation_is_loaded_and_its_replay_not_said_again() {
    let mut talk = Talk::begin(beginning(Some("s")));
    talk.answer("initialize", HELLO);
    talk.says("old", "1");
    talk.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "old"}));
    let load = talk.answer("session/load", "null");
    assert_eq!(
        load,
        json!({"sessionId": "s", "cwd": "/w", "mcpServers": []})
    );
    assert_eq!(talk.acts, [Act::Opened("s".into(), None)]);
    talk.acts.clear();
    talk.prompt("go on", &Wanted::default());
    talk.says("new", "2");
    talk.ends("end_turn");
    assert_eq!(talk.contents(), ["new"]);
}

#[test]
fn where_an_agent_resumes_nothing_is_replayed() {
    let mut talk = Talk::begin(beginning(Some("s")));
    let can = r#"{"protocolVersion":1,"agentCapabilities":{"loadSession":true,
        "sessionCapabilities":{"resume":{}}}}"#;
    talk.answer("initialize", can);
    let resume = talk.answer("session/resume", "{}");
    assert_eq!(resume["mcpServers"], json!([]));
    assert_eq!(talk.acts, [Act::Opened("s".into(), None)]);
}

#[test]
fn a_conversation_that_is_gone_is_never_replaced_silently() {
    let mut talk = Talk::begin(beginning(Some("old")));
    talk.answer("initialize", HELLO);
    talk.error("session/load", -32002, "Resource not found");
    talk.answer("session/new", r#"{"sessionId":"s"}"#);
    assert!(matches!(&talk.acts[..], [Act::Opened(id, Some(why))]
        if id == "s" && why.contains("no longer")));

    let mut talk = Talk::begin(beginning(Some("old")));
    talk.answer("initialize", r#"{"protocolVersion":1}"#);
    talk.answer("session/new", r#"{"sessionId":"s"}"#);
    assert!(matches!(&talk.acts[..], [Act::Opened(_, Some(why))] if why.contains("keeps no")));
    assert!(!talk.protocol.can_resume());

    let mut talk = Talk::begin(beginning(Some("old")));
    talk.answer("initialize", HELLO);
    talk.error("session/load", -32603, "disk on fire");
    assert!(
        matches!(&talk.acts[..], [Act::Cannot(Fault::Agent { words })]
        if words.contains("disk on fire") && words.contains("/new"))
    );
}

#[test]
fn an_agent_that_is_not_logged_in_is_logged_in_once_if_it_is_said_how() {
    let mut talk = Talk::begin(beginning(None));
    let hello = r#"{"protocolVersion":1,"authMethods":[{"id":"key","name":"API key"}]}"#;
    talk.answer("initialize", hello);
    talk.error("session/new", -32000, "Authentication required");
    assert!(
        matches!(&talk.acts[..], [Act::Cannot(Fault::LoggedOut { words })]
        if words.contains("API key"))
    );

    let mut talk = Talk::begin(Beginning {
        login: Some("key".into()),
        ..beginning(None)
    });
    talk.answer("initialize", hello);
    talk.error("session/new", -32000, "Authentication required");
    let login = talk.answer("authenticate", "{}");
    assert_eq!(login, json!({"methodId": "key"}));
    talk.error("session/new", -32000, "Authentication required");
    assert!(matches!(
        &talk.acts[..],
        [Act::Cannot(Fault::LoggedOut { .. })]
    ));
}

#[test]
fn another_version_and_another_language_are_told() {
    for hello in [r#"{"protocolVersion":2}"#, "7", "null"] {
        let mut talk = Talk::begin(beginning(None));
        talk.answer("initialize", hello);
        assert!(
            matches!(&talk.acts[..], [Act::Cannot(Fault::Agent { .. })]),
            "{hello}"
        );
    }
    let mut talk = Talk::begin(beginning(None));
    assert!(talk.protocol.line("junk", talk.now).is_err());
    talk.line(&json!({"id": 99, "result": {}}));
    assert_eq!(talk.acts.len(), 1, "an answer to nothing is none");
    talk.now += ANSWER;
    talk.acts = talk.protocol.tick(talk.now);
    assert!(
        matches!(&talk.acts[..], [Act::Cannot(Fault::Agent { words })]
        if words.contains("120 s") && words.contains("ACP"))
    );
}

#[test]
fn a_mode_is_set_before_the_prompt_goes_out_or_it_does_not() {
    let open = r#"{"sessionId":"s","modes":{"currentModeId":"auto","availableModes":[
        {"id":"default","name":"D"},{"id":"auto","name":"A"},{"id":"plan","name":"P"}]}}"#;
    let talk = || {
        let mut talk = Talk::begin(beginning(None));
        talk.answer("initialize", HELLO);
        talk.answer("session/new", open);
        talk.acts.clear();
        talk
    };
    let mut set = talk();
    set.prompt("hello", &mode("default"));
    assert!(!set.acts.contains(&Act::Begins));
    let params = set.answer("session/set_mode", "{}");
    assert_eq!(params, json!({"sessionId": "s", "modeId": "default"}));
    assert_eq!(set.acts[0], Act::Begins);
    set.ends("end_turn");
    set.prompt("again", &mode("default"));
    assert_eq!(
        set.written()["method"],
        "session/prompt",
        "it is so already"
    );

    let mut refused = talk();
    refused.prompt("hello", &mode("plan"));
    refused.error("session/set_mode", -32602, "no");
    assert_eq!(words(refused.over()), "no");

    let mut unknown = talk();
    unknown.prompt("hello", &mode("yolo"));
    assert!(words(unknown.over()).contains("default, auto, plan"));
    assert!(!unknown.acts.contains(&Act::Begins) && unknown.protocol.is_free());

    let mut stopped = talk();
    stopped.prompt("hello", &mode("plan"));
    assert_eq!(stopped.protocol.interrupt(), []);
    stopped.answer("session/set_mode", "{}");
    assert_eq!(stopped.over(), &Over::Stopped);
    assert!(!stopped.acts.contains(&Act::Begins));
}

#[test]
fn pictures_go_to_whoever_takes_them() {
    let image = Image {
        media_type: "image/png".into(),
        data: "AAAA".into(),
    };
    let blocks = |hello: &str| {
        let mut talk = Talk::begin(beginning(None));
        talk.answer("initialize", hello);
        talk.answer("session/new", r#"{"sessionId":"s"}"#);
        let images = std::slice::from_ref(&image);
        let wanted = Wanted::default();
        talk.acts = talk.protocol.prompt("see", images, &wanted, talk.now);
        talk.written()["params"]["prompt"].clone()
    };
    let text = json!({"type": "text", "text": "see"});
    let picture = json!({"type": "image", "mimeType": "image/png", "data": "AAAA"});
    assert_eq!(blocks(HELLO), json!([text, picture]));
    assert_eq!(blocks(r#"{"protocolVersion":1}"#), json!([text]));
}

#[test]
fn a_flood_is_cut_and_says_so() {
    let mut talk = Talk::running();
    let piece = "é".repeat(100_000);
    for _ in 0..20 {
        talk.says(&piece, "1");
    }
    talk.acts.retain(|act| !matches!(act, Act::Progress(_)));
    talk.ends("end_turn");
    let cut = Remark::Cut {
        most: TURN_BYTES as u64,
        missing: 2_951_424,
    };
    assert!(talk.acts.contains(&Act::Remark(cut)));
    let said = talk.contents();
    assert!(said.len() == 1 && said[0].len() <= TURN_BYTES);
}

#[test]
fn what_is_said_unasked_is_told_once_it_is_whole() {
    let mut talk = Talk::ready();
    talk.says("by ", "1");
    talk.says("the way", "1");
    assert_eq!(talk.acts, []);
    talk.now = talk.protocol.deadline().unwrap();
    talk.acts = talk.protocol.tick(talk.now);
    assert!(matches!(&talk.acts[..], [Act::Unprompted(_, text)] if text == "by the way"));
    assert_eq!(talk.protocol.deadline(), None);
    talk.says("and", "2");
    talk.prompt("hello", &Wanted::default());
    assert!(
        matches!(&talk.acts[1], Act::Unprompted(id, text) if text == "and" && id.ends_with('2'))
    );
}

#[test]
fn the_text_so_far_outlives_the_agent_and_asides_are_no_answer() {
    let mut talk = Talk::running();
    talk.update(json!({"sessionUpdate": "agent_message_chunk",
        "_meta": {"claudeCode": {"kind": "informational"}},
        "content": {"type": "text", "text": "**Warning:** news"}}));
    talk.says("half a", "1");
    assert_eq!(talk.contents(), [""; 0]);
    talk.acts = talk.protocol.last_words();
    assert_eq!(talk.contents(), ["half a"]);
}

#[test]
fn a_form_is_for_the_turn_that_runs_and_is_cancelled_with_it() {
    let form = |session: &str| {
        let options = json!([{"const": "a", "title": "A"}]);
        json!({"jsonrpc": "2.0", "id": 70, "method": "elicitation/create", "params": {
            "mode": "form", "sessionId": session, "message": "Which?", "requestedSchema":
                {"type": "object", "properties": {"q": {"type": "string", "oneOf": options}}}}})
    };
    let mut talk = Talk::running();
    talk.line(&form("another"));
    assert_eq!(talk.written()["result"], json!({"action": "cancel"}));
    talk.line(&form("s"));
    assert!(talk.acts.iter().any(|act| matches!(act, Act::Asked(_))));
    let acts = talk.protocol.interrupt();
    let cancels =
        |act: &Act| matches!(act, Act::Write(line) if line.contains("\"action\":\"cancel\""));
    assert!(acts.iter().any(cancels), "{acts:?}");
    talk.line(&form("s"));
    assert_eq!(talk.written()["result"], json!({"action": "cancel"}));
}
