//! Bodies on their way: a request's, which is bounded, and an answer's, which ends with its token.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::tokens::Leave;

/// Why a body breaks off.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;
/// A body that goes back to an agent.
pub(super) type Body = UnsyncBoxBody<Bytes, Error>;

/// The body of a request, as it comes, up to a bound.
pub(super) struct Upload {
    body: Incoming,
    left: u64,
    outcome: Arc<Outcome>,
}

/// How it ended, for whoever wonders why the request failed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    large: AtomicBool,
    broken: AtomicBool,
}

impl Outcome {
    /// It was larger than allowed.
    pub(super) fn is_large(&self) -> bool {
        self.large.load(Ordering::Relaxed)
    }

    /// The agent broke it off.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Upload {
    pub(super) fn new(body: Incoming, most: u64) -> (Upload, Arc<Outcome>) {
        let outcome = Arc::<Outcome>::default();
        let upload = Upload {
            body,
            left: most,
            outcome: Arc::clone(&outcome),
        };
        (upload, outcome)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                self.outcome.broken.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.outcome.large.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err("the request is too large".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, frame by frame; it breaks off when the agent's token ends. An answer that
/// breaks off is seen to: its connection is not ended properly.
pub(super) fn download(body: reqwest::Body, leave: Leave) -> Body {
    let frames = stream::unfold(Some((body, leave)), |state| async {
        let (mut body, mut leave) = state?;
        tokio::select! {
            frame = body.frame() => match frame? {
                Ok(frame) => Some((Ok(frame), Some((body, leave)))),
                Err(error) => Some((Err(Error::from(error.without_url())), None)),
            },
            _ = leave.alive.changed() => Some((Err("the agent is gone".into()), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
