//! The tools that the runner itself offers to an agent: two of its own, and what the operator defines.
//!
//! Promises: what an agent sends is checked against the tool's schema before anything is done with it;
//! secrets are in none of the descriptions. This part decides and describes, and is pure; [`run`] does.
//!
//! They are offered by the Model Context Protocol ([`mcp`]): to Claude Code within its own protocol, to
//! agents over ACP by a server that they start, the [`bridge`], which comes in by the [`door`].

pub mod bridge;
pub mod changeable;
pub mod clock;
pub mod door;
pub mod file;
mod http;
pub mod mcp;
pub mod options;
pub mod program;
pub mod run;
mod said;

use std::sync::Arc;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use self::options::ToolOptions;
use crate::options::Options;

/// The name of the server by which agents know the tools.
pub const SERVER: &str = "bulkhead";
/// Sends a file to the chat.
pub const SEND_FILE: &str = "send_file";
/// Tells the time.
pub const CURRENT_TIME: &str = "current_time";
/// The longest caption of a file, in characters.
pub const CAPTION: usize = 1000;
/// The longest complaint about an input, in bytes.
const COMPLAINT: usize = 2000;

/// What a tool does.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// Sends a file of the work directory to the chat.
    SendFile,
    /// Tells the time.
    CurrentTime,
    /// What the operator wrote.
    Operators(Arc<ToolOptions>),
}

/// A tool.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    description: String,
    input: Value,
    schema: SchemaIndex,
    does: Does,
}

/// All tools of a runner.
pub struct Catalogue {
    tools: Vec<Tool>,
    schemas: Schemas,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.tools.iter().map(|tool| &tool.name))
            .finish()
    }
}

/// Why an input is not used, in words for the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such tool.
    #[error("there is no tool {0}")]
    Unknown(String),
    /// The input is not what the schema asks for.
    #[error("the input does not fit the tool's schema: {0}")]
    Unfit(String),
}

impl Catalogue {
    /// The tools that these options call for.
    ///
    /// # Errors
    /// The name of the tool whose schema is none, and why.
    pub fn new(options: &Options) -> Result<Catalogue, (String, String)> {
        let mut catalogue = Catalogue {
            tools: Vec::new(),
            schemas: Schemas::new(),
        };
        catalogue.add(
            CURRENT_TIME,
            "The current date and time.",
            json!({
                "type": "object",
                "properties": {"timezone": {
                    "type": "string", "maxLength": 64,
                    "description": "IANA name such as Asia/Shanghai; without it the computer's own",
                }},
                "additionalProperties": false,
            }),
            Does::CurrentTime,
        )?;
        if options.sends_files() {
            catalogue.add(
                SEND_FILE,
                "Sends a file of the working directory to the chat, where the person can open it.",
                json!({
                    "type": "object",
                    "properties": {
                        "path": {"type": "string", "minLength": 1, "maxLength": 4096,
                            "description": "The file, from the working directory"},
                        "caption": {"type": "string", "maxLength": CAPTION,
                            "description": "A word that is shown with it"},
                    },
                    "required": ["path"],
                    "additionalProperties": false,
                }),
                Does::SendFile,
            )?;
        }
        for tool in &options.tools {
            catalogue.add(
                &tool.name,
                &tool.description,
                tool.input.clone(),
                Does::Operators(Arc::new(tool.clone())),
            )?;
        }
        Ok(catalogue)
    }

    fn add(
        &mut self,
        name: &str,
        description: &str,
        input: Value,
        does: Does,
    ) -> Result<(), (String, String)> {
        let wrong = |error: &dyn std::fmt::Display| (name.to_owned(), error.to_string());
        let schema = compile(&mut self.schemas, name, &input).map_err(|error| wrong(&error))?;
        self.tools.push(Tool {
            name: name.to_owned(),
            description: description.to_owned(),
            input,
            schema,
            does,
        });
        Ok(())
    }

