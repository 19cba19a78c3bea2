//! What an operator asks for beside counting: by the server that has the store, or directly when none has it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hubbub_privacy::Exit;
use hubbub_randomizer::Plan;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::check::{Inspected, inspect};
use crate::export::{Destination, ExportError, remove_files, write_files};
use crate::pending::SeriesKey;
use crate::store::{Snapshot, Store, StorePlace};
use crate::{Clock, Config, ControlError, RegistryError, StoreError, control, load_plan};

/// One task; the answer is lines for its asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// What needs the store as it is.
    Read(Reading),
    /// Remove what was counted while its metric was in status testing, from the store and from this node's exported
    /// files; a line for each series.
    Purge {
        /// Only say what would be removed.
        dry_run: bool,
    },
}

/// A task that changes nothing in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Write the counters files of all that is committed; a line for each path.
    Export,
    /// Compare everything in the store with everything else; one line of figures.
    Check,
    /// Copy the store into this new file.
    BackUp(PathBuf),
}

/// Why a task was not done.
#[derive(Debug, Error)]
pub enum MaintenanceError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is not what reports can have made it.
    #[error("damaged: {0}")]
    Damaged(StoreError),
    /// The counters files.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The registry, which says how many counters a report touches.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The running server.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Backups overwrite nothing.
    #[error("backing up to {}: it exists; give the path of a new file", .0.display())]
    TargetExists(PathBuf),
    /// A name that is no absolute path, and the directory that it is relative to is unknown.
    #[error("backing up to {}: {source}; give an absolute path", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl MaintenanceError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => error.exit(),
            Self::Damaged(_) => Exit::CheckFailed,
            Self::Export(error) => error.exit(),
            Self::Registry(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::TargetExists(_) | Self::Target { .. } => Exit::BadInput,
        }
    }
}

/// Has a task done for the store of `config`, and gives the lines to show.
///
/// # Errors
/// [`MaintenanceError`].
pub fn maintain(config: &Config, task: Task) -> Result<Vec<String>, MaintenanceError> {
    let task = match task {
        // The server has another working directory.
        Task::Read(Reading::BackUp(path)) => Task::Read(Reading::BackUp(
            std::path::absolute(&path).map_err(|source| MaintenanceError::Target { path: path.clone(), source })?,
        )),
        task => task,
    };
    if !config.store.exists() {
        return Err(StoreError::Missing { path: config.store.clone() }.into());
    }
    let place = match StorePlace::take(&config.store) {
        Err(StoreError::InUse { .. }) => {
            return Ok(control::request(&StorePlace::control_socket(&config.store), &task)?);
        }
        place => place?,
    };
    let destination = Destination::new(config.export_dir.clone(), config.node.clone());
    let opened = Store::open(&place);
    let mut store = if task == Task::Read(Reading::Check) { opened.map_err(found)? } else { opened? };
    match task {
        Task::Purge { dry_run } => purge(&mut store, &place, &destination, dry_run),
        Task::Read(reading) => {
            let plan = || Ok(Arc::new(load_plan(&config.registry, Clock::System.now_s())?));
            read(&reading, &store.snapshot()?, &destination, plan)
        }
    }
}

/// Does what needs a snapshot only, beside whatever else happens to the store.
///
/// # Errors
/// [`MaintenanceError`].
pub fn read(
    reading: &Reading,
    snapshot: &Snapshot,
    destination: &Destination,
    plan: impl FnOnce() -> Result<Arc<Plan>, MaintenanceError>,
) -> Result<Vec<String>, MaintenanceError> {
    match reading {
        Reading::Export => {
            let files = write_files(snapshot, snapshot.series()?, destination)?;
            Ok(files.iter().map(|file| file.display().to_string()).collect())
        }
        Reading::BackUp(target) if target.exists() => Err(MaintenanceError::TargetExists(target.clone())),
        Reading::BackUp(target) => {
            snapshot.back_up(target)?;
            Ok(vec![target.display().to_string()])
        }
        Reading::Check => {
            let plan = plan()?;
            let inspected = snapshot.ids().and_then(|ids| inspect(snapshot, &plan, &ids));
            let Inspected { series, reports, ids } = inspected.map_err(found)?;
            Ok(vec![format!("whole: {series} series with {reports} reports, {ids} ids of open periods")])
        }
    }
}

/// What a check was to find is no failure to check.
fn found(error: StoreError) -> MaintenanceError {
    match error {
        StoreError::Corrupted { .. } => MaintenanceError::Damaged(error),
        error => MaintenanceError::Store(error),
    }
}

/// Removes every series that was counted while its metric was in status testing: first the files exported from it, then
/// the sums, so that a purge that was cut short is completed by the next one.
///
/// # Errors
/// [`MaintenanceError`].
pub fn purge(
    store: &mut Store,
    place: &StorePlace,
    destination: &Destination,
    dry_run: bool,
) -> Result<Vec<String>, MaintenanceError> {
    let snapshot = store.snapshot()?;
    let mut testing: BTreeMap<SeriesKey, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for key in snapshot.series()? {
        let series = snapshot.describe(key)?;
        if series.testing {
            let (name, version) = (series.definition.name, key.version);
            lines.push(format!("{name} version {version} {}: {} reports", key.period, series.reports));
            testing.insert(key, name);
        }
    }
    drop(snapshot);
    if !dry_run && !testing.is_empty() {
        remove_files(&testing, destination)?;
        store.forget_series(place, &testing.into_keys().collect())?;
    }
    Ok(lines)
}
