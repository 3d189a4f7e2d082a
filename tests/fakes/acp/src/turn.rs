//! A turn, as the prompt's directives tell it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::lines::Lines;
use crate::tools::Tools;

/// The directives.
pub(crate) const TURN: &str = "
#say TEXT         a message
#think TEXT       a thought
#tool COMMAND     a permission is asked for, then a shell runs it
#call NAME JSON   calls a tool of the server that it was told of, and says what it said
#tools            says the names of all of them
#cwd              says where the session works
#deny-ends        from here on a rejected permission ends the turn, as in opencode
#hold             makes the file `held`, then waits until it is cancelled
#deaf             makes the file `held`, then waits for ever, whatever it is told
#spawn COMMAND    a shell runs it in a session of its own, and nobody waits for it
#fs               asks for a file of the client's and says the code of the answer
#plan A | B       a list of steps
#used N M         N of M tokens are in the context
#recall           says how many prompts stand in the conversation, and the mode and the model
#junk TEXT        a line as it is
#flood BYTES      a line of a tool's output of so many bytes
#error CODE TEXT  the turn is answered with that error
#stop REASON      the turn ends with that reason
#unasked TEXT     a message after the end of the turn
#exit CODE        the process ends
";

const ENDED: &str = "end_turn";

/// Plays a turn.
pub(crate) fn play(
    lines: &mut Lines,
    open: &mut Conversation,
    params: &Value,
) -> Result<Value, (i64, String)> {
    lines.cancelled = false;
    let blocks = params["prompt"].as_array().cloned().unwrap_or_default();
    let texts = blocks.iter().filter_map(|block| block["text"].as_str());
    let text = texts.collect::<Vec<_>>().join("\n");
    let pictures = blocks
        .iter()
        .filter(|block| block["type"] == "image")
        .count();
    let kept = open.add(&json!({"user": text}));
    kept.map_err(|error| (-32603, error.to_string()))?;

    let mut ends = false;
    let mut plain = true;
    for line in text.lines() {
        let Some(directive) = line.strip_prefix('#') else {
            continue;
        };
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        plain = false;
        match word {
            "say" => say(lines, open, rest),
            "think" => lines.update(json!({"sessionUpdate": "agent_thought_chunk",
                "content": {"type": "text", "text": rest}})),
            "deny-ends" => ends = true,
            "tool" => {
                let allowed = tool(lines, open, rest);
                if !allowed && ends && !lines.cancelled {
                    return Ok(json!({"stopReason": ENDED}));
                }
            }
            "cwd" => {
                let cwd = lines.cwd.clone();
                say(lines, open, &cwd);
            }
            "call" | "tools" => {
                let said = called(lines, rest);
                say(
                    lines,
                    open,
                    &said.unwrap_or_else(|why| format!("broken: {why}")),
                );
            }
            "hold" => {
                held();
                lines.wait_for_cancel();
            }
            "deaf" => {
                held();
                loop {
                    std::thread::park();
                }
            }
            "spawn" => {
                let _ = shell("setsid sh -c \"$0\" &", rest).spawn();
            }
            "fs" => {
                let file = json!({"sessionId": lines.session, "path": "/etc/hostname"});
                let reply = lines.ask("fs/read_text_file", file).unwrap_or_default();
                say(lines, open, &reply["error"]["code"].to_string());
            }
            "plan" => {
                let entries = rest.split('|').map(|step| {
                    json!({"content": step.trim(), "priority": "medium", "status": "pending"})
                });
                let entries: Vec<Value> = entries.collect();
                lines.update(json!({"sessionUpdate": "plan", "entries": entries}));
            }
            "used" => {
                let mut numbers = rest
                    .split(' ')
                    .map(|n| n.parse::<u64>().unwrap_or_default());
                let (used, size) = (numbers.next(), numbers.next());
                lines.update(
                    json!({"sessionUpdate": "usage_update", "used": used, "size": size,
                    "cost": {"amount": 0.25, "currency": "USD"}}),
                );
            }
            "recall" => {
                let said = format!("{} {} {}", open.heard().len(), open.mode, open.model);
                say(lines, open, &said);
            }
            "junk" => lines.raw(rest),
            "flood" => {
                let bytes = rest.parse().unwrap_or_default();
                lines.update(
                    json!({"sessionUpdate": "tool_call_update", "toolCallId": "flood",
                    "rawOutput": "x".repeat(bytes)}),
                );
            }
            "error" => {
                let (code, words) = rest.split_once(' ').unwrap_or((rest, "no"));
                return Err((code.parse().unwrap_or(-32603), words.to_owned()));
            }
            "stop" => return Ok(json!({"stopReason": rest})),
            "unasked" => lines.unasked = Some(rest.to_owned()),
            "exit" => std::process::exit(rest.parse().unwrap_or_default()),
            other => say(lines, open, &format!("there is no #{other}:{TURN}")),
        }
        if lines.cancelled {
            return Ok(json!({"stopReason": "cancelled"}));
        }
    }
    if plain {
        let said = match pictures {
            0 => format!("You said: {text}"),
            n => format!("You said: {text} (and {n} pictures)"),
        };
        say(lines, open, &said);
    }
    Ok(json!({"stopReason": ENDED}))
}

