//! A model on this machine's loopback, for an agent whose jail has a loopback of its own: the jail
//! hands out a listener, and whoever connects to it is joined to the model, and to nothing else.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::{AsyncReadExt as _, Interest, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Model;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// How long a jail may take until it hands out its listener.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way of one agent to its model.
#[derive(Debug)]
pub struct ModelPort {
    listener: StdListener,
    path: PathBuf,
    port: u16,
}

impl ModelPort {
    /// Waits for the jail at the place that it was told.
    ///
    /// # Errors
    /// What the system says: the path may be too long for a socket.
    pub fn open(model: &Model) -> io::Result<ModelPort> {
        match std::fs::remove_file(&model.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(&model.socket)?;
        listener.set_nonblocking(true)?;
        Ok(ModelPort {
            listener,
            path: model.socket.clone(),
            port: model.port,
        })
    }

    /// Serves until the jail is gone.
    pub async fn serve(self) {
        let port = self.port;
        let jail = timeout(PATIENCE, self.jail()).await;
        let (jail, listener) = match jail {
            Ok(Ok(came)) => came,
            Ok(Err(error)) => {
                tracing::error!(%error, "the agent's way to its model cannot be opened");
                return;
            }
            // Its failure has been told elsewhere.
            Err(_) => return,
        };
        tokio::select! {
            () = gone(jail) => {}
            () = join(listener, port) => {}
        }
    }

    async fn jail(self) -> io::Result<(UnixStream, TcpListener)> {
        let listener = UnixListener::from_std(self.listener)?;
        let (stream, _) = listener.accept().await?;
        // Nobody else is to come.
        let _ = std::fs::remove_file(&self.path);
        let handed = stream
            .async_io(Interest::READABLE, || receive(&stream))
            .await?;
        let listener = std::net::TcpListener::from(handed);
        listener.set_nonblocking(true)?;
        Ok((stream, TcpListener::from_std(listener)?))
    }
}

fn receive(from: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut handed = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let came = recvmsg(from, &mut bytes, &mut handed, RecvFlags::CMSG_CLOEXEC)?;
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "it hands out no listener");
    if came.flags.contains(ReturnFlags::CTRUNC) {
        return Err(missing());
    }
    let mut descriptors = handed.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut all) => all.next(),
        _ => None,
    });
    descriptors.next().ok_or_else(missing)
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
                tracing::warn!(%error, "the agent's call to its model is not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        tokio::spawn(async move {
            if let Ok(mut model) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = agent.set_nodelay(true);
                let _ = model.set_nodelay(true);
                // Whichever of them breaks off, the other learns it by that.
                let _ = copy_bidirectional(&mut agent, &mut model).await;
            }
            drop(permit);
        });
    }
}
