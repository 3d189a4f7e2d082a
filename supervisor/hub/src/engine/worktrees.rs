//! Where sessions work that have a worktree of their own: what their runners said of them last.
//!
//! Kept in memory alone: a runner says it again at each link-up.

use ipc_schema::{Worktree, Worktrees};
use spool::SpoolError;

use super::Engine;
use super::outbox::Place;
use super::runner::lang;
use crate::texts::{Lang, Text};

impl Engine {
    /// A runner said how its worktrees are; whoever left work in one is told that it stays.
    pub(super) fn worktrees_told(
        &mut self,
        peer: &str,
        told: Worktrees,
        now: u64,
    ) -> Result<(), SpoolError> {
        let new = told.worktrees.clone();
        let old = self.worktrees.insert(peer.to_owned(), told.worktrees);
        // At first sight nothing is news.
        let Some(old) = old else { return Ok(()) };
        for tree in new.into_iter().filter(|tree| tree.kept) {
            let known = |old: &Worktree| old.session == tree.session && old.kept;
            if !old.iter().any(known) {
                self.tell_kept(peer, &tree, now)?;
            }
        }
        Ok(())
    }

    fn tell_kept(&mut self, peer: &str, tree: &Worktree, now: u64) -> Result<(), SpoolError> {
        let session = self.spool.session(&tree.session)?;
        let runner = |project: &str| self.runner_of(project).as_deref() == Some(peer);
        let Some(session) = session.filter(|session| runner(&session.project)) else {
            return Ok(());
        };
        let (project, instance) = (&session.project, &session.instance);
        let conversation = &session.conversation;
        let Some(to) = self.spool.conversation(project, instance, conversation)? else {
            return Ok(());
        };
        let last = self.spool.past_turns(&session.id, 1)?.pop();
        let place = Place {
            instance: &to.instance,
            address: &to.address,
            ..Place::default()
        };
        let text = Text::WorktreeKept {
            branch: &tree.branch,
            changes: tree.changes,
            commits: tree.commits,
        };
        self.notice(
            &place,
            &text,
            last.map_or(Lang::En, |turn| lang(&turn)),
            now,
        )
    }

    /// The worktree of a session, if it has one.
    pub(super) fn worktree(&self, runner: &str, session: &str) -> Option<&Worktree> {
        let mut known = self.worktrees.get(runner)?.iter();
        known.find(|tree| tree.session == session)
    }

    /// Every worktree that is known, with its project.
    pub fn worktrees(&self) -> Vec<(String, Worktree)> {
        let mut all: Vec<_> = self
            .plan
            .projects
            .iter()
            .filter_map(|(name, project)| Some((name, self.worktrees.get(&project.runner)?)))
            .flat_map(|(name, trees)| trees.iter().map(|tree| (name.clone(), tree.clone())))
            .collect();
        all.sort_by(|(a, x), (b, y)| (a, &x.session).cmp(&(b, &y.session)));
        all
    }
}
