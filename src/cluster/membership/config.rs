//! [`GossipConfig`]: how often members talk, and how long silence is excused.

use super::info::MemberInfo;
use std::fmt;
use std::time::Duration;

/// The most members that a node keeps and that a message carries.
pub const MEMBERS_MAX: usize = 1024;
/// The most bytes of an address, a zone or a data centre.
pub const TEXT_MAX: usize = 256;

/// How often members talk, and how long silence is excused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipConfig {
    /// From one round to the next; each round is moved by up to a tenth so that the nodes' rounds do not fall together.
    /// Default: 500 ms. A shorter interval finds failures no sooner unless `suspect_after` follows.
    pub interval: Duration,
    /// How many members a round talks to. Default: 3. News reaches n members in about log(n) / log(2 × fanout + 1) rounds.
    pub fanout: usize,
    /// How long a heartbeat may stand still before its member is suspected. Default: 2 s. At least 3 × `interval`; more
    /// than the rounds that news takes through the cluster, or else slow news looks like silence.
    pub suspect_after: Duration,
    /// How long a member that is not of the ring may be silent before it is forgotten. Default: 15 min. At least
    /// 4 × `suspect_after`.
    pub forget_after: Duration,
    /// Of 1000 rounds, how many also try a member that is down, or a seed. Default: 250. Without it, the halves of a healed
    /// partition that hold each other to be down would never talk again.
    pub probe_per_mille: u32,
    /// The peer addresses to begin with. A seed that turns out to be a known member counts as that member.
    pub seeds: Vec<String>,
}

impl Default for GossipConfig {
    fn default() -> GossipConfig {
        GossipConfig {
            interval: Duration::from_millis(500),
            fanout: 3,
            suspect_after: Duration::from_secs(2),
            forget_after: Duration::from_secs(15 * 60),
            probe_per_mille: 250,
            seeds: Vec::new(),
        }
    }
}

impl GossipConfig {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// The first relation that does not hold.
    pub fn check(&self) -> Result<(), SetupError> {
        let wrong = if self.interval.is_zero() {
            "the gossip interval must not be zero"
        } else if self.fanout == 0 {
            "the gossip fanout must be at least 1"
        } else if self.suspect_after < self.interval * 3 {
            "a member may be suspected after three gossip intervals at the soonest: raise suspect_after"
        } else if self.forget_after < self.suspect_after * 4 {
            "a member may be forgotten after four times suspect_after at the soonest: raise forget_after"
        } else if self.probe_per_mille == 0 || self.probe_per_mille > 1000 {
            "the share of rounds that try members which are down must be 1 to 1000 in 1000"
        } else {
            return Ok(());
        };
        Err(SetupError::Config(wrong))
    }
}

/// Why a membership cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// Settings that do not go together, in a sentence.
    Config(&'static str),
    /// A text of the node's own description is longer than [`TEXT_MAX`].
    TooLong {
        /// Which one.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Config(what) => f.write_str(what),
            SetupError::TooLong { what, len } => {
                write!(f, "the {what} has {len} bytes; the most is {TEXT_MAX}: choose a shorter one")
            }
        }
    }
}

impl std::error::Error for SetupError {}

/// Whether others can take what `info` says.
pub(super) fn check_info(info: &MemberInfo) -> Result<(), SetupError> {
    let texts = [
        ("peer address", &info.peer),
        ("RESP address", &info.resp),
        ("HTTP address", &info.http),
        ("zone", &info.zone),
        ("data centre", &info.dc),
    ];
    match texts.into_iter().find(|(_, text)| text.len() > TEXT_MAX) {
        Some((what, text)) => Err(SetupError::TooLong { what, len: text.len() }),
        None => Ok(()),
    }
}
