//! What time it is: the system's clock, or a file that tests and the demo write.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Why a test clock cannot be used.
#[derive(Debug, Error)]
pub enum ClockError {
    /// The file cannot be read.
    #[error("reading test clock {}: {source}; create the file before the program starts", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("test clock {} holds {found:?}; write the time in Unix seconds, digits only", path.display())]
    NotSeconds {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
}

/// A source of time in Unix seconds.
#[derive(Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A file with Unix seconds, read again whenever time is asked.
    File {
        /// The file.
        path: PathBuf,
        /// The latest time that could be read from it.
        last_s: i64,
    },
}

impl Clock {
    /// The clock of a test: `path` must hold a time already.
    ///
    /// # Errors
    /// [`ClockError`] naming the file.
    pub fn from_file(path: &Path) -> Result<Self, ClockError> {
        Ok(Self::File { path: path.to_owned(), last_s: read(path)? })
    }

    /// Seconds since the Unix epoch. A test clock that is just being rewritten shows its last time.
    pub fn now_s(&mut self) -> i64 {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
            }
            Self::File { path, last_s } => {
                if let Ok(now_s) = read(path) {
                    *last_s = now_s;
                }
                *last_s
            }
        }
    }
}

fn read(path: &Path) -> Result<i64, ClockError> {
    let text = std::fs::read_to_string(path).map_err(|source| ClockError::Io { path: path.to_owned(), source })?;
    let refused = || ClockError::NotSeconds { path: path.to_owned(), found: text.clone() };
    text.trim().parse().map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_follows_its_file_and_survives_a_half_written_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        assert!(matches!(Clock::from_file(&path), Err(ClockError::Io { .. })));
        std::fs::write(&path, "noon").unwrap();
        assert!(matches!(Clock::from_file(&path), Err(ClockError::NotSeconds { .. })));
        std::fs::write(&path, "1000\n").unwrap();
        let mut clock = Clock::from_file(&path).unwrap();
        assert_eq!(clock.now_s(), 1000);
        std::fs::write(&path, "").unwrap();
        assert_eq!(clock.now_s(), 1000);
        std::fs::write(&path, "2000").unwrap();
        assert_eq!(clock.now_s(), 2000);
    }
}
