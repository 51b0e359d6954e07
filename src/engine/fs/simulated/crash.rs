//! What a crash leaves on the disk.

use super::disk::{Disk, File, SECTOR};

/// What becomes of data and names that were never synced when the power goes. What was synced always stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// All of it is lost.
    LoseAll,
    /// All of it had reached the device by itself.
    KeepAll,
    /// Each sector, each length and each change of a name is lost or kept for itself, by this seed. A renaming is one
    /// change: the file has one name or the other.
    Subset(u64),
    /// All is kept but the last sector of each unsynced file, which is torn somewhere, by this seed.
    TornLast(u64),
}

/// A small generator of numbers that depend on nothing but the seed (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which must not be 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// The disk after a power loss.
pub(super) fn after_power_loss(disk: &Disk, mode: CrashMode) -> Disk {
    let mut dice = Dice::new(match mode {
        CrashMode::Subset(seed) | CrashMode::TornLast(seed) => seed,
        _ => 0,
    });
    // Of eight: how many of the unsynced pieces survive. A fair coin alone would hardly ever lose just one of many.
    let survivors = [1, 4, 4, 7][dice.below(4) as usize];
    let mut disk = disk.clone();
    for change in std::mem::take(&mut disk.pending) {
        let kept = match mode {
            CrashMode::LoseAll => false,
            CrashMode::KeepAll | CrashMode::TornLast(_) => true,
            CrashMode::Subset(_) => dice.below(8) < survivors,
        };
        if kept {
            disk.apply(&change);
        }
    }
    for dir in disk.dirs.values_mut() {
        dir.live = dir.durable.clone();
    }
    // By number, so that the dice fall the same way every time.
    let mut files: Vec<_> = disk.files.iter_mut().collect();
    files.sort_by_key(|(id, _)| **id);
    for (_, file) in files {
        let content = match mode {
            CrashMode::LoseAll => file.durable.clone(),
            CrashMode::KeepAll => file.kept(),
            CrashMode::Subset(_) => subset(file, survivors, &mut dice),
            CrashMode::TornLast(_) => torn(file, &mut dice),
        };
        file.settle(content);
        file.forget_handles();
    }
    disk
}

/// The disk after the process was killed: everything written is still in the page cache, and no more durable than before.
pub(super) fn after_kill(disk: &Disk) -> Disk {
    let mut disk = disk.clone();
    disk.files.values_mut().for_each(File::forget_handles);
    disk
}

fn subset(file: &File, survivors: u64, dice: &mut Dice) -> Vec<u8> {
    let (old, new) = (&file.durable, file.kept());
    if *old == new {
        return new;
    }
    let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
    let len = match dice.below(4) {
        0 => old.len(),
        1 => short + dice.below((long - short + 1) as u64) as usize,
        _ => new.len(),
    };
    let mut content = vec![0; len];
    for start in (0..len).step_by(SECTOR) {
        let source = if dice.below(8) < survivors { &new } else { old };
        let end = (start + SECTOR).min(len).min(source.len());
        if start < end {
            content[start..end].copy_from_slice(&source[start..end]);
        }
    }
    content
}

fn torn(file: &File, dice: &mut Dice) -> Vec<u8> {
    let (old, mut new) = (&file.durable, file.kept());
    if *old == new || new.is_empty() {
        return new;
    }
    let last = (new.len() - 1) / SECTOR * SECTOR;
    let cut = last + dice.below((new.len() - last) as u64) as usize;
    for (at, byte) in new.iter_mut().enumerate().skip(cut) {
        *byte = old.get(at).copied().unwrap_or(0);
    }
    if dice.below(2) == 0 {
        // The length had not been written either.
        new.truncate(cut.max(old.len()));
    }
    new
}
