//! See `esker_tests::fuzz::context`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::context(data));
