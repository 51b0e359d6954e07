//! See `esker_tests::fuzz::block_decode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::block_decode(data));
