//! `hubbub registry`: looking at a registry of metrics, all at once or one closely.

mod check;
mod explain;
mod lint;

pub use check::{CheckError, check};
pub use explain::{Explain, explain};
