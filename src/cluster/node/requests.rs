//! What a node does with requests: coordinate them, or keep them until the ring is sealed.

use super::{Node, Parked, around, outbox};
use crate::causality::Context;
use crate::coordinator::{Origin, Surroundings};
use crate::event::{Effect, Moment};
use crate::message::Message;
use crate::outbox::Outbox;
use crate::request::{Operation, Rejection, Request, Response, majority};
use std::time::Duration;

impl Node {
    pub(super) fn request(
        &mut self,
        now: Moment,
        origin: Origin,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        if self.formation.is_open() {
            let mut out = outbox!(self, now, effects);
            self.coordinator.request(origin, request, &mut around!(self), &mut out);
            return;
        }
        let is_read = !matches!(request.operation, Operation::Write { .. });
        let alone = self.formation.state().is_some_and(|state| state.members.len() == 1);
        let mut out = outbox!(self, now, effects);
        if is_read && alone && !self.formation.is_sealed() {
            origin.answer(nothing_written(&request), &mut out);
            return;
        }
        if self.parked.len() >= self.config.max_requests {
            origin.answer(Response::Rejected(Rejection::Overloaded), &mut out);
            return;
        }
        if !is_read {
            self.formation.want_seal(self.identity.node, &mut out);
        }
        if self.parked.is_empty() {
            // What was answered before this request came says nothing about it.
            self.probe_at = now.monotonic;
            self.probe += 1;
            self.unsealed.clear();
        }
        let until = now.monotonic + request.timeout;
        self.parked.push_back(Parked { origin, request, until, probe: self.probe });
    }

    /// Requests that waited for the ring, or did so for too long.
    pub(super) fn tick_parked(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.parked.is_empty() {
            return;
        }
        if self.formation.is_open() {
            for Parked { origin, mut request, until, .. } in std::mem::take(&mut self.parked) {
                // The client has waited already: what is left is all that it waits for.
                request.timeout = until.saturating_sub(now.monotonic).max(Duration::from_millis(1));
                let mut out = outbox!(self, now, effects);
                self.coordinator.request(origin, request, &mut around!(self), &mut out);
            }
            return;
        }
        let known = self.formation.state().map(|state| state.members.len());
        let unwritten = known.is_some_and(|members| self.unsealed.len() + 1 >= majority(members));
        let mut out = outbox!(self, now, effects);
        for parked in std::mem::take(&mut self.parked) {
            let is_read = !matches!(parked.request.operation, Operation::Write { .. });
            if is_read && unwritten && parked.probe < self.probe && !self.formation.is_sealed() {
                parked.origin.answer(nothing_written(&parked.request), &mut out);
            } else if now.monotonic >= parked.until {
                let why = "this node is not part of a cluster yet, or the ring could not be sealed: a majority of the \
                           members, and before the first write the founder, must be reachable";
                parked.origin.answer(Response::Rejected(Rejection::NotReady(why.to_owned())), &mut out);
            } else {
                self.parked.push_back(parked);
            }
        }
        if !self.parked.is_empty() && now.monotonic >= self.probe_at {
            self.probe_at = now.monotonic + Duration::from_millis(200);
            self.unsealed.clear();
            self.probe += 1;
            let (me, probe) = (self.identity.node, self.probe);
            for (_, entry) in self.directory.entries.iter().filter(|(node, _)| **node != me) {
                out.send(&entry.address, Message::SealProbe { probe });
            }
        }
    }
}

/// What a read finds before anything was written.
fn nothing_written(request: &Request) -> Response {
    match request.operation {
        Operation::Scan { .. } => Response::Scanned { pairs: Vec::new(), next: None },
        _ => Response::Found { versions: Vec::new(), context: Context::default(), replied: 1 },
    }
}
