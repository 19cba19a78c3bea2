//! Any bytes as a registry file and a value list.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hubbub_fuzz::properties::registry(bytes);
});
