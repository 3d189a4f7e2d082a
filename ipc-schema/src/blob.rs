//! Files travel in segments, so that a control frame is never behind a large picture.

use serde::{Deserialize, Serialize};

/// The most bytes of one segment.
pub const MAX_SEGMENT: usize = 128 * 1024;

/// A file by its content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// As the sender named it; not to be trusted as a path.
    #[serde(default)]
    pub name: String,
    /// Media type, if known.
    #[serde(default)]
    pub mime: String,
    /// Bytes.
    pub size: u64,
}

/// A piece of a file. Pieces come in order; the one that ends at `total` is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobSegment {
    /// SHA-256 of the whole, lower-case hex.
    pub sha256: String,
    /// Where `bytes` begin.
    pub offset: u64,
    /// Size of the whole.
    pub total: u64,
    /// At most [`MAX_SEGMENT`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The whole file is on disk under its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobKept {
    /// The file.
    pub sha256: String,
}

/// Peer → hub: send the segment of a kept file that begins at `offset`. Answered with one
/// [`BlobSegment`], or with [`BlobGone`]. To know a file's hash is the right to read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobGet {
    /// The file.
    pub sha256: String,
    /// Where to begin, bytes.
    pub offset: u64,
}

/// Hub → peer: the file is not, or no longer, kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlobGone {
    /// The file.
    pub sha256: String,
}
