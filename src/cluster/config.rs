//! [`NodeConfig`]: what a node is told when it starts.

use std::time::Duration;

/// What a node is told when it starts. Every duration is on the node's own monotonic clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Where its peers reach it: `host:port`.
    pub peer_address: String,
    /// Where clients reach it by RESP; said to others for `CLUSTER SLOTS`. Empty if nowhere.
    pub resp_address: String,
    /// Where it answers HTTP. Empty if nowhere.
    pub http_address: String,
    /// Peer addresses of a cluster to join. Empty for a node that begins one.
    pub join: Vec<String>,
    /// The zone it stands in: a rack, a room, whatever fails as one.
    pub zone: String,
    /// The data centre that the zone is in.
    pub dc: String,
    /// How much of the ring it takes, relative to others: twice the weight, twice the data. At least 1.
    pub weight: u32,
    /// On how many nodes each key is kept, if there are so many. Counts for the node that begins a cluster. Default 3.
    pub replicas: u8,
    /// The number of partitions of the ring, a power of two. Counts for the node that begins a cluster. Default 4096.
    pub partitions: u32,
    /// What becomes of concurrent writes in the keyspace `default`. Counts for the node that begins a cluster.
    pub mode: crate::causality::ConflictMode,
    /// The longest pair that is taken: key and value together, in bytes. Default 10 KiB.
    pub max_pair_bytes: usize,
    /// The most requests that are under way at once; more are refused as overload. Default 10,000.
    pub max_requests: usize,
    /// The most questions of other nodes under way at once; more are refused as overload. Default 50,000: above
    /// `max_requests`, so that a node that coordinates much can be answered.
    pub max_questions: usize,
    /// How often a node gossips. Default 500 ms.
    pub gossip_interval: Duration,
    /// After how long without a heartbeat a node suspects another. Several gossip intervals. Default 2 s.
    pub suspect_after: Duration,
    /// How long a restarted node waits to hear from another member before it takes writes, so that it learns of a life
    /// that its directory does not know. Default 2 s; a cluster of one does not wait.
    pub settle_after: Duration,
    /// How long after a write's answer replicas may still acknowledge it before they get a hint. Default 1 s.
    pub hint_after: Duration,
    /// Protections that are switched off, for tests which show that they are needed.
    #[cfg(feature = "testing")]
    pub unprotected: Option<Protection>,
}

/// A protection that a test can switch off.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Replicas that a quorum read found behind are brought up before the read is answered.
    ReadRepair,
    /// A store that cannot prove that it has everything it ever wrote takes a new actor, and does not answer until it has
    /// pulled its ranges.
    Incarnations,
    /// A store that others remember to have come further than it had when it was opened does the same.
    Marks,
    /// A put without a context replaces what the replica that takes it has.
    LocalContext,
    /// The context that a put returns does not cover the siblings that its client has not seen.
    SeenContexts,
    /// A record that a replica cannot read is replaced by what enough others have.
    Healing,
    /// Hints are replayed as states to be joined.
    MergedHints,
}

impl NodeConfig {
    /// The defaults, for a node at this peer address.
    pub fn new(peer_address: impl Into<String>) -> NodeConfig {
        NodeConfig {
            peer_address: peer_address.into(),
            resp_address: String::new(),
            http_address: String::new(),
            join: Vec::new(),
            zone: "z1".to_owned(),
            dc: "dc1".to_owned(),
            weight: 1,
            replicas: 3,
            partitions: crate::ring::Ring::DEFAULT_PARTITIONS,
            mode: crate::causality::ConflictMode::Causal,
            max_pair_bytes: 10 * 1024,
            max_requests: 10_000,
            max_questions: 50_000,
            gossip_interval: Duration::from_millis(500),
            suspect_after: Duration::from_secs(2),
            settle_after: Duration::from_secs(2),
            hint_after: Duration::from_secs(1),
            #[cfg(feature = "testing")]
            unprotected: None,
        }
    }
}

macro_rules! protected {
    ($config:expr, $protection:ident) => {{
        #[cfg(feature = "testing")]
        let on = $config.unprotected != Some(crate::config::Protection::$protection);
        #[cfg(not(feature = "testing"))]
        let on = {
            let _ = &$config;
            true
        };
        on
    }};
}
pub(crate) use protected;
