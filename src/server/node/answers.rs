//! Where the answer to a request goes, and what it is if the node comes to its end before it.

use esker_cluster::request::{Operation, Rejection, Request, Response};
use std::sync::Arc;

/// What is said to whoever wants something of a node that is stopped.
pub(super) const STOPPED: &str = "the node is stopped: ask another one";

/// How a request ends whose node stopped before it came to its end.
pub(super) fn cut_short(is_write: bool) -> Response {
    if is_write {
        Response::Unknown { acks: 0, why: "the node was stopped before the write came to its end".to_owned() }
    } else {
        Response::Rejected(Rejection::NotReady(STOPPED.to_owned()))
    }
}

pub(super) fn is_write(request: &Request) -> bool {
    matches!(request.operation, Operation::Write { .. })
}

/// Takes the answer to a request, within the driver: it must not block.
pub(super) type Answer = Box<dyn FnOnce(Response) + Send>;

/// Takes the answers to requests that were made together, within the driver: it must not block.
pub(crate) trait Answers: Send + Sync {
    /// Takes the answer to the request of this number, counted from 0. Called once for each.
    fn answer(&self, number: usize, response: Response);
}

/// Somebody who waits for an answer.
pub(super) struct Waiter {
    pub(super) to: AnswerTo,
    pub(super) is_write: bool,
}

/// Where an answer goes.
pub(super) enum AnswerTo {
    /// To whoever asked for this alone.
    One(Answer),
    /// To whoever asked for several things.
    Among(OneOfMany),
}

impl AnswerTo {
    pub(super) fn answer(self, response: Response) {
        match self {
            AnswerTo::One(answer) => answer(response),
            AnswerTo::Among(one) => one.answer(response),
        }
    }
}

/// The answer to one of several requests that were made together. Whatever becomes of the driver, there is one.
pub(super) struct OneOfMany {
    answers: Option<Arc<dyn Answers>>,
    number: usize,
    is_write: bool,
}

impl OneOfMany {
    pub(super) fn new(request: &Request, answers: Arc<dyn Answers>, number: usize) -> OneOfMany {
        OneOfMany { answers: Some(answers), number, is_write: is_write(request) }
    }

    pub(super) fn answer(mut self, response: Response) {
        if let Some(answers) = self.answers.take() {
            answers.answer(self.number, response);
        }
    }
}

impl Drop for OneOfMany {
    fn drop(&mut self) {
        if let Some(answers) = self.answers.take() {
            answers.answer(self.number, cut_short(self.is_write));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker::{Durability, Slice};
    use esker_cluster::request::Level;
    use esker_cluster::store::{Change, KeyspaceId};
    use std::sync::Mutex;
    use std::time::Duration;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(usize, Response)>>);

    impl Answers for Heard {
        fn answer(&self, number: usize, response: Response) {
            self.0.lock().unwrap().push((number, response));
        }
    }

    fn request(operation: Operation) -> Request {
        Request {
            keyspace: KeyspaceId(0),
            operation,
            level: Level::Quorum,
            sloppy: false,
            durability: Durability::Synced,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn each_of_many_is_answered_once_even_if_it_is_forgotten() {
        let heard = Arc::new(Heard::default());
        let key = Slice::from("k");
        let read = request(Operation::Get { key: key.clone(), context: None });
        let write = request(Operation::Write { key, change: Change::Delete, context: None });
        let one = |request: &Request, number| AnswerTo::Among(OneOfMany::new(request, heard.clone(), number));
        one(&read, 0).answer(Response::Rejected(Rejection::Overloaded));
        drop(one(&read, 1));
        drop(one(&write, 2));
        let heard = heard.0.lock().unwrap();
        assert!(matches!(heard[0], (0, Response::Rejected(Rejection::Overloaded))), "{heard:?}");
        assert!(matches!(heard[1], (1, Response::Rejected(Rejection::NotReady(_)))), "{heard:?}");
        assert!(
            matches!(heard[2], (2, Response::Unknown { acks: 0, .. })),
            "a write may have been done: {heard:?}"
        );
        assert_eq!(heard.len(), 3);
    }
}
