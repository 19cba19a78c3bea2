//! Any bytes as the metadata and the path of a counters file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hubbub_fuzz::properties::counters_header(bytes);
});
