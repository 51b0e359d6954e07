//! [`Undurable`]: writes that the device does not have yet.
//!
//! The log comes to them in their order. So the engine is asked to call for the last write of a batch only: when it has come
//! there, it has come past all those before.

use super::handle::Shared;
use super::inbox::Entry;
use esker::{Commit, Durability};
use esker_cluster::Ticket;
use std::collections::VecDeque;
use std::sync::Arc;

/// Writes that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Undurable {
    synced: Order,
    buffered: Order,
}

/// Writes of one durability.
#[derive(Debug, Default)]
struct Order {
    /// Those that the engine does not call for, in the order of the log.
    earlier: VecDeque<(Ticket, Commit)>,
    /// The last one of the current batch.
    last: Option<(Ticket, Commit)>,
}

impl Undurable {
    fn order(&mut self, durability: Durability) -> &mut Order {
        match durability {
            Durability::Buffered => &mut self.buffered,
            _ => &mut self.synced,
        }
    }

    /// Takes a write, later in the log than all that were taken before.
    pub(super) fn add(&mut self, durability: Durability, ticket: Ticket, commit: Commit) {
        let order = self.order(durability);
        order.earlier.extend(order.last.replace((ticket, commit)));
    }

    /// Has the engine call when it has come to what was added since this was done last.
    pub(super) fn call(&mut self, shared: &Arc<Shared>) {
        for durability in [Durability::Buffered, Durability::Synced] {
            let Some((ticket, commit)) = self.order(durability).last.take() else { continue };
            let shared = shared.clone();
            commit.on_done(move |result| drop(shared.inbox.push(Entry::Durable(durability, ticket, result))));
        }
    }

    /// The next write before `upto`, which the engine has called for.
    pub(super) fn next(&mut self, durability: Durability, upto: Ticket) -> Option<(Ticket, Commit)> {
        let earlier = &mut self.order(durability).earlier;
        let (ticket, _) = earlier.front()?;
        if *ticket < upto { earlier.pop_front() } else { None }
    }
}
