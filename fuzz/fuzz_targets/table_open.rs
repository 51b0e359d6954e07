//! See `esker_tests::fuzz::table_open`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::table_open(data));
