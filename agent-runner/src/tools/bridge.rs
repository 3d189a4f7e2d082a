//! The agent's end of the way to the tools: `agent-runner --offer-tools PASS`, a server of the Model
//! Context Protocol on stdin and stdout that an agent starts like any other. It passes bytes on between
//! the agent and the runner, where the tools are, and knows nothing of either.
//!
//! It runs in the agent's jail and is the agent's own. [`pass`] is a file that only the agent's user
//! reads, with the runner's port on loopback and a token that holds for this one agent process. The
//! token stands in no argument: some agents hand the whole entry of a server on as one.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

/// The first argument that means this.
pub const FLAG: &str = "--offer-tools";
/// The longest pass, bytes.
const PASS_BYTES: u64 = 1024;

/// The directory of passes.
pub fn passes(state_dir: &Path) -> PathBuf {
    state_dir.join("tools")
}

/// Where the pass of an agent process lies.
pub fn pass(state_dir: &Path, launch: u64) -> PathBuf {
    passes(state_dir).join(launch.to_string())
}

/// Passes on until either side ends. `arguments` are those after [`FLAG`].
pub fn main(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let Some(pass) = arguments.next() else {
        eprintln!("agent-runner {FLAG} is for agents, which are told how to start it");
        return ExitCode::from(64);
    };
    match run(Path::new(&pass)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the tools of bulkhead cannot be reached: {error}");
            ExitCode::from(69)
        }
    }
}

fn run(pass: &Path) -> io::Result<()> {
    let mut text = String::new();
    std::fs::File::open(pass)?
        .take(PASS_BYTES)
        .read_to_string(&mut text)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "this is no pass");
    let (port, token) = text.trim_end().split_once(' ').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let runner = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    runner.set_nodelay(true)?;
    (&runner).write_all(format!("{token}\n").as_bytes())?;
    let to_runner = runner.try_clone()?;
    thread::spawn(move || {
        // At the end of stdin the agent has no more use for its tools: the runner ends what still runs.
        let _ = copy(&mut io::stdin().lock(), &mut &to_runner);
        let _ = to_runner.shutdown(Shutdown::Write);
    });
    // The runner ends it once the agent is known to be gone, or breaks the rules.
    copy(&mut &runner, &mut io::stdout().lock())
}

/// As [`io::copy`], with every piece on its way at once.
fn copy(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let n = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(piece.get(..n).unwrap_or_default())?;
        to.flush()?;
    }
}
