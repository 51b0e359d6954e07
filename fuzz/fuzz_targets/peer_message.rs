//! See `esker_tests::fuzz::peer_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::peer_message(data));
