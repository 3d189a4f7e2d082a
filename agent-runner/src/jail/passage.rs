//! What the runner serves on this machine's loopback, for an agent whose jail has a loopback of its own:
//! the jail hands out a listener for each port, and whoever connects to one is joined to that port
//! outside, and to nothing else.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::{AsyncReadExt as _, Interest, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LetIn;

/// The most ports that are let into one jail.
pub const PORTS: usize = 4;
/// Connections at a time, to each port; more wait.
const CONNECTIONS: usize = 64;
/// How long a jail may take until it hands out its listeners.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ways of one agent out of its jail.
#[derive(Debug)]
pub struct Passage {
    listener: StdListener,
    let_in: LetIn,
}

impl Passage {
    /// Waits for the jail at the place that it was told.
    ///
    /// # Errors
    /// What the system says: the path may be too long for a socket.
    pub fn open(let_in: &LetIn) -> io::Result<Passage> {
        match std::fs::remove_file(&let_in.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(&let_in.socket)?;
        listener.set_nonblocking(true)?;
        let let_in = let_in.clone();
        Ok(Passage { listener, let_in })
    }

    /// Serves until the jail is gone.
    pub async fn serve(self) {
        let ports = self.let_in.ports.clone();
        let (jail, listeners) = match timeout(PATIENCE, self.jail()).await {
            Ok(Ok(came)) => came,
            Ok(Err(error)) => {
                tracing::error!(%error, "the agent's ways out of its sandbox cannot be opened");
                return;
            }
            // Its failure has been told elsewhere.
            Err(_) => return,
        };
        let mut joined = JoinSet::new();
        for (listener, port) in listeners.into_iter().zip(ports) {
            joined.spawn(join(listener, port));
        }
        // They end with it.
        gone(jail).await;
    }

    async fn jail(self) -> io::Result<(UnixStream, Vec<TcpListener>)> {
        let listener = UnixListener::from_std(self.listener)?;
        let (stream, _) = listener.accept().await?;
        // Nobody else is to come.
        let _ = std::fs::remove_file(&self.let_in.socket);
        let handed = stream
            .async_io(Interest::READABLE, || receive(&stream))
            .await?;
        if handed.len() != self.let_in.ports.len() {
            return Err(short());
        }
        let listeners = handed.into_iter().map(|handed| {
            let listener = std::net::TcpListener::from(handed);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        Ok((stream, listeners.collect::<io::Result<_>>()?))
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it hands out too few listeners")
}

fn receive(from: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PORTS))];
    let mut handed = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let came = recvmsg(from, &mut bytes, &mut handed, RecvFlags::CMSG_CLOEXEC)?;
    if came.flags.contains(ReturnFlags::CTRUNC) {
        return Err(short());
    }
    let mut descriptors = Vec::new();
    for message in handed.drain() {
        if let RecvAncillaryMessage::ScmRights(all) = message {
            descriptors.extend(all);
        }
    }
    Ok(descriptors)
}

/// It says nothing more; its end is the end of the jail.
async fn gone(mut jail: UnixStream) {
    let mut byte = [0];
    while let Ok(1..) = jail.read(&mut byte).await {}
}

async fn join(listener: TcpListener, port: u16) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let mut agent = match listener.accept().await {
            Ok((agent, _)) => agent,
            Err(error) => {
                // Out of descriptors, say: that passes.
                tracing::warn!(%error, "a connection of the agent's is not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        tokio::spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = agent.set_nodelay(true);
                let _ = outside.set_nodelay(true);
                // Whichever of them breaks off, the other learns it by that.
                let _ = copy_bidirectional(&mut agent, &mut outside).await;
            }
            drop(permit);
        });
    }
}
