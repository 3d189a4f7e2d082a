//! Why a process ends, and the exit code that says so.

use std::process::ExitCode;

/// Why a peer stops before it was asked to. The exit codes are sysexits'.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// 78: the configuration is wrong. Held until it changes.
    #[error("{0}")]
    Config(String),
    /// 77: the credentials are refused, and only a person can mend that. Held.
    #[error("{0}")]
    Credentials(String),
    /// 76: the hub speaks no grammar that this build knows. Held until one of them is upgraded.
    #[error("{0}")]
    Schema(String),
    /// 1: anything else. Restarted.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// Bad arguments (sysexits' EX_USAGE). Restarted like any failure.
pub(crate) const USAGE: u8 = 64;

impl Stop {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Stop::Config(_) => 78,
            Stop::Credentials(_) => 77,
            Stop::Schema(_) => 76,
            Stop::Failed(_) => 1,
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<&Stop> for ExitCode {
    fn from(stop: &Stop) -> ExitCode {
        stop.code().into()
    }
}
