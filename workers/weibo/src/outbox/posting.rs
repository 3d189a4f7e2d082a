//! Files on their way to the account's owner. Pure.
//!
//! One is posted at a time, by a request of its own, once the text before it is certain; a failure
//! that may pass is tried again, a few times. A request that failed may have been obeyed all the
//! same: a file may stand twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipc_schema::BlobRef;

use super::{Chunk, Delivered, Outbox};

/// How often a file is tried.
pub(super) const ATTEMPTS: u32 = 6;

/// The files of one chunk.
#[derive(Debug)]
pub(super) struct Posting {
    key: String,
    files: VecDeque<BlobRef>,
    /// Nothing of the chunk's text is in doubt.
    ready: bool,
    /// The message that the text is in; empty where there is none.
    message_id: String,
    failures: u32,
    not_before: Option<Instant>,
}

/// A file to post.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    /// To whom.
    pub(crate) uid: String,
    /// Of which chunk.
    pub(crate) key: String,
    /// The file.
    pub(crate) file: BlobRef,
}

impl Posting {
    pub(super) fn new(chunk: &Chunk, files: Vec<BlobRef>) -> Posting {
        Posting {
            key: chunk.key.clone(),
            files: files.into(),
            ready: chunk.text.is_empty(),
            message_id: String::new(),
            failures: 0,
            not_before: None,
        }
    }

    pub(super) fn is_of(&self, key: &str) -> bool {
        self.key == key
    }

    /// The chunk's text is certain.
    pub(super) fn shown(&mut self, message_id: String) {
        self.ready = true;
        self.message_id = message_id;
    }

    /// The files again, if the text before them is in doubt.
    pub(super) fn undone(posting: &mut Option<Posting>) -> Option<Vec<BlobRef>> {
        let posting = posting.take_if(|posting| !posting.ready)?;
        Some(posting.files.into())
    }

    pub(super) fn into_key(self) -> String {
        self.key
    }
}

impl Outbox {
    /// The next file to post, if none is under way and one is due.
    pub(crate) fn next_file(&mut self, now: Instant) -> Option<Job> {
        if self.posting {
            return None;
        }
        for (uid, lane) in &mut self.lanes {
            if let Some(posting) = &mut lane.posting
                && posting.ready
                && posting.not_before.is_none_or(|at| now >= at)
                && let Some(file) = posting.files.front()
            {
                self.posting = true;
                return Some(Job {
                    uid: uid.clone(),
                    key: posting.key.clone(),
                    file: file.clone(),
                });
            }
        }
        None
    }

    /// When a file is due that had to wait.
    pub(crate) fn next_file_at(&self) -> Option<Instant> {
        let waiting = |posting: &Posting| posting.not_before;
        let postings = self.lanes.values().filter_map(|lane| lane.posting.as_ref());
        postings.filter_map(waiting).min().filter(|_| !self.posting)
    }

    /// Whether a file is under way, or could be at once.
    pub(crate) fn has_files(&self) -> bool {
        self.posting
            || self
                .lanes
                .values()
                .filter_map(|lane| lane.posting.as_ref())
                .any(|posting| posting.failures == 0)
    }

    /// The file of `job` is posted as `message_id`; the chunk, if that was all of it.
    pub(crate) fn posted(&mut self, job: &Job, message_id: &str) -> Option<Delivered> {
        self.posting = false;
        let lane = self.lanes.get_mut(&job.uid)?;
        let posting = lane.posting.as_mut().filter(|p| p.is_of(&job.key))?;
        posting.failures = 0;
        posting.not_before = None;
        posting.files.pop_front();
        if !posting.files.is_empty() {
            return None;
        }
        let posting = lane.posting.take()?;
        self.sweep();
        let message_id = match posting.message_id {
            none if none.is_empty() => message_id.into(),
            text => text,
        };
        Some(Delivered {
            key: posting.key,
            message_id,
            without_files: false,
        })
    }

    /// It is not, and is to be tried again after `wait`; false if that was the last time.
    pub(crate) fn not_posted(&mut self, job: &Job, wait: Duration, now: Instant) -> bool {
        self.posting = false;
        let lane = self.lanes.get_mut(&job.uid);
        let posting = lane.and_then(|lane| lane.posting.as_mut());
        let Some(posting) = posting.filter(|posting| posting.is_of(&job.key)) else {
            return true;
        };
        posting.failures += 1;
        posting.not_before = Some(now + wait);
        posting.failures < ATTEMPTS
    }

    /// It never will be. The lane goes on; what becomes of the chunk is the caller's to say.
    pub(crate) fn give_up(&mut self, job: &Job) {
        self.posting = false;
        if let Some(lane) = self.lanes.get_mut(&job.uid) {
            lane.posting.take_if(|posting| posting.is_of(&job.key));
        }
        self.sweep();
    }
}
