//! From the store to counters files.

use std::path::PathBuf;

use hubbub_privacy::{CountersHeader, Exit, Series};
use thiserror::Error;

use crate::StoreError;
use crate::counters_file::{self, WriteError};
use crate::pending::{COMMIT_GROUP, SeriesKey};
use crate::store::Store;

/// Why an export is incomplete. Files that were written are whole, and the next export writes all of them again.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The sums could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ExportError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => error.exit(),
            Self::Write(_) => Exit::InputOutput,
        }
    }
}

/// Where exported files go, and whose they are.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The counters directory.
    pub directory: PathBuf,
    /// The node that counted.
    pub node: String,
}

/// Writes one file per series, from the store alone: today's registry plays no part. One series is held in memory at a
/// time.
///
/// # Errors
/// [`ExportError`].
pub fn write_files(
    store: &Store,
    series: impl IntoIterator<Item = SeriesKey>,
    destination: &Destination,
) -> Result<Vec<PathBuf>, ExportError> {
    let write = |key: SeriesKey| {
        let stored = store.read_series(key)?;
        let header = CountersHeader {
            metric_id: key.metric,
            reports: stored.counters.reports,
            dropped_remainder: stored.dropped_remainder,
            registry_digest: stored.registry_digest,
            family: stored.definition.family,
            parameters: stored.definition.parameters,
            epsilon: stored.definition.epsilon,
            commit_group: COMMIT_GROUP as u64,
        };
        let series = Series {
            metric: stored.definition.name,
            version: key.version,
            period: key.period,
            node: destination.node.clone(),
        };
        Ok(counters_file::write(&destination.directory, &series, &header, &stored.counters)?)
    };
    series.into_iter().map(write).collect()
}