fn say(lines: &mut Lines, open: &Conversation, text: &str) {
    // Kept first: what was said is remembered.
    let _ = open.add(&json!({"agent": text}));
    lines.says(text);
}

/// Calls a tool, or lists them; what was said.
fn called(lines: &mut Lines, rest: &str) -> Result<String, String> {
    let tools = match &mut lines.tools {
        Some(tools) => tools,
        none => none.insert(Tools::start(&lines.servers)?),
    };
    match rest.split_once(' ').unwrap_or((rest, "{}")) {
        ("", _) => tools.names(),
        (name, input) => {
            let input = serde_json::from_str(input).map_err(|error| error.to_string())?;
            let id = format!("c{}", tools.asked);
            let call = json!({"sessionUpdate": "tool_call", "toolCallId": id,
                "title": format!("bulkhead_{name}"), "kind": "other", "rawInput": input});
            lines.update(call);
            let tools = lines.tools.as_mut().ok_or("no tools")?;
            let said = tools.call(name, &input);
            let done = json!({"sessionUpdate": "tool_call_update", "toolCallId": id,
                "status": "completed"});
            lines.update(done);
            said
        }
    }
}

/// Tells whoever looks that the turn has come so far.
fn held() {
    let _ = std::fs::write("held", std::process::id().to_string());
}

fn shell(script: &str, argument: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, argument])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    shell
}

/// A tool that asks first; whether it was allowed.
fn tool(lines: &mut Lines, open: &mut Conversation, command: &str) -> bool {
    let input = json!({"command": command});
    lines.update(
        json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "shell",
        "kind": "execute", "status": "pending"}),
    );
    lines.update(
        json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "title": command,
        "status": "in_progress", "rawInput": input}),
    );
    let mut allowed = open.always;
    if !allowed {
        // In an order and under names that mean nothing.
        let options = [
            ("never", "Allow", "reject_always"),
            ("ever", "Reject", "allow_always"),
            ("no", "Allow", "reject_once"),
            ("yes", "Reject", "allow_once"),
        ];
        let options =
            options.map(|(id, name, kind)| json!({"optionId": id, "name": name, "kind": kind}));
        let ask = json!({"sessionId": lines.session, "options": options,
            "toolCall": {"toolCallId": "t", "title": command, "kind": "execute",
                "rawInput": input}});
        let reply = lines
            .ask("session/request_permission", ask)
            .unwrap_or_default();
        let outcome = &reply["result"]["outcome"];
        open.always = outcome["optionId"] == "ever";
        allowed = open.always || outcome["optionId"] == "yes";
    }
    let done = allowed
        && shell("eval \"$0\"", command)
            .status()
            .is_ok_and(|it| it.success());
    let status = if done { "completed" } else { "failed" };
    lines.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": status}));
    allowed
}
