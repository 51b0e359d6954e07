//! Opening a store whose log holds 40 MiB of puts, as after a kill.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use esker::Db;
use esker_benches::{scattered_key, value};
use std::hint::black_box;

const LOG_BYTES: u64 = 40 << 20;

fn recovery(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let entries = LOG_BYTES / 132;
    {
        let db =
            Db::builder().memory_budget(1 << 30).open(dir.path()).expect("an empty directory takes a store");
        for i in 0..entries {
            db.put(scattered_key(i), value(i)).expect("a put");
        }
    }
    let mut group = c.benchmark_group("recovery");
    group.throughput(Throughput::Bytes(LOG_BYTES)).sample_size(10);
    // Read-only, so that the log is the same for each round.
    group.bench_function("open, 40 MiB of log", |b| {
        b.iter(|| {
            let db = Db::builder()
                .memory_budget(1 << 30)
                .read_only(true)
                .open(dir.path())
                .expect("the store opens");
            assert_eq!(db.recovery().replayed_records, entries);
            black_box(db)
        });
    });
    group.finish();
}

criterion_group!(benches, recovery);
criterion_main!(benches);
