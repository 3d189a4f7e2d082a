//! Where the sessions of a project work, where that is not the project's own directory.

use serde::{Deserialize, Serialize};

/// Runner → hub: the worktrees of the project's sessions, all of them; at each link-up and whenever
/// something of it has changed. At most 200. May be lost: the next one says it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Worktrees {
    /// In no order that means anything.
    pub worktrees: Vec<Worktree>,
}

/// A git worktree of a session's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Worktree {
    /// The session.
    pub session: String,
    /// The whole path.
    pub path: String,
    /// Its branch.
    pub branch: String,
    /// Its session was closed, and it stays because of what is in it.
    #[serde(default)]
    pub kept: bool,
    /// Files that are not committed, when that was looked at last.
    #[serde(default)]
    pub changes: u64,
    /// Commits that are on no other branch, when that was looked at last.
    #[serde(default)]
    pub commits: u64,
}
