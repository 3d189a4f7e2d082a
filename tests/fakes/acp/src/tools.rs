//! A client of the tools that the agent was told of: it starts the first server and calls it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A server that was started, greeted and can be called.
pub(crate) struct Tools {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Requests so far.
    pub(crate) asked: u64,
}

impl Tools {
    /// Starts the first of these servers, with this process's environment and its own.
    pub(crate) fn start(servers: &Value) -> Result<Tools, String> {
        let server = &servers[0];
        let command = server["command"].as_str().ok_or("there is no server")?;
        let texts = server["args"].as_array().into_iter().flatten();
        let env = server["env"].as_array().into_iter().flatten();
        let env = env.filter_map(|it| Some((it["name"].as_str()?, it["value"].as_str()?)));
        let mut child = Command::new(command)
            .args(texts.filter_map(Value::as_str))
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{command}: {error}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut tools = Tools {
            child,
            stdin: stdin.ok_or("no stdin")?,
            lines: BufReader::new(stdout.ok_or("no stdout")?).lines(),
            asked: 0,
        };
        let client = json!({"name": "fake-acp", "version": env!("CARGO_PKG_VERSION")});
        let hello =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        tools.ask("initialize", &hello)?;
        tools.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(tools)
    }

    /// The names of all tools.
    pub(crate) fn names(&mut self) -> Result<String, String> {
        let said = self.ask("tools/list", &json!({}))?;
        let tools = said["tools"].as_array().into_iter().flatten();
        let names: Vec<&str> = tools.filter_map(|tool| tool["name"].as_str()).collect();
        Ok(names.join(" "))
    }

    /// Calls a tool; what it says.
    pub(crate) fn call(&mut self, name: &str, input: &Value) -> Result<String, String> {
        let call = json!({"name": name, "arguments": input});
        let said = self.ask("tools/call", &call)?;
        let text = said["content"][0]["text"].as_str().unwrap_or_default();
        Ok(match said["isError"].as_bool() {
            Some(true) => format!("failed: {text}"),
            _ => text.to_owned(),
        })
    }

    fn say(&mut self, message: &Value) -> Result<(), String> {
        writeln!(self.stdin, "{message}").map_err(|error| error.to_string())
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let line = self.lines.next().ok_or("the server is gone")?;
            let line = line.map_err(|error| error.to_string())?;
            let said: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            if said["id"] == id {
                return match said.get("result") {
                    Some(result) => Ok(result.clone()),
                    None => Err(said["error"].to_string()),
                };
            }
        }
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
