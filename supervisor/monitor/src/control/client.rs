//! The asking side, for a command line: blocking, with deadlines, no runtime needed.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::{Answer, Request, Status};
use crate::claim::Claim;

/// For an answer. A reload reads and validates the configuration before it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer: hundreds of processes.
const ANSWER_BYTES: u64 = 4 << 20;

/// Asks the monitor of one runtime directory.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
}

/// Why there is no answer, or no good one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no bulkhead runs here ({}): {source}. Start it, or name its --runtime-dir", .path.display())]
    Absent {
        /// The socket that was tried.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("the bulkhead at {} belongs to another user; ask as that user or as root", .path.display())]
    Forbidden {
        /// The socket that was tried.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error(
        "the monitor does not answer: {0}. If it hangs, the log of its last minutes says where"
    )]
    Broken(#[from] io::Error),
    /// The answer is no answer.
    #[error("the monitor's answer cannot be read ({0}): are command and monitor of one version?")]
    Garbled(#[from] serde_json::Error),
    /// The monitor said no.
    #[error("{0}")]
    Refused(String),
}

impl Client {
    /// For the monitor whose runtime directory this is. Connects only when it asks.
    pub fn new(runtime_dir: &std::path::Path) -> Self {
        Self {
            path: Claim::control_socket(runtime_dir),
        }
    }

    /// How everything is.
    ///
    /// # Errors
    /// If there is no monitor, or no answer within 30 seconds.
    pub fn status(&self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Ok(status),
            Answer::Done(words) | Answer::Refused(words) => Err(ClientError::Refused(words)),
        }
    }

    /// Asks for anything else; the answer is in words.
    ///
    /// # Errors
    /// As [`Client::status`]; [`ClientError::Refused`] if the monitor said no.
    pub fn order(&self, request: &Request) -> Result<String, ClientError> {
        match self.ask(request)? {
            Answer::Done(words) => Ok(words),
            Answer::Refused(words) => Err(ClientError::Refused(words)),
            Answer::Status(_) => Ok(String::new()),
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, ClientError> {
        let path = || self.path.clone();
        let mut stream = UnixStream::connect(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { path: path() },
            _ => ClientError::Absent {
                path: path(),
                source,
            },
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        writeln!(stream, "{}", request.line())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
        if answer.is_empty() {
            return Err(ClientError::Forbidden { path: path() });
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_monitor_is_said_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let error = Client::new(dir.path()).status().unwrap_err().to_string();
        assert!(error.contains("no bulkhead runs here"), "{error}");
    }
}
