//! [`Positioned`]: a file that is read by position, with a call for each piece.

use super::at_full_weight;
#[cfg(target_os = "linux")]
use super::polling::Polling;
#[cfg(target_os = "linux")]
use super::standing::is_background;
#[cfg(target_os = "linux")]
use esker_table::Advice;
use esker_table::{ByteSource, Slice};
use std::fs::File;
use std::io;
use std::path::Path;

/// A file that nobody writes.
#[derive(Debug)]
pub(super) struct Positioned {
    file: File,
    len: u64,
    /// Somebody waits for each of its blocks.
    #[cfg(target_os = "linux")]
    polling: Option<Polling>,
}

impl Positioned {
    /// Opens it. If it is `hurried`, the processor's time may be spent to have its blocks sooner.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "there is no such way"))]
    pub(super) fn open(path: &Path, hurried: bool) -> io::Result<Positioned> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Positioned {
            file,
            len,
            #[cfg(target_os = "linux")]
            polling: hurried.then(Polling::default),
        })
    }

    #[cfg(unix)]
    fn fill(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(polling) = self.polling.as_ref().filter(|_| !is_background())
            && polling.read(&self.file, offset, out)
        {
            return Ok(());
        }
        std::os::unix::fs::FileExt::read_exact_at(&self.file, out, offset)
    }

    #[cfg(windows)]
    fn fill(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, out, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    out = &mut out[n..];
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ByteSource for Positioned {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        // Before the memory is asked for: a damaged length must not cost more than the file has.
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        at_full_weight(|| self.fill(offset, &mut bytes))?;
        Ok(Slice::from(bytes))
    }

    fn is_mapped(&self) -> bool {
        false
    }

    // The system guesses from what lies in memory that single places are a scan, unless it is told.
    #[cfg(target_os = "linux")]
    fn advise(&self, advice: Advice, offset: u64, len: u64) {
        use rustix::fs::Advice as Of;
        let advice = match advice {
            Advice::Random => Of::Random,
            Advice::Sequential | Advice::WillNeed => Of::WillNeed,
            _ => return,
        };
        let len = std::num::NonZeroU64::new(len);
        let _ = at_full_weight(|| rustix::fs::fadvise(&self.file, offset, len, advice));
    }
}
