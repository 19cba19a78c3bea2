//! Any records and any damage in a store.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hubbub_fuzz::server_properties::server_store(bytes);
});
