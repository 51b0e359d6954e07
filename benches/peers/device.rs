//! [`DeviceBytes`]: what passes between this process and devices.

use std::fs;

/// What this process has read and written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceBytes {
    /// Bytes that came from a device, and not from what the system remembers of files.
    pub(crate) read: u64,
    /// Bytes that the system was made to write, now or later.
    pub(crate) written: u64,
}

impl DeviceBytes {
    /// Those of this process. `None` where there is no `/proc`.
    pub(crate) fn now() -> Option<DeviceBytes> {
        DeviceBytes::parse(&fs::read_to_string("/proc/self/io").ok()?)
    }

    fn parse(io: &str) -> Option<DeviceBytes> {
        let field = |name| io.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
        Some(DeviceBytes { read: field("read_bytes:")?, written: field("write_bytes:")? })
    }

    /// What has passed since.
    pub(crate) fn since(self, before: DeviceBytes) -> DeviceBytes {
        DeviceBytes {
            read: self.read.saturating_sub(before.read),
            written: self.written.saturating_sub(before.written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        let io = "rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 512\ncancelled_write_bytes: 1\n";
        let bytes = DeviceBytes::parse(io).unwrap();
        assert_eq!(bytes, DeviceBytes { read: 4096, written: 512 });
        assert_eq!(
            bytes.since(DeviceBytes { read: 96, written: 600 }),
            DeviceBytes { read: 4000, written: 0 }
        );
        assert_eq!(DeviceBytes::parse("rchar: 9\n"), None);
    }
}
