//! How the agents of a project are closed in, and what that has kept them from.

use serde::{Deserialize, Serialize};

/// Runner → hub: the sandbox of the project's agents; at each link-up and whenever something of it
/// has changed. May be lost: the next one says it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What closes it, in the runner's few words (`landlock, namespaces`); empty = there is none.
    pub by: String,
    /// What of the network is left: `full`, `ports` or `none`; empty where there is no sandbox.
    #[serde(default)]
    pub network: String,
    /// The last refusal of each session that had one. At most 64.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// A refusal of a session's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The session.
    pub session: String,
    /// What was refused.
    pub what: Refusal,
}

/// What a sandbox kept an agent from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// To read a path.
    Read {
        /// The whole path, at most 256 bytes.
        path: String,
    },
    /// To make, change or remove a path.
    Write {
        /// The whole path, at most 256 bytes.
        path: String,
    },
    /// To reach a TCP port, wherever.
    Port {
        /// Its number.
        port: u16,
    },
    /// To reach anything on the network.
    Network,
    /// A refusal that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Refusal {
    /// What would allow it, as it is written into `[projects.agent.sandbox]`; empty = not known.
    pub fn setting(&self) -> String {
        match self {
            Self::Read { path } => format!("read = [{path:?}]"),
            Self::Write { path } => format!("write = [{path:?}]"),
            Self::Port { port } => format!("ports = [{port}]"),
            Self::Network => "network = \"full\"".to_owned(),
            Self::Unknown => String::new(),
        }
    }
}
