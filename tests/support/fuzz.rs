//! The bodies of the fuzz targets: plain functions of arbitrary bytes. They panic on a finding. `fuzz/fuzz_targets` calls
//! them, and so does a test over the seed corpus in `fuzz/seeds`.

use crate::bytes::Bytes;
use crate::op::Case;
use esker::testing::{self, Header, SimEnv};
use esker::{Env, Recovery};
use esker_cluster::causality::{Context, ContextKey};
use esker_cluster::message::encoding::testing::fuzz_message;
use esker_format_block::BlockFormat;
use esker_format_plain::PlainFormat;
use esker_table::codec::Compression;
use esker_table::codec::checksum::crc32c;
use esker_table::layout::stored;
use esker_table::{
    BlockSource, ByteSource, FormatId, LookupKey, RangeTombstone, ReadOptions, Run, Slice, TableError,
    TableFormat, TableReader, Trailer, WriteOptions,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("table_open", table_open),
    ("block_decode", block_decode),
    ("wal_replay", wal_replay),
    ("manifest_replay", manifest_replay),
    ("batch_decode", batch_decode),
    ("db_operations", db_operations),
    ("peer_message", peer_message),
    ("context", context),
    ("resp_request", resp_request),
];

/// Damage is told as damage: bytes in memory give no other error.
fn typed(error: &TableError) {
    assert!(
        matches!(error, TableError::Corruption { .. } | TableError::Unsupported { .. }),
        "an error that is not about the bytes: {error:?}"
    );
}

/// Opens a table and asks it everything. The first byte says of which format, and what the rest is: a file; or a table's
/// entries, which are written as a table that is then damaged, so that the inside of a table is reached past its checksums.
pub fn table_open(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let format: &dyn TableFormat = if mode & 2 == 0 { &BlockFormat::new() } else { &PlainFormat::new() };
    if mode.is_multiple_of(2) {
        let _ = format.salvage(BlockSource::from_memory(rest.to_vec()), &mut |_, _, _| ()).inspect_err(typed);
        return ask_table(format, rest, None);
    }
    let mut bytes = Bytes::new(rest);
    let flips: Vec<(u16, u8)> = (0..bytes.below(4)).map(|_| (bytes.u16(), bytes.u8())).collect();
    let (mut file, entries) = written_table(format, &mut bytes);
    if flips.is_empty() {
        return ask_table(format, &file, Some(&entries));
    }
    for (at, mask) in flips {
        let at = usize::from(at) % file.len();
        file[at] ^= mask;
    }
    salvage_table(format, &file, &entries);
    ask_table(format, &file, None);
}

/// What is salvaged of a damaged table was written. Of `block` an index block may be taken for entries whose separators are all between
/// versions of one key.
fn salvage_table(format: &dyn TableFormat, file: &[u8], entries: &[Entry]) {
    let source = BlockSource::from_memory(file.to_vec());
    let salvaged = format.salvage(source, &mut |key, trailer, value| {
        let was_written = entries.iter().any(|(k, t, v)| (&k[..], *t, &v[..]) == (key, trailer, value));
        let may_be_index = format.id() == FormatId::BLOCK && value.len() == 16;
        assert!(was_written || may_be_index, "{key:?} at {trailer:?} is salvaged and was never written");
    });
    let _ = salvaged.inspect_err(typed);
}

type Entry = (Vec<u8>, Trailer, Vec<u8>);

