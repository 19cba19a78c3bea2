//! Any text as a decimal, an epsilon, a probability and a period.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hubbub_fuzz::properties::epsilon_and_decimals(bytes);
});
