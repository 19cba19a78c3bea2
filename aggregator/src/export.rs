//! From the store to counters files.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubbub_privacy::{CountersHeader, Exit, Series};
use thiserror::Error;

use crate::StoreError;
use crate::counters_file::{self, WriteError};
use crate::pending::{COMMIT_GROUP, SeriesKey};
use crate::replace_file::{directory, sync_directory};
use crate::store::Snapshot;

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
    directory: PathBuf,
    node: String,
    /// Held while files are written or removed: two writers would share their temporary names.
    busy: Arc<Mutex<()>>,
}

impl Destination {
    /// The counters directory, and the name of the node that counted.
    pub fn new(directory: PathBuf, node: String) -> Self {
        Self { directory, node, busy: Arc::default() }
    }

    fn occupy(&self) -> MutexGuard<'_, ()> {
        // It guards no data: whoever panicked with it left at worst a temporary file.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self, key: SeriesKey, metric: String) -> Series {
        Series { metric, version: key.version, period: key.period, node: self.node.clone() }
    }
}

/// Writes one file per series, from the store alone: today's registry plays no part. A few rows of counters are held in
/// memory at a time.
///
/// # Errors
/// [`ExportError`].
pub fn write_files(
    snapshot: &Snapshot,
    series: impl IntoIterator<Item = SeriesKey>,
    destination: &Destination,
) -> Result<Vec<PathBuf>, ExportError> {
    let _alone = destination.occupy();
    let write = |key: SeriesKey| {
        let stored = snapshot.describe(key)?;
        let header = CountersHeader {
            metric_id: key.metric,
            reports: stored.reports,
            dropped_remainder: stored.dropped_remainder,
            registry_digest: stored.registry_digest,
            family: stored.definition.family,
            parameters: stored.definition.parameters,
            epsilon: stored.definition.epsilon,
            commit_group: COMMIT_GROUP as u64,
        };
        let size = usize::try_from(stored.definition.counters).unwrap_or(usize::MAX);
        let rows = snapshot.rows(key, size)?.map(|row| row.map_err(ExportError::from));
        let series = destination.series(key, stored.definition.name);
        counters_file::write_rows(&destination.directory, &series, &header, size, rows)
    };
    series.into_iter().map(write).collect()
}

/// Removes the files of series, by their metrics' names; those that were never exported are no matter.
///
/// # Errors
/// [`ExportError`].
pub fn remove_files(series: &BTreeMap<SeriesKey, String>, destination: &Destination) -> Result<(), ExportError> {
    let _alone = destination.occupy();
    for (&key, name) in series {
        let path = destination.directory.join(destination.series(key, name.clone()).path());
        match std::fs::remove_file(&path).and_then(|()| sync_directory(directory(&path))) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(WriteError::Io { path, source: error }.into());
            }
            _ => {}
        }
    }
    Ok(())
}
