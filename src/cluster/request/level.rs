//! [`Level`]: which replicas have to answer, and the arithmetic of it.

use crate::id::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Which replicas have to answer before a request is answered. Chosen for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// A write: one node, also one that only keeps a hint. A read: like `One`.
    Any,
    /// One replica.
    One,
    /// Two replicas.
    Two,
    /// Three replicas.
    Three,
    /// More than half of all replicas.
    Quorum,
    /// All replicas.
    All,
    /// One replica in the data centre of the coordinator.
    LocalOne,
    /// More than half of the replicas in the data centre of the coordinator.
    LocalQuorum,
    /// More than half of the replicas in each data centre.
    EachQuorum,
    /// So many replicas: an R or a W.
    Count(u8),
}

const NAMES: [(&str, Level); 9] = [
    ("ANY", Level::Any),
    ("ONE", Level::One),
    ("TWO", Level::Two),
    ("THREE", Level::Three),
    ("QUORUM", Level::Quorum),
    ("ALL", Level::All),
    ("LOCAL_ONE", Level::LocalOne),
    ("LOCAL_QUORUM", Level::LocalQuorum),
    ("EACH_QUORUM", Level::EachQuorum),
];

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Level::Count(n) => write!(f, "{n}"),
            named => f.write_str(NAMES.iter().find(|(_, level)| level == named).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        if let Some((_, level)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*level);
        }
        match text.parse() {
            Ok(n) if n > 0 => Ok(Level::Count(n)),
            _ => Err(format!(
                "`{text}` is no level: give ANY, ONE, TWO, THREE, QUORUM, ALL, LOCAL_ONE, LOCAL_QUORUM, EACH_QUORUM or a \
                 number of replicas"
            )),
        }
    }
}

/// More than half.
pub fn majority(replicas: usize) -> usize {
    replicas / 2 + 1
}

/// What a level means for one key: how many of which replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// For each data centre that counts, its replicas and how many of them are needed. Empty if only the total counts.
    by_dc: Vec<(Vec<NodeId>, usize)>,
    /// How many are needed in all, of those that count.
    total: usize,
    /// Replicas that count.
    counted: Vec<NodeId>,
}

/// A level that these replicas cannot give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// How many it needs.
    pub need: usize,
    /// How many there are.
    pub have: usize,
}

impl Quota {
    /// What `level` means for a key on these replicas, for a coordinator in `local_dc`.
    ///
    /// # Errors
    /// If there are not so many replicas.
    pub fn new(level: Level, replicas: &[(NodeId, &str)], local_dc: &str) -> Result<Quota, Impossible> {
        let is_local = |dc: &str| match level {
            Level::LocalOne | Level::LocalQuorum => dc == local_dc,
            _ => true,
        };
        let counted: Vec<NodeId> =
            replicas.iter().filter(|(_, dc)| is_local(dc)).map(|(node, _)| *node).collect();
        let mut by_dc = Vec::new();
        let total = match level {
            Level::Any | Level::One | Level::LocalOne => 1,
            Level::Two => 2,
            Level::Three => 3,
            Level::Count(n) => usize::from(n),
            Level::Quorum | Level::LocalQuorum => majority(counted.len()),
            Level::All => counted.len().max(1),
            Level::EachQuorum => {
                let mut members: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
                for (node, dc) in replicas {
                    members.entry(dc).or_default().push(*node);
                }
                by_dc.extend(members.into_values().map(|nodes| {
                    let need = majority(nodes.len());
                    (nodes, need)
                }));
                by_dc.iter().map(|(_, need)| need).sum()
            }
        };
        if total > counted.len() || total == 0 {
            return Err(Impossible { need: total.max(1), have: counted.len() });
        }
        Ok(Quota { by_dc, total, counted })
    }

    /// How many are needed in all.
    pub fn need(&self) -> usize {
        self.total
    }

    /// Whether this replica counts.
    pub fn counts(&self, node: NodeId) -> bool {
        self.counted.contains(&node)
    }

    /// How many of these count.
    pub fn have(&self, nodes: &[NodeId]) -> usize {
        nodes.iter().filter(|node| self.counts(**node)).count()
    }

    /// Whether these are enough.
    pub fn is_met(&self, nodes: &[NodeId]) -> bool {
        self.have(nodes) >= self.total
            && self
                .by_dc
                .iter()
                .all(|(members, need)| members.iter().filter(|node| nodes.contains(node)).count() >= *need)
    }

    /// The replicas to ask first, of those in the order of preference: as few as are enough.
    pub fn choose(&self, preferred: &[NodeId]) -> Vec<NodeId> {
        let mut chosen: Vec<NodeId> = Vec::with_capacity(self.total);
        if self.by_dc.is_empty() {
            chosen.extend(preferred.iter().filter(|node| self.counts(**node)).take(self.total));
            return chosen;
        }
        let mut left: Vec<usize> = self.by_dc.iter().map(|(_, need)| *need).collect();
        for node in preferred {
            let Some(dc) = self.by_dc.iter().position(|(members, _)| members.contains(node)) else {
                continue;
            };
            if left[dc] > 0 {
                left[dc] -= 1;
                chosen.push(*node);
            }
        }
        chosen
    }
}
