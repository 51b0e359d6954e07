//! The files of a store: brought into memory, put out of it, or counted.

use crate::peer::Result;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Reads the files of a directory, so that none of a measurement is what the system had forgotten meanwhile. Of a sparse file as
/// much is read as it takes.
pub(crate) fn warm(dir: &Path) -> Result<()> {
    for file in files(dir)? {
        let taken = taken_bytes(&fs::metadata(&file)?);
        io::copy(&mut File::open(&file)?.take(taken), &mut io::sink())?;
    }
    Ok(())
}

/// Has the system forget the files of a directory. What is not on the device yet it could not forget, so it is synced first.
#[cfg(target_os = "linux")]
pub(crate) fn cool(dir: &Path) -> Result<()> {
    use rustix::fs::{Advice, fadvise};
    for file in files(dir)? {
        let file = File::open(&file)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Has the system forget the files of a directory.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cool(_: &Path) -> Result<()> {
    Err("only Linux can be asked to forget the files of a store".into())
}

/// What the files of a directory take on disk.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in files(dir)? {
        bytes += taken_bytes(&fs::metadata(&file)?);
    }
    Ok(bytes)
}

fn taken_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut dirs } else { &mut files };
            list.push(entry.path());
        }
    }
    Ok(files)
}
