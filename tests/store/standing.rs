//! Background threads that stand back for others, on a machine whose processors are never free.

use esker::{
    Background, Db, DirLock, Env, Event, KeyspaceOptions, LocalEnv, LockMode, SpareTime, WritableFile,
};
use esker_table::ByteSource;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a thread is kept from the processors that nobody brings forward.
const NEXT_TO_NOTHING: Duration = Duration::from_secs(10);

thread_local!(static THIS: RefCell<Option<Thread>> = const { RefCell::new(None) });

/// A thread that does not get on while it has only what others leave.
#[derive(Clone, Debug, Default)]
struct Thread(Arc<(Mutex<bool>, Condvar)>);

impl SpareTime for Thread {
    fn only_spare(&self, only: bool) -> io::Result<()> {
        let (only_spare, changed) = &*self.0;
        let mut guard = only_spare.lock().unwrap();
        *guard = only;
        changed.notify_all();
        if only {
            let _ = changed.wait_timeout_while(guard, NEXT_TO_NOTHING, |only| *only).unwrap();
        }
        Ok(())
    }
}

/// The operating system's files, on such a machine.
#[derive(Clone, Debug, Default)]
struct Busy {
    /// Appends and syncs by threads that stood back.
    held_up: Arc<AtomicUsize>,
    stood_back: Arc<AtomicUsize>,
}

/// What a thread stands back with, so that the attempt whether it may is not kept waiting.
#[derive(Debug)]
struct Handle {
    thread: Thread,
    stood_back: Arc<AtomicUsize>,
    is_attempt: bool,
}

impl SpareTime for Handle {
    fn only_spare(&self, only: bool) -> io::Result<()> {
        if self.is_attempt {
            return Ok(());
        }
        self.stood_back.fetch_add(usize::from(only), Ordering::Relaxed);
        self.thread.only_spare(only)
    }
}

#[derive(Debug)]
struct File {
    file: Box<dyn WritableFile>,
    held_up: Arc<AtomicUsize>,
}

impl File {
    fn look(&self) {
        let stands_back =
            THIS.with_borrow(|this| this.as_ref().is_some_and(|thread| *thread.0.0.lock().unwrap()));
        self.held_up.fetch_add(usize::from(stands_back), Ordering::Relaxed);
    }
}

impl WritableFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.look();
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.look();
        self.file.sync()
    }
}

impl Env for Busy {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        let (file, held_up) = (LocalEnv.create(path)?, self.held_up.clone());
        Ok(Box::new(File { file, held_up }))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        LocalEnv.open(path)
    }
    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        LocalEnv.map(path, len)
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        LocalEnv.truncate(path, len)
    }
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        LocalEnv.file_len(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        LocalEnv.read_dir(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalEnv.create_dir_all(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalEnv.remove_dir_all(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        LocalEnv.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalEnv.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalEnv.hard_link(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        LocalEnv.sync_dir(path)
    }
    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        LocalEnv.lock(path, mode)
    }
    fn now_millis(&self) -> u64 {
        LocalEnv.now_millis()
    }
    fn monotonic(&self) -> Duration {
        LocalEnv.monotonic()
    }
    fn background(&self) -> Background {
        Background::Threads
    }

    fn spare_time(&self) -> Option<Box<dyn SpareTime>> {
        let thread = Thread::default();
        let is_attempt = std::thread::current().name() == Some("esker-attempt");
        if !is_attempt {
            THIS.set(Some(thread.clone()));
        }
        Some(Box::new(Handle { thread, stood_back: self.stood_back.clone(), is_attempt }))
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        LocalEnv.spawn(name, work)
    }
}

#[test]
fn a_store_gets_on_though_the_processors_are_never_free() {
    let (dir, env) = (tempfile::tempdir().unwrap(), Busy::default());
    let flushes = Arc::new(AtomicUsize::new(0));
    let ended = flushes.clone();
    let count = move |event: &Event| {
        ended.fetch_add(usize::from(matches!(event, Event::FlushEnd { .. })), Ordering::Relaxed);
    };
    let builder = || Db::builder().env(Arc::new(env.clone())).memory_budget(8 << 20);
    let db = builder().listener(Arc::new(count)).open(dir.path()).unwrap();
    let other = db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
    let pairs = 200_000u32;
    for i in 0..pairs {
        db.put(i.wrapping_mul(0x9e37_79b1).to_be_bytes(), [b'.'; 100]).unwrap();
        if i % 16 == 0 {
            other.put(i.to_be_bytes(), "here").unwrap();
        }
    }
    // Writers who filled the next memtable brought the flushes forward.
    assert!(flushes.load(Ordering::Relaxed) > 3, "{flushes:?}");
    // Who waits for a thread brings it forward, whatever it does.
    db.flush().unwrap();
    db.keyspace("default").unwrap().compact(..).unwrap();
    drop(other);
    db.drop_keyspace("other").unwrap();
    db.put("last", "one").unwrap();
    drop(db);
    assert!(env.stood_back.load(Ordering::Relaxed) > 3);
    assert_eq!(env.held_up.load(Ordering::Relaxed), 0, "the file system was closed to others");
    let db = builder().open(dir.path()).unwrap();
    assert_eq!(db.range(..).count(), pairs as usize + 1);
}
