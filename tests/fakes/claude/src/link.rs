//! What the agent and the test that controls it say to each other: one JSON object a line.
//!
//! Promises: an agent whose control is gone goes on without one.
//! Does not: carry anything that the real one has; the agent's own protocol knows nothing of it.

use std::io;
use std::path::Path;

use fake_model::script::Point;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, Lines,
};
use tokio::net::{TcpStream, UnixStream};

/// The variable that names the control: `HOST:PORT`, or the path of a Unix socket.
pub const CONTROL: &str = "FAKE_CLAUDE_CONTROL";

/// From the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Said {
    Hello(Hello),
    At(At),
    /// It no longer stands there: the turn was stopped.
    Left {
        n: u64,
    },
    Tool {
        uuid: String,
        name: String,
        input: Value,
    },
}

/// To the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    /// It may pass.
    Go { n: u64 },
}

/// An agent process, by its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its process id.
    pub pid: u32,
    /// The session's id.
    pub session: String,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub cwd: String,
    /// Names of its environment variables, sorted. Values are not told.
    pub env: Vec<String>,
}

/// A turn at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct At {
    pub(crate) n: u64,
    pub(crate) session: String,
    pub(crate) uuid: String,
    pub(crate) prompt: String,
    pub(crate) point: Point,
    pub(crate) wanted: bool,
    pub(crate) continued: bool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The agent's end.
pub(crate) struct Link {
    lines: Lines<BufReader<tokio::io::ReadHalf<Box<dyn Stream>>>>,
    writer: tokio::io::WriteHalf<Box<dyn Stream>>,
}

impl Link {
    /// Connects to what [`CONTROL`] names.
    ///
    /// # Errors
    /// Nothing listens there.
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let stream: Box<dyn Stream> = if address.starts_with('/') {
            Box::new(UnixStream::connect(Path::new(address)).await?)
        } else {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        };
        let (reader, writer) = tokio::io::split(stream);
        Ok(Self {
            lines: BufReader::new(reader).lines(),
            writer,
        })
    }

    pub(crate) async fn say(&mut self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        self.writer.write_all(&line).await
    }

    /// The next word; `None` when the control is gone. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn hear(&mut self) -> Option<Told> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}
