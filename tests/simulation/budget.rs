//! [`Budget`]: how much may go wrong at once. At most one replica of any key is destroyed (wiped, replaced by a copy, damaged
//! by flipped bits) until it has everything again.

use crate::history::MachineId;

/// How much may go wrong at once.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// The machine whose replicas are destroyed.
    destroyed: Option<MachineId>,
}

impl Budget {
    /// Whether this machine's replicas may be destroyed now.
    pub(crate) fn may_destroy(&self, machine: MachineId) -> bool {
        self.destroyed.is_none_or(|destroyed| destroyed == machine)
    }

    /// This machine's replicas are destroyed.
    pub(crate) fn destroy(&mut self, machine: MachineId) {
        self.destroyed = Some(machine);
    }

    /// The machine whose replicas are destroyed.
    pub(crate) fn destroyed(&self) -> Option<MachineId> {
        self.destroyed
    }

    /// They are there again.
    pub(crate) fn rebuilt(&mut self) {
        self.destroyed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_at_a_time() {
        let mut budget = Budget::default();
        assert!(budget.may_destroy(0) && budget.may_destroy(1));
        budget.destroy(0);
        assert!(budget.may_destroy(0) && !budget.may_destroy(1));
        budget.rebuilt();
        assert!(budget.may_destroy(1));
    }
}
