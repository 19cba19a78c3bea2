//! What the uploader tells the daemon about one attempt to send one report.

use serde::{Deserialize, Serialize};

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the server's counters.
    Counted,
    /// The server holds it and wants to see it again.
    Pending,
    /// The server was busy or out of reach.
    Later,
    /// The server will never take it.
    Rejected,
    /// The server wants no more reports of this metric.
    Stop,
    /// No server may take it any more.
    Expired,
}

/// One attempt; a file of the `results` directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The key of the report's file.
    pub key: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The server's code, or what kept it from answering.
    pub code: String,
    /// When, in Unix seconds.
    pub at_s: i64,
    /// When it will be offered again, if it will.
    pub due_s: Option<i64>,
}

impl Attempt {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers serialize")
    }

    pub(super) fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
