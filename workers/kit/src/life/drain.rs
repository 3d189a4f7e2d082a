//! When a process is to end: SIGTERM, SIGINT, or the end of the `alive` pipe.

use std::fs::File;
use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// Starts to watch; the receiver turns `true` once and stays so.
///
/// # Errors
/// If the system gives no signal handlers, or `alive` is no pipe.
pub fn watch(alive: Option<File>) -> io::Result<watch::Receiver<bool>> {
    let (drain, draining) = watch::channel(false);
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut alive = alive.map(pipe::Receiver::from_file).transpose()?;
    tokio::spawn(async move {
        let why = tokio::select! {
            _ = term.recv() => "asked by SIGTERM",
            _ = int.recv() => "asked by SIGINT",
            () = ended(alive.as_mut()) => "the parent is gone",
        };
        info!("draining: {why}");
        drain.send_replace(true);
        // Kept open, so that a receiver never sees a sender that has gone.
        drain.closed().await;
    });
    Ok(draining)
}

/// Returns at the end of the pipe. What is written into it means nothing.
async fn ended(alive: Option<&mut pipe::Receiver>) {
    let Some(alive) = alive else {
        return std::future::pending().await;
    };
    let mut ignored = [0; 64];
    while !matches!(alive.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
