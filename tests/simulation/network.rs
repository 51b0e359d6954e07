//! [`Network`]: what becomes of a message between two machines.
//!
//! Messages of one connection arrive in order, but for those that are late. Being lost, late, doubled or damaged is drawn for
//! each; ways that are cut let nothing through, each direction for itself.

use crate::dice::Dice;
use crate::history::MachineId;
use crate::plan::NetworkPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One arrival of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) bytes: Vec<u8>,
    /// Whether the bytes are not those that were sent.
    pub(crate) damaged: bool,
}

/// What becomes of messages.
pub(crate) struct Network {
    plan: NetworkPlan,
    dice: Dice,
    cut: BTreeSet<(MachineId, MachineId)>,
    /// When the latest message of each way arrives.
    latest: BTreeMap<(MachineId, MachineId), Duration>,
    /// Of a thousand messages so many more are lost.
    pub(crate) lossy: u32,
    calm: bool,
}

impl Network {
    pub(crate) fn new(plan: NetworkPlan, dice: Dice) -> Network {
        Network { plan, dice, cut: BTreeSet::new(), latest: BTreeMap::new(), lossy: 0, calm: false }
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.lossy = 0;
        self.calm = true;
    }

    /// Lets nothing through from one machine to another.
    pub(crate) fn cut(&mut self, from: MachineId, to: MachineId) {
        self.cut.insert((from, to));
    }

    /// Opens that way again.
    pub(crate) fn mend(&mut self, from: MachineId, to: MachineId) {
        self.cut.remove(&(from, to));
    }

    /// Whether that way is cut.
    pub(crate) fn is_cut(&self, from: MachineId, to: MachineId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// The arrivals of a message that is sent now.
    pub(crate) fn send(
        &mut self,
        now: Duration,
        from: MachineId,
        to: MachineId,
        bytes: Vec<u8>,
    ) -> Vec<Arrival> {
        if self.is_cut(from, to) {
            return Vec::new();
        }
        let (fastest, slowest) = (self.plan.fastest, self.plan.slowest);
        let at = now + self.dice.time(fastest, slowest.max(fastest));
        if self.calm {
            return vec![Arrival { at: self.in_order(from, to, at), bytes, damaged: false }];
        }
        if self.dice.chance(self.plan.lost + self.lossy) {
            return Vec::new();
        }
        let mut arrivals = Vec::new();
        if self.dice.chance(self.plan.twice) {
            let again = at + self.dice.time(Duration::ZERO, Duration::from_millis(800));
            arrivals.push(Arrival { at: again, bytes: bytes.clone(), damaged: false });
        }
        let late = self.dice.chance(self.plan.late);
        let at = match late {
            true => at + self.dice.time(Duration::from_millis(5), Duration::from_millis(1500)),
            false => self.in_order(from, to, at),
        };
        let mut bytes = bytes;
        let damaged = self.dice.chance(self.plan.damaged) && !bytes.is_empty();
        if damaged {
            let place = self.dice.index(bytes.len());
            bytes[place] ^= 1 << self.dice.below(8);
        }
        arrivals.push(Arrival { at, bytes, damaged });
        arrivals
    }

    fn in_order(&mut self, from: MachineId, to: MachineId, at: Duration) -> Duration {
        let latest = self.latest.entry((from, to)).or_default();
        *latest = at.max(*latest + Duration::from_nanos(1));
        *latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn a_cut_way_lets_nothing_through_and_the_other_way_does() {
        let mut network = Network::new(Plan::of(1).network, Dice::new(1));
        network.cut(0, 1);
        let arrived = |network: &mut Network, from, to| {
            (0..100).map(|_| network.send(Duration::ZERO, from, to, vec![1]).len()).sum::<usize>()
        };
        assert_eq!(arrived(&mut network, 0, 1), 0);
        assert!(arrived(&mut network, 1, 0) > 50);
        network.mend(0, 1);
        assert!(arrived(&mut network, 0, 1) > 50);
    }

    #[test]
    fn a_healed_network_delivers_everything_once_and_in_order() {
        let mut network = Network::new(Plan::of(2).network, Dice::new(2));
        network.lossy = 900;
        network.cut(0, 1);
        network.heal();
        let mut last = Duration::ZERO;
        for i in 0..200 {
            let arrivals = network.send(Duration::from_micros(i), 0, 1, vec![7]);
            assert_eq!(arrivals.len(), 1);
            assert!(arrivals[0].at > last && !arrivals[0].damaged);
            last = arrivals[0].at;
        }
    }
}
