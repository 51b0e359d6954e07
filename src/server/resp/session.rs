//! [`Session`]: what a connection has said about itself and how it wants to be answered.

use super::access::User;
use super::causal::Fetched;
use super::clients::Client;
use super::parse::Limits;
use crate::database::Levels;
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Which answers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    /// All.
    On,
    /// None.
    Off,
    /// All but the one to the next command.
    SkipNext,
    /// Not the one to this command.
    Skip,
}

/// The state of a connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    /// The number of the database.
    pub(crate) database: usize,
    /// Who it is; nobody before a password was given where one is needed.
    pub(crate) user: Option<Arc<User>>,
    pub(crate) resp3: bool,
    pub(crate) replies: Replies,
    /// Which replicas have to answer.
    pub(crate) levels: Levels,
    /// How many replicas have the last write.
    pub(crate) acks: Arc<AtomicU32>,
    /// What a command that has to be run again needed to read.
    pub(crate) fetched: Option<Fetched>,
}

impl Session {
    pub(crate) fn new(server: &Server, client: Arc<Client>) -> Session {
        let levels = Levels { read: server.config.level, write: server.config.level };
        let mut session = Session {
            client,
            database: 0,
            user: None,
            resp3: false,
            replies: Replies::On,
            levels,
            acks: Arc::default(),
            fetched: None,
        };
        session.reset(server);
        session
    }

    /// As a connection is at its beginning.
    pub(crate) fn reset(&mut self, server: &Server) {
        self.speak_resp3(false);
        self.select(0);
        self.replies = Replies::On;
        self.levels = Levels { read: server.config.level, write: server.config.level };
        self.become_user(server.access.stranger().cloned());
        self.client.words().name.clear();
    }

    /// Becomes somebody, or nobody.
    pub(crate) fn become_user(&mut self, user: Option<Arc<User>>) {
        self.client.words().user = user.as_ref().map(|user| user.name.clone()).unwrap_or_default();
        self.user = user;
    }

    pub(crate) fn select(&mut self, database: usize) {
        self.database = database;
        self.client.database.store(database, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn speak_resp3(&mut self, yes: bool) {
        self.resp3 = yes;
        self.client.protocol.store(if yes { 3 } else { 2 }, std::sync::atomic::Ordering::Relaxed);
    }

    /// What it may announce.
    pub(crate) fn limits<'a>(&self, server: &'a Server) -> &'a Limits {
        if self.user.is_some() { &server.limits } else { &Limits::STRANGER }
    }
}