/// A sink that a test can look into afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A table of entries that the bytes say, and the entries.
fn written_table(format: &dyn TableFormat, bytes: &mut Bytes<'_>) -> (Vec<u8>, Vec<Entry>) {
    let compression = bytes.pick(&[Compression::None, Compression::Lz4, Compression::Zstd(1)]);
    let options = WriteOptions::default()
        .with_compression(compression)
        .with_block_size(bytes.pick(&[64, 200, 4096]))
        .with_index_block_size(bytes.pick(&[64, 300, 4096]))
        .with_filter_bits(bytes.pick(&[0, 10]))
        .with_fit_pages(bytes.one_in(2));
    let tombstones = bytes.below(3);
    let mut entries: Vec<Entry> = Vec::new();
    while !bytes.is_empty() && entries.len() < 300 {
        let len = bytes.below(6);
        let key = bytes.take(len).to_vec();
        let kind = if bytes.one_in(4) { esker_table::Kind::Delete } else { esker_table::Kind::Put };
        let trailer = Trailer::new(1 + u64::from(bytes.u8()), kind);
        let len = if kind == esker_table::Kind::Put { bytes.below(20) * bytes.below(8) } else { 0 };
        entries.push((key, trailer, vec![bytes.u8(); len]));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    entries.dedup_by(|a, b| a.0 == b.0 && a.1.seqno() == b.1.seqno());
    let sink = Sink::default();
    let mut writer = format.writer(Box::new(sink.clone()), &options).expect("the options are good");
    for (key, trailer, value) in &entries {
        writer.add(key, *trailer, value).expect("entries are in order");
    }
    for i in 0..tombstones {
        let tombstone = RangeTombstone { start: vec![i as u8 * 2], end: vec![i as u8 * 2 + 1], seqno: 7 };
        writer.add_range_tombstone(&tombstone).expect("tombstones are in order");
    }
    writer.finish(vec![("name".to_owned(), b"collected".to_vec())]).expect("a sink does not fail");
    (std::mem::take(&mut *sink.0.lock().expect("one thread")), entries)
}

/// A file that is read by position.
struct Positioned(Vec<u8>);

impl ByteSource for Positioned {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> std::io::Result<Slice> {
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.0.get(start..start.checked_add(len)?));
        part.map(Slice::copy_from).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn is_mapped(&self) -> bool {
        false
    }
}

/// Asks a table everything, from memory and by positioned reads; holds it against its entries, if those are known and it is not
/// damaged.
fn ask_table(format: &dyn TableFormat, file: &[u8], entries: Option<&[Entry]>) {
    ask_source(format, BlockSource::from_memory(file.to_vec()), entries);
    ask_source(format, BlockSource::new(Arc::new(Positioned(file.to_vec()))), entries);
}

fn ask_source(format: &dyn TableFormat, source: BlockSource, entries: Option<&[Entry]>) {
    let reader = match format.open(source) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(entries.is_none(), "a good table does not open: {error}");
            return typed(&error);
        }
    };
    let intact = reader.verify().inspect_err(typed).is_ok();
    assert!(intact || entries.is_none(), "a good table does not verify");
    let options = ReadOptions::default();
    let walked = walk_table(&reader, &options).inspect_err(typed);
    if let (Ok((forward, backward)), true) = (&walked, intact) {
        assert!(forward.iter().eq(backward.iter().rev()), "the two directions differ");
        assert_eq!(forward.len() as u64, reader.properties().entries, "the properties count");
    }
    if let (Ok((forward, _)), Some(entries)) = (&walked, entries) {
        assert_eq!(forward, entries);
    }
    let probes = [&b""[..], b"a", b"ab", b"key/010", &[0xff; 4]];
    let known = walked.as_ref().map(|(forward, _)| forward.as_slice()).unwrap_or_default();
    let keys = known.iter().take(50).map(|(key, ..)| key.as_slice()).chain(probes);
    for key in keys {
        for snapshot in [3, esker_table::key::MAX_SEQNO] {
            let got = reader.get(&LookupKey::new(key, snapshot), &options).inspect_err(typed);
            let wanted = known.iter().find(|(k, trailer, _)| k == key && trailer.seqno() <= snapshot);
            if let (Ok(got), true) = (got, intact) {
                let got = got.map(|found| (found.trailer, found.value.to_vec()));
                assert_eq!(got, wanted.map(|(_, trailer, value)| (*trailer, value.clone())));
            }
        }
        reader.estimated_offset(key);
    }
    let _ = reader.range_tombstones().inspect_err(typed);
    let _ = reader.split_points(4).inspect_err(typed);
    let _ = reader.describe(&mut |_| {}).inspect_err(typed);
    let _ = reader.properties();
}

fn entry(run: &Run, i: usize) -> Entry {
    (run.key(i).to_vec(), run.trailer(i), run.value(i).to_vec())
}

fn walk_table(
    reader: &Arc<dyn TableReader>,
    options: &ReadOptions,
) -> Result<(Vec<Entry>, Vec<Entry>), TableError> {
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    let mut cursor = reader.clone().cursor(options);
    let mut run = Run::new();
    cursor.first(&mut run, 3)?;
    while !run.is_empty() {
        forward.extend((0..run.len()).map(|i| entry(&run, i)));
        cursor.next(&mut run, 5)?;
    }
    cursor.last(&mut run, 3)?;
    while !run.is_empty() {
        backward.extend((0..run.len()).rev().map(|i| entry(&run, i)));
        cursor.prev(&mut run, 5)?;
    }
    Ok((forward, backward))
}

/// Decodes a part of a table, below its checksums: the first byte says which.
pub fn block_decode(data: &[u8]) {
    use esker_format_block::testing as block;
    let Some((&part, rest)) = data.split_first() else { return };
    let result = match part % 4 {
        0 => {
            let probe = rest.get(..3).unwrap_or_default();
            block::block(rest, probe).map(drop)
        }
        1 => block::range_tombstones(rest).map(drop),
        2 => block::sections(rest),
        _ => {
            // The checksum is put right, so that what is below it is reached.
            let mut stored = rest.to_vec();
            let crc = crc32c(&stored);
            stored.extend_from_slice(&crc.to_le_bytes());
            decode_in_pieces(&stored);
            block::stored_block(&stored).map(drop)
        }
    };
    if let Err(error) = result {
        typed(&error);
    }
}

