//! Handles of writes that were submitted: what they say, and when.

use super::{Check, World, ok};
use crate::op::Then;
use esker::{Commit, Error};
use std::sync::{Arc, OnceLock};

/// A write that was submitted and not waited for.
#[derive(Debug)]
pub(super) struct Submitted {
    handle: Handle,
    /// The state that is durable with it, counted since the store was opened; `None` if it is buffered or perhaps empty.
    state: Option<usize>,
    /// The state that has been handed over with it, counted likewise.
    handed_over: Option<usize>,
}

#[derive(Debug)]
enum Handle {
    Kept(Commit),
    Called(Arc<OnceLock<esker::Result<()>>>),
}

impl Submitted {
    /// Whether the write is durable, as far as the handle says.
    fn poll(&self) -> Option<Result<(), Error>> {
        match &self.handle {
            Handle::Kept(commit) => commit.poll(),
            Handle::Called(result) => result.get().cloned(),
        }
    }
}

impl World {
    /// Does with a commit's handle what was decided.
    pub(super) fn submitted(&mut self, commit: Commit, then: Then, synced: bool, surely: bool) -> Check {
        let handed_over = surely.then_some(self.durable_states + self.history.len() - 1);
        let state = handed_over.filter(|_| synced);
        let handle = match then {
            Then::Wait => {
                ok("wait", commit.wait())?;
                return match commit.poll() {
                    Some(Ok(())) => Ok(()),
                    other => Err(format!("a commit that was waited for polls as {other:?}")),
                };
            }
            Then::Keep => Handle::Kept(commit),
            Then::Call => {
                let result = Arc::new(OnceLock::new());
                let called = result.clone();
                commit.on_done(move |done| drop(called.set(done)));
                Handle::Called(result)
            }
        };
        self.commits.push(Submitted { handle, state, handed_over });
        self.poll_commits()
    }

    /// Asks every handle. What one says is durable is, and so is everything before it.
    pub(super) fn poll_commits(&mut self) -> Check {
        let (mut durable, mut handed_over) = (None, None);
        let mut waiting = Vec::new();
        for submitted in std::mem::take(&mut self.commits).into_iter().rev() {
            match submitted.poll() {
                Some(Ok(())) => {
                    durable = durable.max(submitted.state);
                    handed_over = handed_over.max(submitted.handed_over);
                }
                // A callback may come with the next step only.
                None if durable.is_some()
                    && submitted.state.is_some()
                    && matches!(submitted.handle, Handle::Kept(_)) =>
                {
                    return Err(format!("a write is durable, but not one before it: {submitted:?}"));
                }
                None => waiting.push(submitted),
                Some(Err(error)) => return Err(format!("a commit failed: {error}")),
            }
        }
        waiting.reverse();
        self.commits = waiting;
        if let Some(state) = durable {
            self.durable_up_to(state.saturating_sub(self.durable_states));
        }
        if let Some(state) = handed_over {
            self.written = self.written.max(state.saturating_sub(self.durable_states));
        }
        Ok(())
    }

    /// After this, no write waits for anything.
    pub(super) fn all_done(&mut self, what: &str) -> Check {
        self.poll_commits()?;
        match self.commits.first() {
            None => Ok(()),
            Some(submitted) => Err(format!("{what}, but a write is not durable: {submitted:?}")),
        }
    }
}
