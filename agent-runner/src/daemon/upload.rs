//! A file on its way to the hub, piece by piece. Pure: what to send next, and what came of it.
//!
//! Promises: one file at a time; after a relink it is sent anew from its beginning; it is done only
//! when the hub says that it keeps it.

use std::collections::BTreeSet;

use ipc_schema::{BlobRef, BlobSegment, MAX_SEGMENT};
use tokio::sync::OwnedSemaphorePermit;

/// A file that a call sends.
#[derive(Debug)]
pub(super) struct Upload {
    launch: u64,
    call: u64,
    file: BlobRef,
    caption: String,
    bytes: Vec<u8>,
    offset: usize,
    /// The next file waits for this.
    _permit: OwnedSemaphorePermit,
}

impl Upload {
    pub(super) fn new(
        launch: u64,
        call: u64,
        file: BlobRef,
        caption: String,
        bytes: Vec<u8>,
        permit: OwnedSemaphorePermit,
    ) -> Upload {
        Upload {
            launch,
            call,
            file,
            caption,
            bytes,
            offset: 0,
            _permit: permit,
        }
    }

    /// Whose it is: launch and call.
    pub(super) fn of(&self) -> (u64, u64) {
        (self.launch, self.call)
    }

    /// What is to be shown.
    pub(super) fn into_file(self) -> (BlobRef, String) {
        (self.file, self.caption)
    }
}

/// The file that is on its way, if any. `T` names a piece that was sent.
#[derive(Debug)]
pub(super) struct Uploads<T> {
    current: Option<Upload>,
    /// Pieces that the hub may still refuse.
    tickets: BTreeSet<T>,
    /// The link is down.
    paused: bool,
}

impl<T: Ord> Uploads<T> {
    /// None is on its way.
    pub(super) fn new() -> Uploads<T> {
        Uploads {
            current: None,
            tickets: BTreeSet::new(),
            paused: false,
        }
    }

    /// Begins with a file.
    pub(super) fn take(&mut self, upload: Upload) {
        self.current = Some(upload);
        self.tickets.clear();
    }

    /// Whether there is a piece to be sent.
    pub(super) fn waits(&self) -> bool {
        !self.paused
            && self
                .current
                .as_ref()
                .is_some_and(|upload| upload.offset < upload.bytes.len())
    }

    /// The next piece.
    pub(super) fn next(&self) -> Option<BlobSegment> {
        let upload = self.current.as_ref().filter(|_| self.waits())?;
        let rest = upload.bytes.get(upload.offset..)?;
        Some(BlobSegment {
            sha256: upload.file.sha256.clone(),
            offset: upload.offset as u64,
            total: upload.file.size,
            bytes: rest.get(..MAX_SEGMENT).unwrap_or(rest).to_vec(),
        })
    }

    /// It is on the link.
    pub(super) fn sent(&mut self, ticket: T) {
        if let Some(upload) = &mut self.current {
            upload.offset = (upload.offset + MAX_SEGMENT).min(upload.bytes.len());
            self.tickets.insert(ticket);
        }
    }

    /// The link is down.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// The link stands anew: what was sent on the old one may be lost.
    pub(super) fn again(&mut self) {
        self.paused = false;
        self.tickets.clear();
        if let Some(upload) = &mut self.current {
            upload.offset = 0;
        }
    }

    /// The hub keeps this file; the upload that is done with it.
    pub(super) fn kept(&mut self, sha256: &str) -> Option<Upload> {
        self.current.take_if(|upload| upload.file.sha256 == sha256)
    }

    /// The hub could not use what this ticket names; the upload that fails with it.
    pub(super) fn refused(&mut self, ticket: Option<T>) -> Option<Upload> {
        let known = ticket.is_some_and(|ticket| self.tickets.contains(&ticket));
        self.current.take_if(|_| known)
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self, launch: u64, call: u64) {
        self.current.take_if(|upload| upload.of() == (launch, call));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn upload(one: &Arc<Semaphore>, size: usize) -> Upload {
        let permit = Arc::clone(one).try_acquire_owned().unwrap();
        let file = BlobRef {
            sha256: "ab".into(),
            size: size as u64,
            ..BlobRef::default()
        };
        Upload::new(1, 2, file, "look".into(), vec![7; size], permit)
    }

    /// What the pieces amount to that are sent until nothing waits.
    fn drain(uploads: &mut Uploads<u64>, ticket: u64) -> Vec<(u64, usize)> {
        let mut pieces = Vec::new();
        while let Some(piece) = uploads.next() {
            assert_eq!(piece.total as usize, MAX_SEGMENT + 9);
            pieces.push((piece.offset, piece.bytes.len()));
            uploads.sent(ticket);
        }
        pieces
    }

    const WHOLE: [(u64, usize); 2] = [(0, MAX_SEGMENT), (MAX_SEGMENT as u64, 9)];

    #[test]
    fn a_file_goes_in_pieces_and_anew_after_a_relink() {
        let one = Arc::new(Semaphore::new(1));
        let mut uploads = Uploads::new();
        assert_eq!(uploads.next(), None);
        uploads.take(upload(&one, MAX_SEGMENT + 9));
        assert!(uploads.waits());
        assert_eq!(drain(&mut uploads, 1), WHOLE);
        assert!(!uploads.waits());
        uploads.pause();
        assert_eq!(uploads.next(), None);
        uploads.again();
        assert!(uploads.refused(Some(1)).is_none(), "of the old link");
        assert_eq!(drain(&mut uploads, 2), WHOLE);
        assert!(uploads.kept("cd").is_none());
        let done = uploads.kept("ab").unwrap();
        assert_eq!(done.of(), (1, 2));
        assert_eq!(one.available_permits(), 0, "until it is let go");
        assert_eq!(done.into_file().1, "look");
        assert_eq!(one.available_permits(), 1);
        assert!(uploads.kept("ab").is_none());
    }

    #[test]
    fn a_file_that_is_refused_or_not_wanted_makes_room() {
        let one = Arc::new(Semaphore::new(1));
        let mut uploads = Uploads::new();
        uploads.take(upload(&one, MAX_SEGMENT + 9));
        uploads.sent(5);
        assert!(uploads.refused(None).is_none() && uploads.refused(Some(4)).is_none());
        assert_eq!(uploads.refused(Some(5)).unwrap().of(), (1, 2));
        uploads.take(upload(&one, MAX_SEGMENT + 9));
        assert!(uploads.refused(Some(5)).is_none(), "of the file before");
        uploads.forget(1, 3);
        assert!(uploads.waits());
        uploads.forget(1, 2);
        assert!(!uploads.waits() && one.available_permits() == 1);
    }
}
