//! See `esker_tests::fuzz::wal_replay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::wal_replay(data));
