//! A stream that remembers when something last came in on it.
//!
//! A picture of 14 MB takes a slow line longer than a pong may: as long as bytes come, the other end
//! is not dead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// When something last came in.
#[derive(Debug)]
pub(crate) struct Heard {
    epoch: Instant,
    millis: AtomicU64,
}

impl Heard {
    /// Counts from now.
    pub(crate) fn new(now: Instant) -> Arc<Heard> {
        Arc::new(Heard {
            epoch: now,
            millis: AtomicU64::new(0),
        })
    }

    /// When something last came in; the beginning, if nothing did.
    pub(crate) fn last(&self) -> Instant {
        self.epoch + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    fn now(&self) {
        let since = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(since, Ordering::Relaxed);
    }
}

/// A stream that tells [`Heard`].
#[derive(Debug)]
pub(crate) struct Listening<S> {
    inner: S,
    heard: Arc<Heard>,
}

impl<S> Listening<S> {
    /// Over `inner`.
    pub(crate) fn new(inner: S, heard: Arc<Heard>) -> Listening<S> {
        Listening { inner, heard }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.now();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
