//! Files on their way to the hub, in segments.

use ipc_schema::{BlobRef, BlobSegment, Body, MAX_SEGMENT};
use sha2::{Digest as _, Sha256};

use crate::link::NotSent;

use super::Hub;
use super::core::{About, File};

/// Segments that may wait on the link; whatever else is said overtakes no more than these.
const AHEAD: usize = 4;
/// Bytes that are hashed before others get their turn.
const HASHED_AT_ONCE: usize = 1 << 20;

/// The hub did not keep the file; say so to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hub did not keep the file: {0}")]
pub struct Unkept(pub String);

impl Hub {
    /// Has a file kept and waits until it is on disk, so that an [`ipc_schema::Inbound`] can name
    /// it. After a relink it is sent anew. One file goes at a time; callers wait in order. Put it
    /// under a deadline: with the hub away it does not return.
    ///
    /// # Errors
    /// [`Unkept`], in the hub's words.
    pub async fn put_blob(&self, bytes: &[u8], name: &str, mime: &str) -> Result<BlobRef, Unkept> {
        let sha256 = hash(bytes).await;
        let _turn = self.inner.file.lock().await;
        loop {
            self.inner.until(|core| core.up.then_some(())).await;
            self.inner.core().file = Some(File {
                sha256: sha256.clone(),
                outcome: None,
            });
            let Some(epoch) = self.send_segments(bytes, &sha256).await else {
                continue;
            };
            let fell = || self.inner.link.epoch() != epoch;
            let outcome = self.inner.until(|core| {
                let outcome = core.file.as_ref().and_then(|file| file.outcome.clone());
                match outcome {
                    Some(outcome) => Some(Some(outcome)),
                    None if !core.up || fell() => Some(None),
                    None => None,
                }
            });
            if let Some(outcome) = outcome.await {
                self.inner.core().file = None;
                outcome.map_err(Unkept)?;
                let size = bytes.len() as u64;
                return Ok(BlobRef {
                    sha256,
                    name: name.into(),
                    mime: mime.into(),
                    size,
                });
            }
        }
    }

    /// Sends all of it; the link's epoch, or `None` if the link fell on the way.
    async fn send_segments(&self, bytes: &[u8], sha256: &str) -> Option<u64> {
        let link = &self.inner.link;
        let epoch = link.epoch();
        let mut offset = 0;
        loop {
            link.room(AHEAD).await;
            if link.epoch() != epoch || self.inner.core().file.as_ref()?.outcome.is_some() {
                break;
            }
            let rest = bytes.get(offset..).unwrap_or_default();
            let piece = rest.get(..MAX_SEGMENT).unwrap_or(rest);
            let segment = BlobSegment {
                sha256: sha256.into(),
                offset: offset as u64,
                total: bytes.len() as u64,
                bytes: piece.to_vec(),
            };
            match link.send(Body::BlobSegment(segment), "") {
                Ok(ticket) => self.inner.core().sent(ticket, About::Blob(sha256.into())),
                Err(NotSent::Full) => {
                    link.flushed().await;
                    continue;
                }
                Err(NotSent::Down) => {
                    // Back only when the bookkeeping knows of it too, or this would spin.
                    self.inner
                        .until(|core| (!core.up || link.epoch() != epoch).then_some(()))
                        .await;
                    return None;
                }
            }
            offset += piece.len();
            if offset >= bytes.len() {
                break;
            }
        }
        Some(epoch)
    }
}

async fn hash(bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for piece in bytes.chunks(HASHED_AT_ONCE) {
        hasher.update(piece);
        tokio::task::yield_now().await;
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
