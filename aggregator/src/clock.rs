//! The server's clock: which periods are open is decided by it alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Why a test clock cannot be used.
#[derive(Debug, Error)]
#[error("reading test clock {}: {reason}; write Unix seconds into it", path.display())]
pub struct ClockError {
    path: PathBuf,
    reason: String,
}

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system.
    System,
    /// A file with Unix seconds, read again at each use: for tests.
    TestFile {
        /// The file.
        path: PathBuf,
        /// What it held when it could last be read: a writer may be in the middle of replacing it.
        last: Arc<AtomicI64>,
    },
}

impl Clock {
    /// A clock that a test moves by writing into a file.
    ///
    /// # Errors
    /// [`ClockError`] when the file does not hold Unix seconds now.
    pub fn test_file(path: &Path) -> Result<Self, ClockError> {
        let now = read(path).map_err(|reason| ClockError { path: path.to_owned(), reason })?;
        Ok(Self::TestFile { path: path.to_owned(), last: Arc::new(AtomicI64::new(now)) })
    }

    /// Unix time in seconds.
    pub fn now_s(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            Self::TestFile { path, last } => {
                if let Ok(now) = read(path) {
                    last.store(now, Ordering::Relaxed);
                }
                last.load(Ordering::Relaxed)
            }
        }
    }
}

fn read(path: &Path) -> Result<i64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("`{}` is not a number of seconds", text.trim()))
}
