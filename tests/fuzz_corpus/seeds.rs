//! The seed corpus: small, and real. Tables, logs and MANIFESTs come from a store that is written here; operations from
//! arbitrary bytes; messages between nodes from the generator of the crate's own tests.

use esker::testing::{SimEnv, payloads};
use esker::{Db, Durability, Env, KeyspaceOptions, MIN_MEMORY_BUDGET, WriteBatch};
use esker_cluster::causality::{Actor, Context, ContextKey, Dot};
use esker_cluster::message::encoding::encode;
use esker_cluster::message::encoding::testing::{KINDS, envelope};
use esker_format_block::BlockFormat;
use esker_format_plain::PlainFormat;
use esker_table::{BlockSource, Kind, RawBlock, ReadOptions, Run, TableFormat, Trailer, WriteOptions};
use esker_tests::bytes::Random;
use esker_tests::fuzz::{CONTEXT_KEY, CONTEXT_KEYSPACE, join};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Seeds = Vec<(String, Vec<u8>)>;

/// The files of a small store, after the process was killed.
fn store() -> SimEnv {
    let env = SimEnv::new();
    let options = KeyspaceOptions::new().block_bytes(128).ttl(Duration::from_secs(3600));
    let builder = Db::builder()
        .env(Arc::new(env.clone()))
        .memory_budget(MIN_MEMORY_BUDGET)
        .segment_bytes(4096)
        .keyspace_defaults(options.clone());
    let db = builder.open("store").unwrap();
    let other = db.create_keyspace("other", options).unwrap();
    for i in 0..40u32 {
        db.put(format!("key/{:03}", i * 7 % 40), format!("value {i}")).unwrap();
    }
    db.delete_range("key/010".."key/020").unwrap();
    db.delete("key/001").unwrap();
    db.flush().unwrap();
    db.put("key/005", "newer").unwrap();
    db.flush().unwrap();
    db.compact(..).unwrap();
    for i in 0..30u32 {
        let mut batch = WriteBatch::new();
        batch.put(format!("key/{i:03}"), vec![b'.'; 100]).delete("key/002");
        other.put_to(&mut batch, "both", i.to_be_bytes());
        other.delete_range_to(&mut batch, "m".."p");
        let durability = if i % 5 == 0 { Durability::Synced } else { Durability::Buffered };
        db.write(batch, durability).unwrap();
        if i == 3 {
            db.flush().unwrap();
        }
    }
    env.kill()
}

fn files(env: &SimEnv, holds: &str) -> Vec<Vec<u8>> {
    let files = env.files().into_iter().filter(|(path, _)| path.contains(holds));
    files.map(|(path, _)| env.read_file(path).unwrap()).collect()
}

fn log_payloads(env: &SimEnv, holds: &str, wal: bool) -> Vec<Vec<u8>> {
    let paths = env.files().into_iter().map(|(path, _)| path).filter(|path| path.contains(holds));
    paths
        .flat_map(|path| {
            let number: String = path.chars().filter(char::is_ascii_digit).collect();
            let source = env.open(Path::new(&path)).unwrap();
            payloads(source, wal, number.parse().unwrap()).unwrap()
        })
        .collect()
}

fn named(seeds: Vec<Vec<u8>>) -> Seeds {
    seeds.into_iter().enumerate().map(|(i, seed)| (format!("{i:02}"), seed)).collect()
}

fn after(first: &[u8], rest: &[u8]) -> Vec<u8> {
    [first, rest].concat()
}

/// The first data block of a table.
fn first_block(table: &[u8]) -> Option<RawBlock> {
    let reader = BlockFormat::new().open(BlockSource::from_memory(table.to_vec())).unwrap();
    let mut cursor = reader.clone().cursor(&ReadOptions::default());
    let mut run = Run::new();
    cursor.first(&mut run, 1).unwrap();
    if run.is_empty() {
        return None;
    }
    reader.raw_block_at(run.key(0), run.trailer(0)).unwrap()
}

/// A message between nodes.
fn message(kind: u64, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&envelope(kind, seed), &mut bytes);
    bytes
}

