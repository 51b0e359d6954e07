//! [`ForwardTask`]: a write that is handed to a replica of its key, which gives it its dot.
//!
//! A write is handed on once, by the node that the client spoke to. It is handed to another replica only after the one
//! before said that it did nothing: two replicas that both took it would give it two dots.

use super::Heard;
use super::task::{Desk, Origin, Progress};
use crate::id::NodeId;
use crate::message::Message;
use crate::request::{Rejection, Request, Response};
use std::time::Duration;

/// A write that another node is to take.
#[derive(Debug)]
pub(super) struct ForwardTask {
    origin: Origin,
    request: Request,
    /// Replicas that were not asked yet, the best last.
    left: Vec<NodeId>,
    /// The one that has it.
    asked: Option<NodeId>,
    deadline: Duration,
}

/// What is taken off the time that a client waits, so that the other node's answer comes in time.
const MARGIN: Duration = Duration::from_millis(20);

impl ForwardTask {
    /// Hands the request to the best of the nodes that can take it. Its client waits until `deadline`.
    pub(super) fn begin(
        origin: Origin,
        request: Request,
        able: Vec<NodeId>,
        deadline: Duration,
        desk: &mut Desk<'_, '_>,
    ) -> Option<ForwardTask> {
        let me = desk.me();
        let mut left = desk.by_preference(able.into_iter().filter(|&node| node != me));
        left.reverse();
        let mut task = ForwardTask { origin, request, left, asked: None, deadline };
        desk.counters.forwarded += 1;
        if !task.hand_on(desk) {
            let what =
                "no replica of the key can be reached that takes writes and has been heard of".to_owned();
            desk.respond(&task.origin, Response::Rejected(Rejection::NotReady(what)));
            return None;
        }
        Some(task)
    }

    pub(super) fn wake(&self) -> Duration {
        self.deadline
    }

    /// Hands the request to the next node. Returns whether there was one.
    fn hand_on(&mut self, desk: &mut Desk<'_, '_>) -> bool {
        let mut request = self.request.clone();
        let left = self.deadline.saturating_sub(desk.now());
        request.timeout = left.saturating_sub(MARGIN).max(Duration::from_millis(1));
        while let Some(node) = self.left.pop() {
            let Some(life) = desk.directory.life(node).filter(|_| desk.directory.is_writable(node)) else {
                continue;
            };
            let request = request.clone();
            if desk.ask(node, |question| Message::Forward { question, life, request }) {
                self.asked = Some(node);
                return true;
            }
        }
        false
    }

    pub(super) fn hear(&mut self, _node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Progress {
        let response = match heard {
            // It did nothing, so another may.
            Heard::Forwarded(Response::Rejected(Rejection::NotReady(why))) => {
                if self.hand_on(desk) {
                    return Progress::Going;
                }
                Response::Rejected(Rejection::NotReady(why))
            }
            Heard::Forwarded(response) => response,
            _ => Response::Unknown {
                acks: 0,
                why: "the connection to the replica that had the write broke before its answer".to_owned(),
            },
        };
        desk.respond(&self.origin, response);
        Progress::Done
    }

    pub(super) fn time(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        if desk.now() < self.deadline {
            return Progress::Going;
        }
        if let Some(node) = self.asked {
            desk.latencies.overdue(node);
        }
        let why = "the replica that had the write did not answer in time".to_owned();
        desk.respond(&self.origin, Response::Unknown { acks: 0, why });
        Progress::Done
    }
}
