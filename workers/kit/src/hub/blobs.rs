//! Files on their way to the hub and from it, in segments.

use ipc_schema::{BlobGet, BlobRef, BlobSegment, Body, MAX_SEGMENT};
use sha2::{Digest as _, Sha256};

use crate::link::NotSent;

use super::Hub;
use super::core::{About, Fetch, File};

/// Segments that may wait on the link; whatever else is said overtakes no more than these.
const AHEAD: usize = 4;
/// Bytes that are hashed before others get their turn.
const HASHED_AT_ONCE: usize = 1 << 20;

/// The hub did not keep the file; say so to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hub did not keep the file: {0}")]
pub struct Unkept(pub String);

/// A file did not come from the hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// The hub has it no longer, or what it sent is not what was asked for.
    #[error("the file cannot be had: {0}")]
    Gone(String),
    /// It is larger than the caller takes.
    #[error("the file has {size} bytes, of at most {cap}")]
    TooLarge {
        /// Its size, bytes.
        size: u64,
        /// What the caller takes, bytes.
        cap: u64,
    },
}

impl Hub {
    /// Fetches a file that the hub keeps, at most `cap` bytes of it, and checks it against its
    /// hash. Through relinks. One file goes at a time; callers wait in order. Put it under a
    /// deadline: with the hub away it does not return.
    ///
    /// # Errors
    /// [`NotFetched`].
    pub async fn fetch(&self, blob: &BlobRef, cap: u64) -> Result<Vec<u8>, NotFetched> {
        if blob.size > cap {
            let size = blob.size;
            return Err(NotFetched::TooLarge { size, cap });
        }
        let _turn = self.inner.fetch.lock().await;
        let mut bytes = Vec::new();
        loop {
            let piece = self.piece(&blob.sha256, bytes.len() as u64).await?;
            let in_order = piece.offset == bytes.len() as u64 && piece.total == blob.size;
            let rest = blob.size - bytes.len() as u64;
            let fits = piece.bytes.len() as u64 <= rest && (rest == 0 || !piece.bytes.is_empty());
            if !in_order || !fits {
                return Err(NotFetched::Gone("the hub sent something else".into()));
            }
            bytes.extend_from_slice(&piece.bytes);
            if bytes.len() as u64 == blob.size {
                break;
            }
        }
        if hash(&bytes).await != blob.sha256 {
            return Err(NotFetched::Gone(
                "its content is not what its name says".into(),
            ));
        }
        Ok(bytes)
    }

    /// One piece; asked for again after a relink.
    async fn piece(&self, sha256: &str, offset: u64) -> Result<BlobSegment, NotFetched> {
        let link = &self.inner.link;
        loop {
            self.inner.until(|core| core.up.then_some(())).await;
            let epoch = link.epoch();
            self.inner.core().fetch = Some(Fetch {
                sha256: sha256.into(),
                piece: None,
            });
            let get = BlobGet {
                sha256: sha256.into(),
                offset,
            };
            match link.send(Body::BlobGet(get), "") {
                Ok(ticket) => self.inner.core().sent(ticket, About::Fetch(sha256.into())),
                Err(NotSent::Full) => {
                    link.flushed().await;
                    continue;
                }
                Err(NotSent::Down) => {
                    // Back only when the bookkeeping knows of it too, or this would spin.
                    self.inner
                        .until(|core| (!core.up || link.epoch() != epoch).then_some(()))
                        .await;
                    continue;
                }
            }
            let piece = self.inner.until(|core| {
                let piece = core.fetch.as_ref().and_then(|fetch| fetch.piece.clone());
                match piece {
                    Some(piece) => Some(Some(piece)),
                    None if !core.up || link.epoch() != epoch => Some(None),
                    None => None,
                }
            });
            if let Some(piece) = piece.await {
                self.inner.core().fetch = None;
                return piece.map_err(NotFetched::Gone);
            }
        }
    }

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
