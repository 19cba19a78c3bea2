//! Counters files in, estimates files out: through real directories and the public interface.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, with its line")]

mod exactness;
mod fixture;
mod output;
mod refusals;
