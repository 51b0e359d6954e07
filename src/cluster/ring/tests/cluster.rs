//! Random clusters, and what happens to them, from a seed.

use crate::NodeId;
use crate::ring::{Ring, RingMember, scatter};

/// Numbers from a seed.
pub(super) struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Draw {
        Draw { seed, drawn: 0 }
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.drawn += 1;
        scatter(self.seed ^ 0x5eed, self.drawn)
    }

    /// A number from `least` to `most`, each as likely.
    pub(super) fn number(&mut self, least: usize, most: usize) -> usize {
        least + (self.bits() % (most - least + 1) as u64) as usize
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.number(0, at));
        }
    }
}

/// A cluster that changes.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) replicas: usize,
    pub(super) members: Vec<RingMember>,
    heaviest: usize,
    zones: usize,
    dcs: usize,
}

impl Cluster {
    /// Of up to `most` members.
    pub(super) fn draw(draw: &mut Draw, most: usize) -> Cluster {
        // Small clusters have the tightest constraints: half of them are.
        let most = if draw.number(0, 1) == 0 { most.min(9) } else { most };
        let count = draw.number(1, most);
        let mut cluster = Cluster {
            replicas: draw.number(1, 5),
            members: Vec::new(),
            heaviest: if draw.number(0, 2) == 0 { 1 } else { 10 },
            zones: draw.number(1, 6),
            dcs: draw.number(1, 3),
        };
        for _ in 0..count {
            cluster.join(draw);
        }
        cluster
    }

    /// As operators build them: zones of one size, three nodes or more in each, and weights that differ by half at most.
    pub(super) fn even(draw: &mut Draw) -> Cluster {
        let (zones, dcs) = (draw.number(3, 4), draw.number(1, 2));
        let mut cluster = Cluster { replicas: 3, members: Vec::new(), heaviest: 1, zones, dcs };
        for at in 0..zones * dcs * draw.number(3, 7) {
            cluster.join(draw);
            cluster.members[at].weight = draw.number(2, 3) as u32;
            cluster.members[at].zone = format!("zone {}", at % zones);
            cluster.members[at].dc = format!("dc {}", at / zones % dcs);
        }
        cluster
    }

    fn join(&mut self, draw: &mut Draw) {
        self.members.push(RingMember {
            id: NodeId(draw.bits()),
            weight: draw.number(1, self.heaviest) as u32,
            zone: format!("zone {}", draw.number(1, self.zones)),
            dc: format!("dc {}", draw.number(1, self.dcs)),
        });
    }

    /// Somebody joins, leaves, or changes its weight.
    pub(super) fn change(&mut self, draw: &mut Draw, most: usize) -> String {
        let at = draw.number(0, self.members.len() - 1);
        match draw.number(0, 8) {
            0..=3 if self.members.len() < most => {
                self.join(draw);
                format!("{:?} joins", self.members[self.members.len() - 1])
            }
            4..=6 if self.members.len() > 1 => format!("{:?} leaves", self.members.swap_remove(at)),
            _ => {
                self.members[at].weight = draw.number(1, 10) as u32;
                format!("{:?} changes its weight", self.members[at])
            }
        }
    }

    pub(super) fn ring(&self, partitions: u32, previous: Option<&Ring>) -> Ring {
        Ring::place(partitions, self.replicas, &self.members, previous).unwrap()
    }
}
