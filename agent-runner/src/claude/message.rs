//! A message of the model's API, as it stands in a line of the CLI's and in the session file.

use serde::Deserialize;
use serde_json::Value;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// A tool is called.
    Tool {
        /// Names the call.
        id: String,
        /// The tool.
        name: String,
        /// What it is given.
        input: Value,
    },
}

/// A message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) content: Content,
    pub(super) stop_reason: Option<String>,
    pub(super) model: String,
    pub(super) usage: Value,
}

/// Text, or a list of blocks.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Blocks(Vec<Block>),
    Unknown(serde::de::IgnoredAny),
}

impl Default for Content {
    fn default() -> Content {
        Content::Blocks(Vec::new())
    }
}

impl Content {
    pub(super) fn into_parts(self) -> Vec<Part> {
        match self {
            Content::Text(text) => vec![Part::Text(text)],
            Content::Blocks(blocks) => blocks
                .into_iter()
                .filter_map(|block| match block.r#type.as_str() {
                    "text" => Some(Part::Text(block.text)),
                    "tool_use" => Some(Part::Tool {
                        id: block.id,
                        name: block.name,
                        input: block.input,
                    }),
                    _ => None,
                })
                .collect(),
            Content::Unknown(_) => Vec::new(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block {
    r#type: String,
    pub(super) text: String,
    id: String,
    name: String,
    input: Value,
    pub(super) tool_use_id: String,
}
