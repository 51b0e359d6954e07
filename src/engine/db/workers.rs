//! [`Workers`]: what the background threads do, and how each [stands](Standing).

use super::builder::Builder;
use crate::fs::{Background, Standing};
use crate::write::stall::Duty;
use std::sync::Arc;

/// One background thread.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) duty: Duty,
    pub(crate) standing: Arc<Standing>,
}

/// The background threads of a store; none if its work is stepped, or it is read-only.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

impl Workers {
    /// Those that this store is to have.
    pub(super) fn of(builder: &Builder) -> Workers {
        let duties = match builder.background_threads {
            _ if builder.read_only || builder.env.background() == Background::Stepped => Vec::new(),
            1 => vec![Duty::All],
            threads => (0..threads).map(|n| if n == 0 { Duty::Flush } else { Duty::Compaction }).collect(),
        };
        let worker = |duty| Worker { duty, standing: Arc::default() };
        Workers(duties.into_iter().map(worker).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.0.iter()
    }

    /// Whether flushes have a thread of their own.
    pub(crate) fn flushes_are_apart(&self) -> bool {
        self.flushing().is_some()
    }

    /// How the thread stands that only flushes.
    #[inline]
    pub(crate) fn flushing(&self) -> Option<&Standing> {
        self.0.first().filter(|worker| worker.duty == Duty::Flush).map(|worker| &*worker.standing)
    }

    /// Says that somebody wants what all of them do now.
    pub(crate) fn want(&self) {
        self.0.iter().for_each(|worker| worker.standing.want());
    }

    /// Runs what may have to wait for their work, which is wanted until then.
    pub(crate) fn wanting<T>(&self, wait: impl FnOnce() -> T) -> T {
        let _wanted: Vec<_> = self.0.iter().map(|worker| worker.standing.wanted()).collect();
        wait()
    }
}
