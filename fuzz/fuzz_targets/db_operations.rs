//! See `esker_tests::fuzz::db_operations`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::db_operations(data));
