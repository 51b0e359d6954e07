//! See `esker_tests::fuzz::resp_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| esker_tests::fuzz::resp_request(data));
