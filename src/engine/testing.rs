//! Testing a store: a file system that loses, tears, fails and stops where it is told to, and a clock set by hand.
//!
//! Below it are doors for the engine's own tests, which hand arbitrary bytes to what reads a log. They are no part of the
//! engine's interface and may change at any time.

pub use crate::fs::simulated::{Call, CrashMode, Fault, HeldSyncs, Op, PowerLoss, SimEnv};

#[doc(hidden)]
pub use doors::{BatchOp, Header, WalRead, decode_batch, frame, load_manifest, payloads, replay_wal};

#[doc(hidden)]
mod doors {
    use crate::fs::Env;
    use crate::manifest::VersionSet;
    use crate::record::{Expect, HEADER_LEN, LogHeader, LogKind, LogReader, append_record, encode_header};
    use crate::write::batch::decode_payload;
    use crate::{Recovery, Result, wal};
    use esker_table::ByteSource;
    use std::path::Path;
    use std::sync::Arc;

    /// What the header of a log is made of.
    #[derive(Clone, Copy, Debug)]
    pub struct Header {
        /// Whether it is a segment of the write-ahead log, or a MANIFEST.
        pub wal: bool,
        /// The number in its name.
        pub number: u64,
        /// The log before it.
        pub previous: u64,
        /// Where the records of that end.
        pub previous_end: u64,
    }

    fn kind(wal: bool) -> LogKind {
        if wal { LogKind::Wal } else { LogKind::Manifest }
    }

    /// A log with these payloads. Each record but the first says `synced` of where it lies, if that is not zero: one that
    /// was synced before each append; otherwise nothing.
    pub fn frame(header: Header, payloads: &[&[u8]], synced: bool) -> Vec<u8> {
        let Header { wal, number, previous, previous_end } = header;
        let mut out = encode_header(&LogHeader { kind: kind(wal), number, previous, previous_end }).to_vec();
        for payload in payloads {
            let offset = out.len() as u64;
            append_record(&mut out, number, offset, if synced { offset } else { 0 }, &[payload]);
        }
        out
    }

    /// The payloads of the intact records at the front of a log, those that are empty left out.
    ///
    /// # Errors
    /// `Corruption`, `Unsupported`.
    pub fn payloads(source: Arc<dyn ByteSource>, wal: bool, number: u64) -> Result<Vec<Vec<u8>>> {
        let recovery = Recovery::TolerateTornTail;
        let expect = Expect { kind: kind(wal), number, recovery, synced: 0 };
        let mut reader = LogReader::open(source, Path::new("log"), expect)?;
        let mut payloads = Vec::new();
        while let Some(record) = reader.next()? {
            if !record.payload.is_empty() {
                payloads.push(record.payload.to_vec());
            }
        }
        Ok(payloads)
    }

    /// What a replay gave.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct WalRead {
        /// Segment and payload of each record.
        pub records: Vec<(u64, Vec<u8>)>,
        /// Whether a torn tail was found.
        pub torn: bool,
        /// Whether only a newer version could write beside it.
        pub read_only: bool,
    }

    /// Replays all segments in a directory and, if `settle`, cuts the torn tail.
    ///
    /// # Errors
    /// `Corruption`, `MissingFile`, `Unsupported`, `Io`.
    pub fn replay_wal(env: &dyn Env, dir: &Path, recovery: Recovery, settle: bool) -> Result<WalRead> {
        let segments = wal::list(env, dir)?;
        let mut records = Vec::new();
        let replay =
            wal::replay(env, dir, &segments, recovery, &wal::Known::NOTHING, &mut |segment, _, payload| {
                records.push((segment, payload.to_vec()));
                Ok(())
            })?;
        if settle {
            wal::settle(env, dir, &replay)?;
        }
        Ok(WalRead { records, torn: !replay.torn.is_empty(), read_only: replay.read_only.is_some() })
    }

    /// Loads the MANIFEST in force, and holds it against the files that are there. What it says, as text.
    ///
    /// # Errors
    /// As opening a store.
    pub fn load_manifest(env: Arc<dyn Env>, dir: &Path, recovery: Recovery) -> Result<String> {
        let (set, report) = VersionSet::load(env, dir, recovery, true)?;
        Ok(format!("{:?} {:?}", set.state(), report.end))
    }

    /// An operation of a batch.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BatchOp {
        /// The kind's number.
        pub kind: u8,
        /// The keyspace's number.
        pub keyspace: u32,
        /// The key.
        pub key: Vec<u8>,
        /// The value, or the end of a range delete.
        pub value: Vec<u8>,
    }

    /// Decodes the payload of a record of the write-ahead log. `None` if it is none.
    pub fn decode_batch(payload: &[u8]) -> Option<(u64, Vec<BatchOp>)> {
        let (first, ops) = decode_payload(payload)?;
        let decoded = ops.iter().map(|op| BatchOp {
            kind: op.kind as u8,
            keyspace: op.keyspace,
            key: op.key.to_vec(),
            value: op.value.to_vec(),
        });
        let decoded: Vec<BatchOp> = decoded.collect();
        assert_eq!(decoded.len(), ops.count() as usize, "a payload that was checked decodes to the end");
        Some((first, decoded))
    }

    // A log's header has this length in what `frame` makes.
    const _: () = assert!(HEADER_LEN == 64);
}
