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
    /// For each data centre that counts, how many are needed there. Empty if only the total counts.
    by_dc: BTreeMap<String, usize>,
    /// How many are needed in all, of those that count.
    total: usize,
    /// Replicas that count, with their data centres.
    counted: Vec<(NodeId, String)>,
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
        let all: Vec<(NodeId, String)> = replicas.iter().map(|(id, dc)| (*id, (*dc).to_owned())).collect();
        let local: Vec<_> = all.iter().filter(|(_, dc)| dc == local_dc).cloned().collect();
        let plain = |counted: Vec<(NodeId, String)>, total| Quota { by_dc: BTreeMap::new(), total, counted };
        let quota = match level {
            Level::Any | Level::One => plain(all, 1),
            Level::Two => plain(all, 2),
            Level::Three => plain(all, 3),
            Level::Count(n) => plain(all, usize::from(n)),
            Level::Quorum => {
                let total = majority(all.len());
                plain(all, total)
            }
            Level::All => {
                let total = all.len().max(1);
                plain(all, total)
            }
            Level::LocalOne => plain(local, 1),
            Level::LocalQuorum => {
                let total = majority(local.len());
                plain(local, total)
            }
            Level::EachQuorum => {
                let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
                for (_, dc) in &all {
                    *sizes.entry(dc.clone()).or_default() += 1;
                }
                let by_dc: BTreeMap<String, usize> =
                    sizes.into_iter().map(|(dc, n)| (dc, majority(n))).collect();
                Quota { total: by_dc.values().sum(), by_dc, counted: all }
            }
        };
        if quota.total > quota.counted.len() || quota.total == 0 {
            return Err(Impossible { need: quota.total.max(1), have: quota.counted.len() });
        }
        Ok(quota)
    }

    /// How many are needed in all.
    pub fn need(&self) -> usize {
        self.total
    }

    /// Whether this replica counts.
    pub fn counts(&self, node: NodeId) -> bool {
        self.counted.iter().any(|(id, _)| *id == node)
    }

    /// How many of these count.
    pub fn have(&self, nodes: &[NodeId]) -> usize {
        nodes.iter().filter(|node| self.counts(**node)).count()
    }

    /// Whether these are enough.
    pub fn is_met(&self, nodes: &[NodeId]) -> bool {
        let enough = self.have(nodes) >= self.total;
        enough
            && self.by_dc.iter().all(|(dc, need)| {
                let here = self.counted.iter().filter(|(id, at)| at == dc && nodes.contains(id));
                here.count() >= *need
            })
    }

    /// The replicas to ask first, of those in the order of preference: as few as are enough.
    pub fn choose(&self, preferred: &[NodeId]) -> Vec<NodeId> {
        let mut chosen: Vec<NodeId> = Vec::new();
        let mut left = self.by_dc.clone();
        for &node in preferred {
            let Some((_, dc)) = self.counted.iter().find(|(id, _)| *id == node) else { continue };
            let wanted = match left.get_mut(dc) {
                Some(0) => false,
                Some(n) => {
                    *n -= 1;
                    true
                }
                None => self.by_dc.is_empty() && chosen.len() < self.total,
            };
            if wanted {
                chosen.push(node);
            }
        }
        chosen
    }
}
