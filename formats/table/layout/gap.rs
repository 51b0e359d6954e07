//! The gap that a table may leave between two blocks, so that the second begins with a page.
//!
//! ```text
//!   ┌────────────────┬──────┐┌─────
//!   │ block          │ 0..0 ││ block      MIN_GAP to MAX_GAP zeros, as far as the next multiple of PAGE
//!   └────────────────┴──────┘└─────
//! ```
//!
//! Pages are of 4096 bytes whatever the system's are: a file is the same everywhere, and larger pages begin where some of these do.

use super::lines;
use crate::{BlockSource, Result, TableError};

/// What most systems read from a device and remember of it.
pub const PAGE: u64 = lines::PAGE as u64;

/// The shortest gap. No stored block begins with so many zeros, which tells a gap from a block where no index does.
pub const MIN_GAP: usize = 4;

/// The longest gap: an eighth of a page.
pub const MAX_GAP: usize = lines::PAGE / 8;

/// The length of the gap that there may be behind what ends at `end`; 0 if there is none.
#[inline]
pub fn after(end: u64) -> usize {
    let left = (end.wrapping_neg() % PAGE) as usize;
    if (MIN_GAP..=MAX_GAP).contains(&left) { left } else { 0 }
}

/// Whether what begins at `start` comes next behind what ends at `end`, with or without a gap.
#[inline]
pub fn is_next(end: u64, start: u64) -> bool {
    start == end || start.checked_sub(end) == Some(after(end) as u64)
}

/// Checks that what begins at `start` comes next, and that nothing but zeros lies before it.
///
/// # Errors
/// `Corruption` if not, `Io` if the device failed.
pub fn check(source: &BlockSource, end: u64, start: u64) -> Result<()> {
    if !is_next(end, start) {
        return Err(TableError::corruption(start, "blocks overlap or leave a hole"));
    }
    let len = (start - end) as usize;
    if len == 0 {
        return Ok(());
    }
    if source.read_at(end, len)?.iter().any(|&byte| byte != 0) {
        return Err(TableError::corruption(end, "a gap is not zero"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_reaches_a_page() {
        assert_eq!([0, 1, 3583, 3584, 4092, 4093, 4096].map(after), [0, 0, 0, 512, 4, 0, 0]);
        assert_eq!([u64::MAX - 3, u64::MAX].map(after), [4, 0]);
        for (end, start) in [(10, 10), (4000, 4000), (4000, 4096), (8188, 8192), (0, 0)] {
            assert!(is_next(end, start), "{end} {start}");
        }
        for (end, start) in
            [(10, 11), (4000, 4095), (4000, 4097), (4096, 4000), (3000, 4096), (8191, 8192), (u64::MAX, 0)]
        {
            assert!(!is_next(end, start), "{end} {start}");
        }
    }

    #[test]
    fn a_gap_is_zero() {
        let mut bytes = vec![1; 8192];
        let check = |bytes: &[u8], end, start| check(&BlockSource::from_memory(bytes.to_vec()), end, start);
        assert!(check(&bytes, 4000, 4000).is_ok());
        assert!(check(&bytes, 4000, 4096).is_err());
        bytes[4000..4096].fill(0);
        assert!(check(&bytes, 4000, 4096).is_ok());
        assert!(check(&bytes, 3999, 4096).is_err());
        assert!(check(&bytes, 4000, 4095).is_err());
        assert!(check(&bytes, 8100, 8192).is_err());
    }
}
