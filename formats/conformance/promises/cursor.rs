//! A cursor goes where the model goes: seeks to entries and between them, first, last, and any sequence of steps forwards
//! and backwards, over both ends and back.

use crate::model::{entries_of, lower_bound};
use crate::random::Random;
use crate::sources;
use crate::subject::{Entry, Subject};
use esker_table::{ReadOptions, Result, Run, TableCursor, Trailer};

pub(crate) fn check(subject: &Subject<'_>) {
    for (number, content) in subject.contents().iter().enumerate() {
        let written = subject.write(content);
        for (name, source) in sources::all(&written.bytes) {
            let seed = 100 + number as u64;
            let reader = subject.open(source);
            for sequential in [false, true] {
                let options = ReadOptions::default().with_sequential(sequential);
                let cursor = reader.clone().cursor(&options);
                let walk = Walk { cursor, run: Run::new(), entries: &content.entries, window: 0..0 };
                walk.run(&mut Random::new(seed))
                    .unwrap_or_else(|error| panic!("{} from {name}, seed {seed}: {error}", content.name));
            }
        }
    }
}

/// A cursor and the part of the model that its run must equal.
struct Walk<'e> {
    cursor: Box<dyn TableCursor>,
    run: Run,
    entries: &'e [Entry],
    window: std::ops::Range<usize>,
}

impl Walk<'_> {
    fn run(mut self, random: &mut Random) -> Result<()> {
        self.position(random)?;
        for _ in 0..400 {
            let want = [1, 2, 5, 40, 1000][random.below(5)];
            match random.below(6) {
                0 => self.position(random)?,
                1..=3 => {
                    let from = self.window.end;
                    self.cursor.next(&mut self.run, want)?;
                    self.forwards(from, want, "next");
                }
                _ => {
                    let to = self.window.start;
                    self.cursor.prev(&mut self.run, want)?;
                    self.backwards(to, want, "prev");
                }
            }
        }
        Ok(())
    }

    fn position(&mut self, random: &mut Random) -> Result<()> {
        let want = [1, 3, 20][random.below(3)];
        let (key, trailer) = self.target(random);
        let bound = lower_bound(self.entries, &key, trailer);
        match random.below(8) {
            0 => {
                self.cursor.first(&mut self.run, want)?;
                self.forwards(0, want, "first");
            }
            1 => {
                self.cursor.last(&mut self.run, want)?;
                self.backwards(self.entries.len(), want, "last");
            }
            2..=4 => {
                self.cursor.seek(&key, trailer, &mut self.run, want)?;
                self.forwards(bound, want, "seek");
            }
            _ => {
                self.cursor.seek_before(&key, trailer, &mut self.run, want)?;
                self.backwards(bound, want, "seek_before");
            }
        }
        Ok(())
    }

    /// A key of an entry or one close to it, with a trailer around the entry's.
    fn target(&self, random: &mut Random) -> (Vec<u8>, Trailer) {
        if self.entries.is_empty() || random.below(10) == 0 {
            return (random.bytes(12, 256), Trailer(random.next()));
        }
        let entry = &self.entries[random.below(self.entries.len())];
        let mut key = entry.key.clone();
        let trailer = match random.below(5) {
            0 => Trailer::FIRST,
            1 => Trailer::LAST,
            2 => Trailer(entry.trailer.0 + 1),
            3 => Trailer(entry.trailer.0 - 1),
            _ => entry.trailer,
        };
        match random.below(6) {
            0 => key.push(random.below(2) as u8),
            1 => drop(key.pop()),
            2 => {
                if let Some(last) = key.last_mut() {
                    *last = last.wrapping_add(1);
                }
            }
            _ => {}
        }
        (key, trailer)
    }

    fn forwards(&mut self, from: usize, want: usize, what: &str) {
        self.window = from..from + self.run.len();
        self.hold(want, what, from < self.entries.len());
    }

    fn backwards(&mut self, to: usize, want: usize, what: &str) {
        assert!(self.run.len() <= to, "{what} found {} entries where there are {to}", self.run.len());
        self.window = to - self.run.len()..to;
        self.hold(want, what, to > 0);
    }

    fn hold(&self, want: usize, what: &str, some: bool) {
        assert_eq!(!self.run.is_empty(), some, "{what}: whether there is an entry");
        assert!(self.run.len() <= want, "{what}: {} entries where {want} were wanted", self.run.len());
        assert!(self.window.end <= self.entries.len(), "{what}: more entries than there are");
        assert_eq!(entries_of(&self.run), self.entries[self.window.clone()], "{what}: at {:?}", self.window);
    }
}
