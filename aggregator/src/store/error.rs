//! What can go wrong with the store, and which of it passes by itself.

use std::path::PathBuf;

use hubbub_privacy::Exit;
use hubbub_privacy::MetricId;
use rustix::io::Errno;
use thiserror::Error;

/// Why the store cannot be used, or no longer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("store {} is in use by another process; stop that one, or give this one its own `store`", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// Nothing to open.
    #[error("store {} does not exist; `hubbub-aggregator run` creates it", path.display())]
    Missing {
        /// The store.
        path: PathBuf,
    },
    /// The disk or its permissions.
    #[error("{deed} store {}: {source}; `store` must lie in a writable directory of a local disk", path.display())]
    Io {
        /// What was being done.
        deed: &'static str,
        /// The store.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No room left: the only failure that passes by itself.
    #[error("store {}: the disk is full", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// Its bytes are not those that were written. It is never reset.
    #[error(
        "store {} is corrupted or not a Hubbub store: {reason}; move it away and restore a backup, or start with a new \
         one",
        path.display()
    )]
    Corrupted {
        /// The store.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Written by another version of the program.
    #[error("store {} has format {found}, this program reads format {expected}; use the version that wrote it", path.display())]
    Format {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format of this program.
        expected: u64,
    },
    /// The registry means something else by the same metric and version.
    #[error(
        "store {} holds counters of {name} (id {metric}) version {version} with another {what} than the registry's; \
         raise the metric's version in the registry",
        path.display()
    )]
    DefinitionChanged {
        /// The store.
        path: PathBuf,
        /// The name in the store.
        name: String,
        /// The metric.
        metric: MetricId,
        /// Its version.
        version: u32,
        /// The first difference.
        what: &'static str,
    },
    /// It was closed while it was being read: the disk became full.
    #[error("store {} was closed meanwhile; try again when the server is ready", path.display())]
    Closed {
        /// The store.
        path: PathBuf,
    },
    /// Anything else that the database reports.
    #[error("{deed} store {}: {source}", path.display())]
    Database {
        /// What was being done.
        deed: &'static str,
        /// The store.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
}

impl StoreError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::InUse { .. } => Exit::Unavailable,
            Self::DefinitionChanged { .. } => Exit::BadInput,
            Self::Missing { .. }
            | Self::Io { .. }
            | Self::Full { .. }
            | Self::Corrupted { .. }
            | Self::Format { .. }
            | Self::Closed { .. }
            | Self::Database { .. } => Exit::InputOutput,
        }
    }

    /// Sorts a failure of a file operation: a full disk passes by itself, everything else does not.
    pub(super) fn from_io(deed: &'static str, path: PathBuf, source: std::io::Error) -> Self {
        if is_full(&source) { Self::Full { path } } else { Self::Io { deed, path, source } }
    }

    /// Sorts a failure of the database. After a failed fsync nothing counts as full: what the disk holds is unknown.
    pub(super) fn from_redb(deed: &'static str, path: PathBuf, sync_failed: bool, error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse { path },
            redb::Error::Corrupted(reason) => Self::Corrupted { path, reason },
            redb::Error::DatabaseClosed => Self::Closed { path },
            redb::Error::UpgradeRequired(format) => {
                Self::Corrupted { path, reason: format!("it is a database of the older file format {format}") }
            }
            redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                Self::Corrupted { path, reason: source.to_string() }
            }
            redb::Error::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Corrupted { path, reason: "it is shorter than it says".to_owned() }
            }
            redb::Error::Io(source) if !sync_failed => Self::from_io(deed, path, source),
            redb::Error::Io(source) => Self::Io { deed, path, source },
            source => Self::Database { deed, path, source: Box::new(source) },
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errno == Errno::NOSPC || errno == Errno::DQUOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_passes_by_itself_and_nothing_after_a_failed_fsync() {
        let sort = |errno: Errno, sync_failed| {
            StoreError::from_redb("committing to", PathBuf::new(), sync_failed, redb::Error::Io(errno.into()))
        };
        for (errno, sync_failed, passes) in [
            (Errno::NOSPC, false, true),
            (Errno::DQUOT, false, true),
            (Errno::NOSPC, true, false),
            (Errno::IO, false, false),
            (Errno::ROFS, false, false),
        ] {
            assert_eq!(matches!(sort(errno, sync_failed), StoreError::Full { .. }), passes, "{errno} {sync_failed}");
        }
    }
}
