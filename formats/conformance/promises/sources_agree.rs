//! Memory, map and positioned reads give the same answers under all read options, also from many threads; what shall not
//! enter the cache does not.

use crate::model::{ask_everything, ask_scan};
use crate::sources::{self, KeepAll, NEVER};
use crate::subject::Subject;
use esker_table::{BlockSource, LookupKey, ReadOptions, TableReader, Verify};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) fn check(subject: &Subject<'_>) {
    let collected = subject.capabilities().properties;
    let mut contents = subject.contents();
    contents.push(subject.small());
    for content in &contents {
        let written = subject.write(content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            let plain = ReadOptions::default();
            let always = plain.with_verify(Verify::Always);
            let uncached = plain.with_fill_cache(false);
            let whole = [uncached, plain, always];
            for options in whole.iter().flat_map(|o| [*o, o.with_sequential(true)]) {
                ask_scan(&reader, &content.entries, &options, 50)
                    .unwrap_or_else(|error| panic!("{} from {name} with {options:?}: {error}", content.name));
            }
            let answer = ask_everything(&reader, content, &always, collected);
            answer.unwrap_or_else(|error| panic!("{} from {name}: {error}", content.name));
        }
    }
    many_threads(subject);
    unfilled(subject);
    populated(subject);
}

fn many_threads(subject: &Subject<'_>) {
    let content = subject.small();
    let written = subject.write(&content);
    let collected = subject.capabilities().properties;
    for (_, source) in sources::all(&written.bytes) {
        let reader = subject.open(source);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        ask_everything(&reader, &content, &ReadOptions::default(), collected)
                            .expect("an intact table");
                    }
                });
            }
        });
    }
}

/// A scan that shall not fill the cache adds at most what is not data: index and filter. What lookups of everything put there is
/// both.
fn unfilled(subject: &Subject<'_>) {
    let content = subject.large();
    let written = subject.write(&content);
    let cached = |ask: &dyn Fn(&Arc<dyn TableReader>, &ReadOptions)| {
        let cache = Arc::new(KeepAll::default());
        let reader = subject.open(sources::positioned_cached(&written.bytes, cache.clone()));
        ask(&reader, &ReadOptions::default());
        cache.len()
    };
    let filled = cached(&|reader, options| {
        for entry in &content.entries {
            let key = LookupKey::new(&entry.key, entry.trailer.seqno());
            reader.get(&key, options).expect("an intact table");
        }
    });
    let unfilled = cached(&|reader, options| {
        let options = options.with_fill_cache(false);
        ask_scan(reader, &content.entries, &options, 100).expect("an intact table");
    });
    assert!(
        unfilled <= filled / 2,
        "a scan that shall not fill the cache put {unfilled} blocks there, lookups of everything {filled}"
    );
}

/// Over a map, every data byte is brought in by `populate`, so that a failing device is an error and not a signal.
fn populated(subject: &Subject<'_>) {
    let content = subject.large();
    let written = subject.write(&content);
    let map = sources::map(&written.bytes, NEVER);
    let reader = subject.open(BlockSource::new(map.clone()));
    ask_scan(&reader, &content.entries, &ReadOptions::default(), 100).expect("an intact table");
    let populated = map.populated.load(Ordering::Relaxed);
    assert!(
        populated >= written.summary.properties.data_bytes,
        "a scan of {} bytes populated {populated}",
        written.summary.properties.data_bytes
    );
}
