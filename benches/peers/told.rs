//! [`Told`]: a file in which the kernel tells something anew each time it is read.

use std::fs::File;
use std::io::{Read as _, Seek as _};

/// See the head of this file. It stays open, so that to read it again takes two calls.
#[derive(Debug)]
pub(crate) struct Told(File);

impl Told {
    /// `None` where there is no such file, as on anything but Linux.
    pub(crate) fn open(path: &str) -> Option<Told> {
        File::open(path).ok().map(Told)
    }

    /// What it tells now, as much of it as there is room for.
    pub(crate) fn read<'a>(&mut self, bytes: &'a mut [u8]) -> Option<&'a str> {
        self.0.rewind().ok()?;
        let len = self.0.read(bytes).ok()?;
        std::str::from_utf8(&bytes[..len]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_from_the_front_each_time_and_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "first").unwrap();
        let mut told = Told::open(path.to_str().unwrap()).unwrap();
        assert_eq!(told.read(&mut [0; 80]), Some("first"));
        std::fs::write(&path, "second").unwrap();
        assert_eq!(told.read(&mut [0; 80]), Some("second"));
        assert_eq!(told.read(&mut [0; 3]), Some("sec"));
        assert!(Told::open(dir.path().join("none").to_str().unwrap()).is_none());
    }
}
