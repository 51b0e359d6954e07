//! Background threads that stand back for others, on a machine whose processors are never free.

use esker::{
    Background, Db, DirLock, Env, Event, KeyspaceOptions, LocalEnv, LockMode, SpareTime, TableIo,
    WritableFile,
};
use esker_table::ByteSource;
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a thread is kept from the processors that nobody brings forward. Far longer than anything takes here.
const NEXT_TO_NOTHING: Duration = Duration::from_secs(60);

thread_local!(static THIS: RefCell<Option<Thread>> = const { RefCell::new(None) });

/// A background thread.
#[derive(Clone, Debug)]
struct Thread {
    only_spare: Arc<(Mutex<bool>, Condvar)>,
    machine: Busy,
}

impl SpareTime for Thread {
    fn may_return(&self) -> bool {
        true
    }

    fn only_spare(&self, only: bool) -> io::Result<()> {
        let (only_spare, changed) = &*self.only_spare;
        let mut guard = only_spare.lock().unwrap();
        *guard = only;
        changed.notify_all();
        if only {
            self.machine.counts.stood_back.fetch_add(1, Ordering::Relaxed);
            if self.machine.is_never_free {
                let (_guard, timeout) =
                    changed.wait_timeout_while(guard, NEXT_TO_NOTHING, |only| *only).unwrap();
                self.machine.counts.forgotten.fetch_add(usize::from(timeout.timed_out()), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// The operating system's files, on a machine whose processors are busy.
#[derive(Clone, Debug, Default)]
struct Busy {
    /// What others leave is nothing at all.
    is_never_free: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    stood_back: AtomicUsize,
    /// Threads that nobody brought forward.
    forgotten: AtomicUsize,
    /// Calls that take locks of the system, by threads that stood back.
    held_up: AtomicUsize,
    /// Tables that were opened to be waited for without sleep.
    hurried: AtomicUsize,
}

impl Busy {
    fn look(&self) {
        let stands_back =
            |this: &Option<Thread>| this.as_ref().is_some_and(|thread| *thread.only_spare.0.lock().unwrap());
        self.counts.held_up.fetch_add(usize::from(THIS.with_borrow(stands_back)), Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct File {
    file: Box<dyn WritableFile>,
    machine: Busy,
}

impl WritableFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.machine.look();
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.machine.look();
        self.file.sync()
    }
}

impl Env for Busy {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        self.look();
        Ok(Box::new(File { file: LocalEnv.create(path)?, machine: self.clone() }))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        self.look();
        LocalEnv.open(path)
    }
    fn open_hurried(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        self.counts.hurried.fetch_add(1, Ordering::Relaxed);
        LocalEnv.open_hurried(path)
    }
    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        self.look();
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
        self.look();
        LocalEnv.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.look();
        LocalEnv.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalEnv.hard_link(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.look();
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
        let thread = Thread { only_spare: Arc::default(), machine: self.clone() };
        THIS.set(Some(thread.clone()));
        Some(Box::new(thread))
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        LocalEnv.spawn(name, work)
    }
}

const PAIRS: u32 = 200_000;

/// Fills a store, and does all that waits for background threads. Returns how many flushes had ended before somebody waited for one.
fn work(env: &Busy, dir: &Path) -> usize {
    let flushes = Arc::new(AtomicUsize::new(0));
    let ended = flushes.clone();
    let count = move |event: &Event| {
        ended.fetch_add(usize::from(matches!(event, Event::FlushEnd { .. })), Ordering::Relaxed);
    };
    let builder = Db::builder().env(Arc::new(env.clone())).memory_budget(8 << 20);
    let db = builder.listener(Arc::new(count)).open(dir).unwrap();
    let other = db.create_keyspace("other", KeyspaceOptions::new()).unwrap();
    for i in 0..PAIRS {
        db.put(i.wrapping_mul(0x9e37_79b1).to_be_bytes(), [b'.'; 100]).unwrap();
        if i % 16 == 0 {
            other.put(i.to_be_bytes(), "here").unwrap();
        }
    }
    let unasked = flushes.load(Ordering::Relaxed);
    db.flush().unwrap();
    db.keyspace("default").unwrap().compact(..).unwrap();
    drop(other);
    db.drop_keyspace("other").unwrap();
    db.put("last", "one").unwrap();
    unasked
}

#[test]
fn a_store_gets_on_though_the_processors_are_never_free() {
    let (dir, env) = (tempfile::tempdir().unwrap(), Busy { is_never_free: true, ..Busy::default() });
    // Writers who filled the next memtable brought the flushes forward, and who waited for a thread what that did.
    assert!(work(&env, dir.path()) > 3);
    assert!(env.counts.stood_back.load(Ordering::Relaxed) > 3);
    assert_eq!(env.counts.forgotten.load(Ordering::Relaxed), 0);
    assert_eq!(Db::open(dir.path()).unwrap().range(..).count(), PAIRS as usize + 1);
}

#[test]
fn a_thread_that_stands_back_is_at_full_weight_in_the_system() {
    let (dir, env) = (tempfile::tempdir().unwrap(), Busy::default());
    work(&env, dir.path());
    assert!(env.counts.stood_back.load(Ordering::Relaxed) > 3);
    assert_eq!(env.counts.held_up.load(Ordering::Relaxed), 0);
}

#[test]
fn blocks_are_waited_for_without_sleep_unless_that_is_not_wanted() {
    let (dir, env) = (tempfile::tempdir().unwrap(), Busy::default());
    work(&env, dir.path());
    for polls in [true, false] {
        let env = Busy::default();
        let builder = Db::builder().env(Arc::new(env.clone())).table_io(TableIo::Pread);
        let db = builder.poll_reads(polls).open(dir.path()).unwrap();
        assert_eq!(db.get("last").unwrap().unwrap(), b"one");
        assert_eq!(db.get(0u32.to_be_bytes()).unwrap().unwrap(), &[b'.'; 100]);
        assert_eq!(env.counts.hurried.load(Ordering::Relaxed) > 0, polls);
    }
}
