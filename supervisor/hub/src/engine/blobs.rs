//! Files: from workers and runners into the spool, and from it to whoever asks.
//!
//! A file comes in segments and is called kept only with the commit of the row that names it. What
//! cannot be kept is answered in words; nobody else's work is held up by it.

use ipc_schema::{BlobGet, BlobGone, BlobKept, BlobRef, BlobSegment, Body, MAX_SEGMENT, Nack};
use spool::{BlobWriter, SpoolError};

use super::Engine;

/// Files of one peer that are on their way; the oldest gives way to another.
const WRITERS: usize = 4;
/// Segments that are read in one batch.
const READS: usize = 16;

/// A file on its way in.
pub(super) struct Incoming {
    sha256: String,
    writer: BlobWriter,
}

impl Engine {
    /// A piece of a file.
    pub(super) fn blob_segment(
        &mut self,
        peer: &str,
        id: u64,
        segment: BlobSegment,
        now: u64,
    ) -> Result<(), SpoolError> {
        let sha256 = segment.sha256.clone();
        match self.take_segment(peer, segment, now) {
            Ok(true) => self.send(peer, "", Body::BlobKept(BlobKept { sha256 })),
            Ok(false) => {}
            // The file's trouble alone: said to whoever sent it.
            Err(error @ (SpoolError::Refused(_) | SpoolError::Full(_) | SpoolError::Io(_))) => {
                self.incoming_of(peer).retain(|file| file.sha256 != sha256);
                let why = error.to_string();
                tracing::warn!(peer, %why, "a file is not kept");
                self.send(peer, "", Body::Nack(Nack { id, why }));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether that was the last piece, and the file is kept.
    fn take_segment(
        &mut self,
        peer: &str,
        segment: BlobSegment,
        now: u64,
    ) -> Result<bool, SpoolError> {
        let most = self.plan.attachments.max_bytes.min(spool::MAX_BLOB);
        if segment.total > most {
            let why = format!("a file may have {} MiB here", most >> 20);
            return Err(SpoolError::Refused(why));
        }
        if segment.bytes.len() > MAX_SEGMENT {
            let why = format!("a piece of a file has at most {} KiB", MAX_SEGMENT >> 10);
            return Err(SpoolError::Refused(why));
        }
        let BlobSegment {
            sha256,
            offset,
            total,
            bytes,
        } = segment;
        let is_last = offset.saturating_add(bytes.len() as u64) >= total;
        let begun = self
            .incoming_of(peer)
            .iter()
            .any(|file| file.sha256 == sha256);
        if (offset == 0 || !begun) && self.spool.blob_path(&sha256)?.is_some() {
            return Ok(is_last && self.spool.touch_blob(&sha256, now)?);
        }
        if offset == 0 {
            let writer = self.spool.blob_writer(&sha256, total)?;
            let incoming = self.incoming_of(peer);
            incoming.retain(|file| file.sha256 != sha256);
            if incoming.len() == WRITERS {
                incoming.remove(0);
            }
            let sha256 = sha256.clone();
            incoming.push(Incoming { sha256, writer });
        }
        let incoming = self.incoming_of(peer);
        let Some(index) = incoming.iter().position(|file| file.sha256 == sha256) else {
            let why = "the beginning of this file is not here: send all of it again".to_owned();
            return Err(SpoolError::Refused(why));
        };
        if !incoming[index].writer.write(offset, &bytes)? {
            return Ok(false);
        }
        let Incoming { writer, .. } = incoming.remove(index);
        writer.finish(&self.spool, now)?;
        Ok(true)
    }

    fn incoming_of(&mut self, peer: &str) -> &mut Vec<Incoming> {
        self.incoming.entry(peer.to_owned()).or_default()
    }

    /// A peer wants a piece of a file.
    pub(super) fn blob_get(&mut self, peer: &str, id: u64, get: BlobGet) -> Result<(), SpoolError> {
        let read = self
            .out
            .iter()
            .filter(|out| matches!(out.body, Body::BlobSegment(_)));
        if read.count() >= READS {
            let why = "too many pieces of files at once: ask for one after the other".to_owned();
            self.send(peer, "", Body::Nack(Nack { id, why }));
            return Ok(());
        }
        let BlobGet { sha256, offset } = get;
        let read = match self.spool.read_blob(&sha256, offset, MAX_SEGMENT) {
            Err(error @ (SpoolError::Refused(_) | SpoolError::Io(_))) => {
                tracing::warn!(peer, %error, "a file cannot be read");
                None
            }
            read => read?,
        };
        let body = match read {
            Some((bytes, total)) => Body::BlobSegment(BlobSegment {
                sha256,
                offset,
                total,
                bytes,
            }),
            None => Body::BlobGone(BlobGone { sha256 }),
        };
        self.send(peer, "", body);
        Ok(())
    }

    /// Has a text of our own kept as a file; `None` if there is no room for it.
    pub(super) fn keep_file(
        &mut self,
        name: &str,
        mime: &str,
        bytes: &[u8],
        now: u64,
    ) -> Result<Option<BlobRef>, SpoolError> {
        match self.spool.keep_bytes(bytes, now) {
            Err(error @ (SpoolError::Refused(_) | SpoolError::Full(_) | SpoolError::Io(_))) => {
                tracing::warn!(name, %error, "a file is not kept");
                Ok(None)
            }
            kept => Ok(Some(BlobRef {
                sha256: kept?,
                name: name.to_owned(),
                mime: mime.to_owned(),
                size: bytes.len() as u64,
            })),
        }
    }

    /// Names the files that came with a turn's message; what is not kept is returned, by name.
    pub(super) fn attach(
        &mut self,
        turn: &str,
        files: &[BlobRef],
    ) -> Result<Vec<String>, SpoolError> {
        let mut missing = Vec::new();
        for file in files {
            match self
                .spool
                .attach(turn, &file.sha256, &file.name, &file.mime)
            {
                Err(SpoolError::Refused(why)) => {
                    tracing::warn!(turn, %why, "an attachment is not there");
                    missing.push(file.name.clone());
                }
                attached => attached?,
            }
        }
        Ok(missing)
    }

    /// The files that the agent gets with a turn's prompt.
    pub(super) fn attached(&self, turn: &str) -> Result<Vec<BlobRef>, SpoolError> {
        let files = self.spool.attachments(turn)?.into_iter();
        let files = files.map(|file| BlobRef {
            sha256: file.sha256,
            name: file.name,
            mime: file.mime,
            size: file.size,
        });
        Ok(files.collect())
    }
}
