//! See `esker_tests::fuzz::manifest_replay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::manifest_replay(data));
