//! [`Asked`]: what the commands of one pipeline ask of the node, under way together.
//!
//! A client that sends many requests at once waits for all the answers anyway. So the requests of a pipeline that go to other nodes
//! are handed to the node together, and their answers are put into the places that were left for them:
//!
//! ```text
//!   output    +OK\r\n  ▲   $1\r\nx\r\n  ▲  ▲
//!                      │                │  └── place 2
//!                      └── place 0      └───── place 1
//! ```
//! Invariants:
//! - No two of them are of one key: what comes first on a connection is seen by what comes behind it. Of different keys they may
//!   take effect in any order.
//! - A command that reads or writes keys otherwise waits until all of them are answered. The rest (PING, SELECT) is done at once,
//!   and answered in its place.

use super::refusal::Refusal;
use super::reply::Reply;
use super::turn::{KEEP_BUFFER, OUTPUT_CHUNK};
use crate::node::{Answers, NodeHandle};
use esker_cluster::request::{Operation, Request, Response};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The most requests of one connection that are under way at once.
const MOST: usize = 512;

/// The most of all connections. A connection waits for its turn rather than have the node refuse what is too much for it, and
/// leaves the node room for those that ask otherwise.
pub(crate) const ASKING: usize = 4096;

/// Says in the words of the protocol what the node answered.
type Words = Box<dyn FnOnce(Response, &mut Reply<'_>) -> Result<(), Refusal> + Send>;

/// Where an answer goes.
struct Place {
    /// Behind so many bytes of the output.
    at: usize,
    resp3: bool,
    /// The client does not want it.
    silent: bool,
    words: Words,
}

/// What the commands of one pipeline ask of the node.
#[derive(Default)]
pub(crate) struct Asked {
    node: Option<NodeHandle>,
    requests: Vec<Request>,
    /// Hashes of what they are about. Two keys of one hash are taken for one key, which costs a wait.
    keys: HashSet<u64>,
    places: VecDeque<Place>,
    /// The output as it is sent, up to the first answer that is missing, and how much of the output is in it.
    whole: Vec<u8>,
    copied: usize,
}

impl Asked {
    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How much is asked.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a request. `false` if it has to wait until those before it are answered.
    pub(crate) fn add(
        &mut self,
        node: &NodeHandle,
        request: Request,
        at: usize,
        resp3: bool,
        words: impl FnOnce(Response, &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> bool {
        if !self.may_add(&request) {
            return false;
        }
        self.node.get_or_insert_with(|| node.clone());
        self.requests.push(request);
        self.places.push_back(Place { at, resp3, silent: false, words: Box::new(words) });
        true
    }

    /// Whether nothing is in the way of a request, which counts as added then.
    fn may_add(&mut self, request: &Request) -> bool {
        let (Operation::Get { key, .. } | Operation::Write { key, .. }) = &request.operation else {
            return false;
        };
        self.places.len() < MOST && self.keys.insert(xxh3_64_with_seed(key, request.keyspace.0.into()))
    }

    /// The client does not want the answer to the request added last.
    pub(crate) fn silence(&mut self) {
        if let Some(place) = self.places.back_mut() {
            place.silent = true;
        }
    }

    /// Hands what was added to the node. `None` if that is nothing.
    pub(crate) fn begin(&mut self) -> Option<Arc<Gathered>> {
        let node = self.node.take()?;
        let requests = std::mem::take(&mut self.requests);
        self.keys.clear();
        let gathered = Arc::new(Gathered::of(requests.len()));
        node.request_all(requests, gathered.clone());
        Some(gathered)
    }

    /// Puts answers into their places, up to the first that is missing, and not many more than are sent at once. Returns how many.
    pub(crate) fn bring_in(&mut self, output: &[u8], gathered: &Gathered) -> u64 {
        let mut brought = 0;
        while !self.places.is_empty()
            && self.whole.len() < OUTPUT_CHUNK
            && let Some(response) = gathered.next()
        {
            self.put(output, Ok(response));
            brought += 1;
        }
        brought
    }

    /// Says of all that are missing that nobody waits for them any longer. Returns how many.
    pub(crate) fn give_up(&mut self, output: &[u8]) -> u64 {
        let missing = self.places.len();
        while !self.places.is_empty() {
            self.put(output, Err(Refusal::STOPPING));
        }
        missing as u64
    }

    fn put(&mut self, output: &[u8], response: Result<Response, Refusal>) {
        let Some(Place { at, resp3, silent, words }) = self.places.pop_front() else { return };
        self.whole.extend_from_slice(output.get(self.copied..at).unwrap_or_default());
        self.copied = at;
        let before = self.whole.len();
        let mut reply = Reply::new(&mut self.whole, resp3);
        if let Err(refusal) = response.and_then(|response| words(response, &mut reply)) {
            self.whole.truncate(before);
            Reply::new(&mut self.whole, resp3).error(refusal.text());
        }
        if silent {
            self.whole.truncate(before);
        }
    }

    /// The answers that can be sent. They are to be [`sent`](Asked::sent) before more are brought in.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.whole
    }

    /// What could be sent was.
    pub(crate) fn sent(&mut self) {
        self.whole.clear();
    }

    /// Puts what is left of the output behind the answers, all of which are there, and this in the place of the output.
    pub(crate) fn end(&mut self, output: &mut Vec<u8>) {
        self.whole.extend_from_slice(output.get(self.copied..).unwrap_or_default());
        self.copied = 0;
        std::mem::swap(&mut self.whole, output);
        self.whole.clear();
        self.whole.shrink_to(KEEP_BUFFER);
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    responses: Vec<Option<Response>>,
    /// How many were taken from the front.
    taken: usize,
    missing: usize,
    /// Whoever waits wants to know when the next one in order is there, rather than when all are.
    eager: bool,
    waker: Option<Waker>,
}

impl State {
    fn is_ready(&self) -> bool {
        self.missing == 0 || (self.eager && self.responses.get(self.taken).is_some_and(Option::is_some))
    }
}

/// The node's answers to the requests of one pipeline, as they come.
#[derive(Debug)]
pub(crate) struct Gathered(Mutex<State>);

impl Gathered {
    fn of(count: usize) -> Gathered {
        let responses = std::iter::repeat_with(|| None).take(count).collect();
        Gathered(Mutex::new(State { responses, taken: 0, missing: count, eager: false, waker: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes back when all answers are there.
    pub(crate) async fn all(&self) {
        self.wait(false).await;
    }

    /// Comes back when the next one in order is there.
    pub(crate) async fn some(&self) {
        self.wait(true).await;
    }

    async fn wait(&self, eager: bool) {
        poll_fn(|context| {
            let mut state = self.state();
            state.eager = eager;
            if state.is_ready() {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The next answer in order, if it is there.
    fn next(&self) -> Option<Response> {
        let mut state = self.state();
        let taken = state.taken;
        let response = state.responses.get_mut(taken)?.take()?;
        state.taken += 1;
        Some(response)
    }
}

impl Answers for Gathered {
    fn answer(&self, number: usize, response: Response) {
        let mut state = self.state();
        let Some(place) = state.responses.get_mut(number).filter(|place| place.is_none()) else { return };
        *place = Some(response);
        state.missing -= 1;
        let waker = if state.is_ready() { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker::Slice;
    use esker_cluster::request::{Level, Rejection};
    use esker_cluster::store::KeyspaceId;
    use std::time::Duration;

    /// Places as commands leave them, and the answers that the node will give.
    fn asked(places: &[(usize, bool)]) -> (Asked, Gathered) {
        let mut asked = Asked::default();
        for &(at, silent) in places {
            let words: Words = Box::new(|response, reply| match response {
                Response::Written { acks, .. } => {
                    reply.integer(acks.into());
                    Ok(())
                }
                _ => Err(Refusal::fixed("ERR not written")),
            });
            asked.places.push_back(Place { at, resp3: false, silent, words });
        }
        (asked, Gathered::of(places.len()))
    }

    fn written(acks: u32) -> Response {
        Response::Written { context: Default::default(), acks, fallbacks: 0 }
    }

    #[test]
    fn answers_go_where_their_commands_stood_in_whatever_order_they_come() {
        let mut output = b"+a\r\n+b\r\n".to_vec();
        let (mut asked, gathered) = asked(&[(0, false), (4, true), (4, false), (8, false)]);
        gathered.answer(2, Response::Rejected(Rejection::Overloaded));
        assert_eq!(asked.bring_in(&output, &gathered), 0);
        assert!(asked.whole().is_empty());
        gathered.answer(0, written(1));
        // The second answer to one request is nobody's.
        gathered.answer(0, written(9));
        assert_eq!(asked.bring_in(&output, &gathered), 1);
        assert_eq!(asked.whole(), b":1\r\n");
        asked.sent();
        gathered.answer(1, written(2));
        gathered.answer(3, written(3));
        assert_eq!(asked.bring_in(&output, &gathered), 3);
        assert!(asked.is_empty());
        output.extend_from_slice(b"+c\r\n");
        asked.end(&mut output);
        assert_eq!(output, b"+a\r\n-ERR not written\r\n+b\r\n:3\r\n+c\r\n");
    }

    #[test]
    fn what_nobody_waits_for_any_longer_is_said_to_be_unknown() {
        let mut output = b"+a\r\n".to_vec();
        let (mut asked, gathered) = asked(&[(0, false), (4, false)]);
        gathered.answer(0, written(1));
        assert_eq!((asked.bring_in(&output, &gathered), asked.give_up(&output)), (1, 1));
        asked.end(&mut output);
        assert_eq!(output, format!(":1\r\n+a\r\n-{}\r\n", Refusal::STOPPING).into_bytes());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_last_one_or_by_the_next_one() {
        let (_, gathered) = asked(&[(0, false), (0, false)]);
        let gathered = Arc::new(gathered);
        let all = tokio::spawn({
            let gathered = gathered.clone();
            async move { gathered.all().await }
        });
        tokio::task::yield_now().await;
        gathered.answer(1, written(1));
        tokio::task::yield_now().await;
        assert!(!all.is_finished());
        gathered.answer(0, written(1));
        all.await.expect("it is woken");
        let (_, gathered) = asked(&[(0, false), (0, false)]);
        gathered.answer(0, written(1));
        gathered.some().await;
    }

    #[test]
    fn one_key_is_asked_for_once_at_a_time() {
        let request = |keyspace, key: &str| Request {
            keyspace: KeyspaceId(keyspace),
            operation: Operation::Get { key: Slice::from(key), context: None },
            level: Level::Quorum,
            sloppy: false,
            durability: esker::Durability::Buffered,
            timeout: Duration::from_secs(1),
        };
        let mut asked = Asked::default();
        assert!(asked.may_add(&request(1, "a")));
        assert!(!asked.may_add(&request(1, "a")));
        assert!(asked.may_add(&request(1, "b")) && asked.may_add(&request(2, "a")));
    }
}