/// What a client has seen of some actors, of whom every other took a write for somebody else too.
fn seen(actors: u64) -> Context {
    let dot = |n: u64| Dot { actor: Actor(n << 40 | 7), counter: 0x0190_0000_0000_0000 + n };
    let beside = (0..actors).step_by(2).map(|n| Dot { counter: 0x018f_0000_0000_0000 + n, ..dot(n) });
    Context::new((0..actors).map(dot).collect(), beside.collect())
}

/// Requests, whole, as lines, empty, too long and unfinished.
const REQUESTS: [&[u8]; 5] = [
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"PING\r\nset k 'a value' \"with \\x41\"\r\n",
    b"*1\r\n$4\r\nPING\r\n*0\r\n*-1\r\n",
    b"*2\r\n$3\r\nGET\r\n$600\r\n",
    b"*3\r\n$3\r\nSE",
];

/// A small table.
fn small_table(format: &dyn TableFormat, options: &WriteOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = format.writer(Box::new(&mut out), options).unwrap();
    for i in 0..60u32 {
        let value = vec![b'.'; (i as usize * 37) % 300];
        writer
            .add(format!("key/{i:03}").as_bytes(), Trailer::new(u64::from(100 - i), Kind::Put), &value)
            .unwrap();
    }
    writer.finish(Vec::new()).unwrap();
    out
}

/// The seeds of every target.
pub(crate) fn all() -> Vec<(&'static str, Seeds)> {
    let env = store();
    let random = |seed: u64, len: usize| Random::new(seed).bytes(len);
    let tables = files(&env, ".sst");
    let mut table_open: Vec<Vec<u8>> = tables.iter().take(3).map(|table| after(&[0], table)).collect();
    table_open.extend((0..3).map(|i| after(&[1], &random(i, 120 + 200 * i as usize))));
    table_open.push(after(&[2], &small_table(&PlainFormat::new(), &WriteOptions::default())));
    table_open.extend((3..6).map(|i| after(&[3], &random(i, 200 * i as usize))));
    // Two pages of blocks, with a gap between them.
    let in_pages = WriteOptions::default().with_block_size(1000).with_fit_pages(true);
    table_open.push(after(&[0], &small_table(&BlockFormat::new(), &in_pages)));
    let mut block_decode: Vec<Vec<u8>> = Vec::new();
    for block in tables.iter().filter_map(|table| first_block(table)).take(2) {
        block_decode.push(after(&[0], &block.stored[..block.stored.len() - 5]));
        block_decode.push(after(&[3], &block.stored[..block.stored.len() - 4]));
    }
    block_decode.push(after(&[1], b"\x01a\x01c\x02\x09\x04\x01c\x01d\x01\x07"));
    block_decode.push(after(&[2], &random(9, 60)));
    let segments = files(&env, ".wal");
    let batches = log_payloads(&env, ".wal", true);
    let some: Vec<Vec<u8>> = batches.iter().step_by(6).cloned().collect();
    let wal_replay = vec![
        after(&[0], &join(&segments[segments.len() - 1..])),
        after(&[0], &join(&segments)),
        after(&[1], &join(&some)),
        after(&[1 | 4 | 8], &join(&some)),
        after(&[1 | 4 | 8 | 0x40, 1, 90, 0, 4], &join(&some)),
    ];
    let edits = log_payloads(&env, "MANIFEST", false);
    let manifest_replay = vec![after(&[0], &files(&env, "MANIFEST")[0]), after(&[1], &join(&edits))];
    let batch_decode = batches.into_iter().step_by(11).collect();
    let db_operations = (0..8).map(|i| random(1000 + i, 150 + 60 * i as usize)).collect();
    let key = ContextKey::new(CONTEXT_KEYSPACE, CONTEXT_KEY);
    let mut contexts: Vec<Vec<u8>> = (0..4).map(|actors| seen(actors).to_bytes(key)).collect();
    contexts.push(seen(3).to_text(key).into_bytes());
    vec![
        ("table_open", named(table_open)),
        ("block_decode", named(block_decode)),
        ("wal_replay", named(wal_replay)),
        ("manifest_replay", named(manifest_replay)),
        ("batch_decode", named(batch_decode)),
        ("db_operations", named(db_operations)),
        ("peer_message", named((0..KINDS).flat_map(|kind| [message(kind, 1), message(kind, 2)]).collect())),
        ("context", named(contexts)),
        ("resp_request", named(REQUESTS.iter().map(|request| request.to_vec()).collect())),
    ]
}
