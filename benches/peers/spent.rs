//! [`Spent`]: what work costs this process.

use crate::device::DeviceBytes;
use esker_server::bench::process;
use std::time::Duration;

/// What this process has taken so far, as far as the system says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) cpu: Option<Duration>,
    pub(crate) device: Option<DeviceBytes>,
}

impl Spent {
    pub(crate) fn now() -> Spent {
        Spent { cpu: process::cpu(), device: DeviceBytes::now() }
    }

    /// What was taken since.
    pub(crate) fn since(self, before: Spent) -> Spent {
        Spent {
            cpu: self.cpu.zip(before.cpu).map(|(now, before)| now.saturating_sub(before)),
            device: self.device.zip(before.device).map(|(now, before)| now.since(before)),
        }
    }
}
