//! [`TestFiles`]: files in memory that count their reads and can fail.

use crate::fs::{DirLock, Env, LockMode, WritableFile};
use esker_table::{ByteSource, Slice};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Files in memory.
#[derive(Default)]
pub(crate) struct TestFiles {
    files: Mutex<HashMap<PathBuf, Slice>>,
    /// Reads of any file, and the bytes they gave.
    pub(crate) reads: Arc<AtomicU64>,
    /// Opened files.
    pub(crate) opens: AtomicU64,
    /// How many more reads succeed.
    good_reads: Arc<AtomicI64>,
}

impl TestFiles {
    pub(crate) fn put(&self, path: PathBuf, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(path, Slice::from(bytes));
    }

    /// Reads since the last call.
    pub(crate) fn take_reads(&self) -> u64 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn fail(&self, yes: bool) {
        self.fail_from(if yes { 0 } else { i64::MAX });
    }

    /// After this many reads all others fail.
    pub(crate) fn fail_from(&self, reads: i64) {
        self.good_reads.store(reads, Ordering::Relaxed);
    }

    fn find(&self, path: &Path) -> io::Result<Slice> {
        self.files.lock().unwrap().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl std::fmt::Debug for TestFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestFiles")
    }
}

struct TestBytes {
    bytes: Slice,
    mapped: bool,
    reads: Arc<AtomicU64>,
    good_reads: Arc<AtomicI64>,
}

impl TestBytes {
    fn check(&self) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let good = self.good_reads.fetch_sub(1, Ordering::Relaxed);
        if good <= 0 { Err(io::Error::other("the device failed")) } else { Ok(()) }
    }
}

impl ByteSource for TestBytes {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        self.check()?;
        Ok(self.bytes.slice(offset as usize..offset as usize + len))
    }

    fn populate(&self, _: u64, _: usize) -> io::Result<()> {
        let good = self.good_reads.load(Ordering::Relaxed);
        if good <= 0 { Err(io::Error::other("the device failed")) } else { Ok(()) }
    }

    fn is_mapped(&self) -> bool {
        self.mapped
    }
}

fn no<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Env for TestFiles {
    fn create(&self, _: &Path) -> io::Result<Box<dyn WritableFile>> {
        no()
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        let bytes = self.find(path)?;
        let (reads, good_reads) = (self.reads.clone(), self.good_reads.clone());
        Ok(Arc::new(TestBytes { bytes, mapped: false, reads, good_reads }))
    }
    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        let bytes = self.find(path)?;
        assert!(bytes.len() as u64 >= len);
        let (reads, good_reads) = (self.reads.clone(), self.good_reads.clone());
        Ok(Arc::new(TestBytes { bytes: bytes.slice(..len as usize), mapped: true, reads, good_reads }))
    }
    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        no()
    }
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        Ok(self.find(path)?.len() as u64)
    }
    fn read_dir(&self, _: &Path) -> io::Result<Vec<String>> {
        no()
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        no()
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        no()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn lock(&self, _: &Path, _: LockMode) -> io::Result<Box<dyn DirLock>> {
        no()
    }
    fn now_millis(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
