//! See `esker_tests::fuzz::batch_decode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::batch_decode(data));