/// What is decompressed as far as it is needed is the front of what is decompressed as a whole, if it can be.
fn decode_in_pieces(bytes: &[u8]) {
    let Ok(mut decoding) = stored::decoding(bytes, 0) else { return };
    let whole = stored::body(Slice::copy_from(bytes), 0).ok();
    let len = decoding.plain_len();
    for end in [0, len / 3, len / 2, len] {
        match (decoding.reach(end), &whole) {
            (Ok(front), Some(whole)) => assert!(front.len() >= end && whole.starts_with(front)),
            (Ok(front), None) => assert!(front.len() >= end && end < len),
            (Err(error), None) => return typed(&error),
            (Err(error), Some(_)) => panic!("the whole can be decompressed, and not {end} bytes: {error}"),
        }
    }
}

const DIR: &str = "store";

fn disk() -> SimEnv {
    let env = SimEnv::new();
    env.create_dir_all(Path::new(DIR)).expect("a new disk");
    env
}

/// Splits bytes into pieces, each after its length.
fn pieces<'a>(bytes: &mut Bytes<'a>, most: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() && pieces.len() < most {
        let len = usize::from(bytes.u16());
        pieces.push(bytes.take(len));
    }
    pieces
}

/// The opposite of `pieces`.
pub fn join(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        let len = u16::try_from(piece.len()).expect("pieces are short");
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

/// Replays a log of up to three segments. Mode 0: the bytes are the segments. Otherwise they are payloads, which are framed
/// and then damaged; what is read then is a beginning of what was written, or damage is told.
pub fn wal_replay(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mode = bytes.u8();
    let env = disk();
    let name = |number: u64| format!("{DIR}/{number:06}.wal");
    let mut written: Vec<Vec<u8>> = Vec::new();
    if mode.is_multiple_of(2) {
        for (i, segment) in pieces(&mut bytes, 3).into_iter().enumerate() {
            env.write_file(name(i as u64 + 2), segment).expect("a new disk");
        }
    } else {
        let segments = 1 + u64::from(mode >> 2 & 1);
        let flips: Vec<(u8, u16, u8)> =
            (0..mode >> 6).map(|_| (bytes.u8(), bytes.u16(), bytes.u8())).collect();
        let payloads = pieces(&mut bytes, 50);
        let (mut previous, mut previous_end) = (0, 0);
        for (i, part) in payloads.chunks(payloads.len().div_ceil(segments as usize).max(1)).enumerate() {
            let number = i as u64 + 2;
            let header = Header { wal: true, number, previous, previous_end };
            let file = testing::frame(header, part, mode & 8 != 0);
            (previous, previous_end) = (number, file.len() as u64);
            env.write_file(name(number), &file).expect("a new disk");
            written.extend(part.iter().filter(|p| !p.is_empty()).map(|p| p.to_vec()));
        }
        for (segment, at, mask) in &flips {
            let name = name(2 + u64::from(*segment) % segments);
            if let Ok(len) = env.read_file(&name).map(|file| file.len()) {
                env.flip(name, u64::from(*at) % len as u64, *mask).expect("it is there");
            }
        }
    }
    let read = |recovery, settle| testing::replay_wal(&env, Path::new(DIR), recovery, settle);
    let absolute = read(Recovery::Absolute, false);
    let tolerant = read(Recovery::TolerateTornTail, false);
    for error in [&absolute, &tolerant].into_iter().filter_map(|r| r.as_ref().err()) {
        damage(error);
    }
    let Ok(tolerant) = tolerant else {
        assert!(absolute.is_err(), "absolute recovery takes what tolerant recovery refuses");
        return;
    };
    if let Ok(absolute) = absolute {
        assert_eq!(absolute, tolerant);
        assert!(!absolute.torn);
    }
    if mode % 2 == 1 {
        let got: Vec<&Vec<u8>> = tolerant.records.iter().map(|(_, payload)| payload).collect();
        assert!(got.len() <= written.len() && got.iter().zip(&written).all(|(got, written)| *got == written));
    }
    if tolerant.read_only {
        return;
    }
    // What was settled reads as the same, and as whole.
    let settled = read(Recovery::TolerateTornTail, true).expect("it was read before");
    assert_eq!(settled, tolerant);
    let again = read(Recovery::Absolute, false).expect("a settled log is whole");
    assert_eq!(again.records, tolerant.records);
}

/// Damage and what a newer version wrote are told with the file.
fn damage(error: &esker::Error) {
    use esker::Error::{Corruption, MissingFile, NoStore, Unsupported};
    assert!(
        matches!(error, Corruption { .. } | MissingFile { .. } | Unsupported { .. } | NoStore { .. }),
        "an error that is not about the bytes: {error:?}"
    );
}

/// Loads a MANIFEST. Mode 0: the bytes are the file. Otherwise they are edits, which are framed.
pub fn manifest_replay(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let env = disk();
    let header = Header { wal: false, number: 1, previous: 0, previous_end: 0 };
    let file = match mode % 2 {
        0 => rest.to_vec(),
        _ => testing::frame(header, &pieces(&mut Bytes::new(rest), 50), true),
    };
    let name = "MANIFEST-000001";
    env.write_file(format!("{DIR}/{name}"), &file).expect("a new disk");
    let current = format!("{name} {:08x}\n", crc32c(name.as_bytes()));
    env.write_file(format!("{DIR}/CURRENT"), current.as_bytes()).expect("a new disk");
    let load = |recovery| testing::load_manifest(Arc::new(env.clone()), Path::new(DIR), recovery);
    let tolerant = load(Recovery::TolerateTornTail);
    if let Err(error) = &tolerant {
        damage(error);
    }
    match load(Recovery::Absolute) {
        Ok(state) => assert_eq!(Some(&state), tolerant.as_ref().ok()),
        Err(error) => damage(&error),
    }
    // A whole store is opened too: what follows the MANIFEST must not take its word for more than it says.
    match esker::Db::builder().env(Arc::new(env.clone())).read_only(true).open(DIR) {
        Ok(db) => {
            assert!(tolerant.is_ok());
            for name in db.keyspaces() {
                let keyspace = db.keyspace(&name).expect("it was just named");
                for entry in keyspace.range(..) {
                    if let Err(error) = entry {
                        damage(&error);
                    }
                }
            }
        }
        Err(error) => damage(&error),
    }
}

/// Decodes the payload of a log record, and writes it again.
pub fn batch_decode(data: &[u8]) {
    let Some((first, ops)) = testing::decode_batch(data) else { return };
    assert!(first.checked_add(ops.len() as u64).is_some_and(|last| last <= esker_table::key::MAX_SEQNO));
    for op in ops {
        assert!(op.key.len() <= esker::MAX_KEY_LEN && op.value.len() <= esker::MAX_VALUE_LEN);
    }
}

/// Does what the bytes say to a store, and holds it against the model.
pub fn db_operations(data: &[u8]) {
    let case = Case::decode(data);
    if let Err(finding) = crate::run::run(&case) {
        panic!("{finding}\n{case}");
    }
}

/// Decodes a message between nodes, as it is and with its checksum put right; what can be read is written as it was.
pub fn peer_message(data: &[u8]) {
    fuzz_message(data);
}

/// Decodes a context, as it is and with its checksum put right; what can be read is written as it was, and is no context of
/// another key.
pub fn context(data: &[u8]) {
    let key = ContextKey::new(CONTEXT_KEYSPACE, CONTEXT_KEY);
    let other = ContextKey::new(CONTEXT_KEYSPACE + 1, CONTEXT_KEY);
    let hold = |bytes: &[u8]| {
        let Ok(context) = Context::from_bytes(bytes, key) else { return };
        assert_eq!(context.to_bytes(key), bytes, "a context has two encodings");
        assert!(Context::from_bytes(bytes, other).is_err(), "the context of another key is taken");
        let text = context.to_text(key);
        assert_eq!(Context::from_text(&text, key), Ok(context), "a context does not survive as text");
    };
    hold(data);
    if let Some((_, covered)) = data.split_first_chunk::<4>() {
        let bound_to = xxh3_64_with_seed(CONTEXT_KEY, u64::from(CONTEXT_KEYSPACE)) as u32;
        let crc = crc32c(&[covered, &bound_to.to_le_bytes()].concat());
        hold(&[&crc.to_le_bytes(), covered].concat());
    }
    if let Ok(context) = Context::from_text(&String::from_utf8_lossy(data), key) {
        assert_eq!(Context::from_bytes(&context.to_bytes(key), key), Ok(context));
    }
}

/// The key that contexts are bound to in the target `context` and its seeds.
pub const CONTEXT_KEY: &[u8] = b"key";
/// Its keyspace.
pub const CONTEXT_KEYSPACE: u32 = 1;

/// Reads requests in the protocol of Redis, whole and cut into pieces.
pub fn resp_request(data: &[u8]) {
    esker_server::fuzz_requests(data);
}
