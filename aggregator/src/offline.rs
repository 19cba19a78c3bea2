//! `export`: by the server that has the store, or directly when none has it.

use hubbub_privacy::Exit;
use std::path::PathBuf;

use thiserror::Error;

use crate::export::{Destination, ExportError, write_files};
use crate::store::{Store, StorePlace};
use crate::{Config, ControlError, StoreError, control};

/// Why an export failed.
#[derive(Debug, Error)]
pub enum OfflineExportError {
    /// The store or the files.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The running server.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl OfflineExportError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Export(error) => error.exit(),
            Self::Control(error) => error.exit(),
        }
    }
}

/// Writes the counters files of all that is committed, and gives their paths.
///
/// # Errors
/// [`OfflineExportError`].
pub fn export(config: &Config) -> Result<Vec<PathBuf>, OfflineExportError> {
    if !config.store.exists() {
        return Err(ExportError::from(StoreError::Missing { path: config.store.clone() }).into());
    }
    match StorePlace::take(&config.store) {
        Ok(place) => {
            let store = Store::open(&place).map_err(ExportError::from)?;
            let series = store.series().map_err(ExportError::from)?;
            let destination = Destination { directory: config.export_dir.clone(), node: config.node.clone() };
            Ok(write_files(&store, series, &destination)?)
        }
        Err(StoreError::InUse { .. }) => Ok(control::request_export(&StorePlace::control_socket(&config.store))?),
        Err(error) => Err(ExportError::from(error).into()),
    }
}
