//! [`LocalEnv`]: the operating system's files.

#[cfg(target_os = "linux")]
use super::SpareTime;
#[cfg(target_os = "linux")]
use super::mapped_log::MappedLog;
use super::positioned::Positioned;
#[cfg(target_os = "linux")]
use super::spare::LocalThread;
use super::{DirLock, Env, LockMode, WritableFile, memory, mmap};
use esker_table::ByteSource;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The operating system's files, clock and threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalEnv;

impl Env for LocalEnv {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(LocalFile(file)))
    }

    #[cfg(target_os = "linux")]
    fn create_mapped(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(MappedLog::new(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(Positioned::open(path, false)?))
    }

    fn open_hurried(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(Positioned::open(path, true)?))
    }

    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        mmap::map(&File::open(path)?, len)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|m| m.len())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        // A name that is no text was not given by Esker; what it becomes here is not one of Esker's either.
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        fs::create_dir_all(path)?;
        missing.iter().rev().try_for_each(|created| self.sync_dir(parent_of(created)))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
    }

    /// Windows gives no handle on a directory that can be flushed; its file systems log changes of names themselves.
    #[cfg(not(unix))]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        let outcome = match mode {
            LockMode::Exclusive => {
                // Not emptied: it might be a file that somebody holds.
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
                file.try_lock().map(|()| Some(file))
            }
            // Readers must get along in a directory that they cannot write to, and with a file that they cannot. A store
            // without a LOCK file has no writer.
            LockMode::Shared => match File::open(path) {
                Ok(file) => file.try_lock_shared().map(|()| Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => return Err(error),
            },
        };
        match outcome {
            Ok(file) => Ok(Box::new(LocalLock(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn now_millis(&self) -> u64 {
        // A clock set before 1970 reads as 1970.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    // Of this thread alone: on Linux the number is each thread's own.
    #[cfg(target_os = "linux")]
    fn lower_priority(&self, niceness: u8) {
        let _ = rustix::process::nice(i32::from(niceness));
    }

    #[cfg(target_os = "linux")]
    fn spare_time(&self) -> Option<Box<dyn SpareTime>> {
        Some(Box::new(LocalThread::current()?))
    }

    fn memory_limit(&self) -> Option<u64> {
        memory::limit()
    }

    #[cfg(target_os = "linux")]
    fn file_limit(&self) -> Option<u64> {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// The directory that holds the name `path`.
fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What room is made of.
#[cfg(unix)]
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes zeros from `from` to `end`.
#[cfg(unix)]
pub(super) fn write_zeros(file: &File, from: u64, end: u64) -> io::Result<()> {
    let mut at = from;
    while at < end {
        let zeros = &ZEROS[..ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX))];
        std::os::unix::fs::FileExt::write_all_at(file, zeros, at)?;
        at += zeros.len() as u64;
    }
    Ok(())
}

#[derive(Debug)]
struct LocalFile(File);

impl WritableFile for LocalFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    // Zeros that are written: space that is only allocated has to be marked as written by the sync that follows, in a journal.
    #[cfg(unix)]
    fn reserve(&self, from: u64, end: u64) -> io::Result<()> {
        write_zeros(&self.0, from, end)
    }

    #[cfg(unix)]
    fn take_back(&self, end: u64) -> io::Result<()> {
        self.0.set_len(end)
    }
}

/// The operating system's advisory lock, which belongs to the open file: a second one in the same process is refused like
/// one in another, and a process that dies gives it up.
#[derive(Debug)]
#[expect(dead_code, reason = "closing the file is what releases the lock")]
struct LocalLock(Option<File>);

impl DirLock for LocalLock {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_are_read_and_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let env = LocalEnv;
        let path = dir.path().join("a/b/file");
        env.create_dir_all(&dir.path().join("a/b")).unwrap();
        env.create_dir_all(&dir.path().join("a/b")).unwrap();
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        let file = env.create(&path).unwrap();
        file.append(&content[..7]).unwrap();
        file.append(&content[7..]).unwrap();
        file.sync().unwrap();
        env.sync_dir(path.parent().unwrap()).unwrap();
        assert_eq!(env.file_len(&path).unwrap(), content.len() as u64);
        assert_eq!(env.read_dir(path.parent().unwrap()).unwrap(), ["file"]);
        for source in [env.open(&path).unwrap(), env.map(&path, content.len() as u64).unwrap()] {
            assert_eq!(source.len(), content.len() as u64);
            source.populate(5_000, 200_000).unwrap();
            assert_eq!(source.read(5_000, 200_000).unwrap(), content[5_000..205_000]);
            assert_eq!(source.read(0, 0).unwrap(), b"");
            for (offset, len) in
                [(content.len() as u64, 1), (u64::MAX, 1), (0, usize::MAX), (1, content.len())]
            {
                let error = source.read(offset, len).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
        env.truncate(&path, 3).unwrap();
        assert_eq!(env.open(&path).unwrap().read(0, 3).unwrap(), content[..3]);
        let error = env.map(&path, 4).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_removed_file_stays_with_those_who_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        LocalEnv.create(&path).unwrap().append(b"content").unwrap();
        let sources = [LocalEnv.open(&path).unwrap(), LocalEnv.map(&path, 7).unwrap()];
        LocalEnv.remove_file(&path).unwrap();
        for source in sources {
            assert_eq!(source.read(0, 7).unwrap(), b"content");
        }
        assert_eq!(LocalEnv.open(&path).err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn room_is_made_and_filled_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LocalEnv.create(&path).unwrap();
        file.append(b"abc").unwrap();
        file.reserve(3, 10).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abc\0\0\0\0\0\0\0");
        file.append(b"def").unwrap();
        file.reserve(10, 12).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abcdef\0\0\0\0\0\0");
        file.append(b"ghijklmno").unwrap();
        file.reserve(15, 150_000).unwrap();
        let zeros = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        assert!(fs::read(&path).unwrap().split_at(15).1.len() == 149_985);
        assert!(zeros(&fs::read(&path).unwrap()[15..]));
        file.take_back(15).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abcdefghijklmno");
    }

    #[test]
    fn one_writer_or_many_readers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let refused =
            |mode| matches!(LocalEnv.lock(&path, mode), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        // Without the file there is nothing to wait for, and readers do not make it.
        drop(LocalEnv.lock(&path, LockMode::Shared).unwrap());
        assert!(!path.exists());
        let writer = LocalEnv.lock(&path, LockMode::Exclusive).unwrap();
        assert!(refused(LockMode::Exclusive));
        assert!(refused(LockMode::Shared));
        drop(writer);
        let readers = [0, 1].map(|_| LocalEnv.lock(&path, LockMode::Shared).unwrap());
        assert!(refused(LockMode::Exclusive));
        drop(readers);
        LocalEnv.lock(&path, LockMode::Exclusive).unwrap();
    }
}
