//! Any bytes as a report.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hubbub_fuzz::properties::report(bytes);
});