    /// What an agent is told of the tools, as MCP has it.
    pub fn list(&self) -> Value {
        self.tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.name, "description": tool.description, "inputSchema": tool.input,
                })
            })
            .collect()
    }

    /// What a tool does with this input.
    ///
    /// # Errors
    /// Why nothing is done.
    pub fn check(&self, name: &str, input: &Value) -> Result<Does, Refused> {
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let Some(tool) = tool else {
            return Err(Refused::Unknown(crate::text::head(name, 100).to_owned()));
        };
        self.schemas.validate(input, tool.schema).map_err(|error| {
            Refused::Unfit(crate::text::head(&complaint(&error), COMPLAINT).into())
        })?;
        Ok(tool.does.clone())
    }
}

fn compile(
    schemas: &mut Schemas,
    name: &str,
    schema: &Value,
) -> Result<SchemaIndex, Box<boon::CompileError>> {
    // Nothing is fetched: a schema stands whole in the configuration.
    let at = format!("tool:{name}");
    let mut compiler = Compiler::new();
    compiler.add_resource(&at, schema.clone())?;
    Ok(compiler.compile(&at, schemas)?)
}

/// The places that are wrong and why, a line each.
fn complaint(error: &boon::ValidationError<'_, '_>) -> String {
    let mut lines = Vec::new();
    let mut causes = vec![error];
    while let Some(cause) = causes.pop() {
        if cause.causes.is_empty() {
            let place = cause.instance_location.to_string();
            let place = if place.is_empty() { "/" } else { &place };
            lines.push(format!("{place}: {}", cause.kind));
        }
        causes.extend(&cause.causes);
    }
    lines.join("\n")
}

/// Whether a text is a JSON Schema of an object.
pub(crate) fn check_schema(name: &str, schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        return Err("describes an object: it needs type = \"object\"".into());
    }
    compile(&mut Schemas::new(), name, schema)
        .map(|_| ())
        .map_err(|error| format!("is no JSON Schema: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let options = serde_json::from_value(json!({"tools": [{
            "name": "order", "description": "Looks an order up.", "command": ["true"],
            "secrets": {"KEY": "hunter2"},
            "input": {"type": "object", "required": ["id"], "properties":
                {"id": {"type": "integer", "minimum": 1}}},
        }]}));
        Catalogue::new(&options.unwrap()).unwrap()
    }

    #[test]
    fn tools_are_listed_without_their_secrets() {
        let list = catalogue().list();
        let names: Vec<&str> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, [CURRENT_TIME, SEND_FILE, "order"]);
        assert!(!list.to_string().contains("hunter2"));
    }

    #[test]
    fn files_are_sent_unless_it_is_refused_and_to_strangers_only_if_it_is_written() {
        for (written, offered) in [
            (json!({}), true),
            (json!({"send_file": false}), false),
            (json!({"send_file_max_bytes": 0}), false),
            (json!({"send_file_max_bytes": 0, "send_file": true}), false),
            (json!({"tools_only": true}), false),
            (json!({"tools_only": true, "send_file": true}), true),
        ] {
            let options: Options = serde_json::from_value(written.clone()).unwrap();
            let catalogue = Catalogue::new(&options).unwrap();
            let can = catalogue.check(SEND_FILE, &json!({"path": ".env"})).is_ok();
            assert_eq!(can, offered, "{written}");
            let told = catalogue.list().to_string().contains(SEND_FILE);
            assert_eq!(told, offered, "{written}");
        }
    }

    #[test]
    fn an_input_that_does_not_fit_is_refused_in_words() {
        let catalogue = catalogue();
        assert!(catalogue.check("order", &json!({"id": 3})).is_ok());
        for (input, word) in [
            (json!({}), "id"),
            (json!({"id": 0}), "/id"),
            (json!({"id": "1; drop"}), "integer"),
            (json!([]), "object"),
        ] {
            let refused = catalogue.check("order", &input).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
        let more = json!({"path": "a", "mode": "x"});
        assert!(catalogue.check(SEND_FILE, &more).is_err());
        assert!(matches!(
            catalogue.check("florp", &json!({})),
            Err(Refused::Unknown(name)) if name == "florp"
        ));
    }

    #[test]
    fn what_is_no_schema_is_told_before_anything_runs() {
        for bad in [
            json!({"type": "object", "properties": 3}),
            json!({"type": "string"}),
            json!({"type": "object", "$ref": "https://example.com/x.json"}),
        ] {
            assert!(check_schema("x", &bad).is_err(), "{bad}");
        }
        assert_eq!(check_schema("x", &json!({"type": "object"})), Ok(()));
    }
}
