//! The device's state: one SQLite file that its owner can open with `sqlite3`.
//!
//! Committed means on the disk (`synchronous = FULL`), deleted means overwritten (`secure_delete`, and the write-ahead
//! log is truncated after deletions). The database exists only once its owner has answered the question of consent.

pub mod answers;
pub mod ledger;
pub mod sent;
pub mod tally;
pub mod week;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use thiserror::Error;

/// The file in the state directory.
const FILE: &str = "state.db";
/// The version of the schema below, kept in `user_version`.
const SCHEMA: i64 = 1;

/// What could not be done with the state.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory or the file cannot be made or written.
    #[error("{deed} {}: {source}; name a writable directory with --state", path.display())]
    Io {
        /// What was tried.
        deed: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon works on it.
    #[error("state directory {} is in use by another hubbubd; stop that one or name another directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{} has schema {found}, and this hubbubd knows schema {SCHEMA}; install the newer version again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// SQLite refused.
    #[error("{deed}: {source}")]
    Sqlite {
        /// What was tried.
        deed: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A row holds what no version of this program writes.
    #[error("state.db: {what}; restore the file from a copy, or delete it and lose the budget's record")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
}

/// Names what was being done when SQLite failed.
pub(crate) fn sqlite(deed: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Sqlite { deed, source }
}

/// A state directory that belongs to this process alone.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    // Holds the lock for as long as it is open.
    _lock: File,
}

impl StateDirectory {
    /// Makes the directory if it is missing, keeps it private, and claims it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be made, written or claimed.
    pub fn claim(path: &Path) -> Result<Self, StoreError> {
        let io = |deed| move |source| StoreError::Io { deed, path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("creating state directory"))?;
        let lock = File::open(path).map_err(io("opening state directory"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::InUse { path: path.to_owned() })?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io("protecting state directory"))?;
        // A file that is written and removed shows now, not at the first answer, that the place cannot be written.
        let trial = path.join(".writable");
        File::create(&trial).and_then(|_| fs::remove_file(&trial)).map_err(io("writing into state directory"))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The state, if its owner has ever answered.
    ///
    /// # Errors
    /// [`StoreError`] when there is a file that cannot be used; it is left as it is.
    pub fn open(&self) -> Result<Option<Store>, StoreError> {
        let path = self.path.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let store = Store::open(&path)?;
        // A crash right after a deletion leaves what was deleted in the write-ahead log.
        store.forget_deleted()?;
        Ok(Some(store))
    }

    /// The state, made if there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be made or used.
    pub fn open_or_create(&self) -> Result<Store, StoreError> {
        Store::open(&self.path.join(FILE))
    }
}

/// An open state database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

impl Store {
    fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite would make the file readable for everyone; its companions take over the mode of the file.
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(|source| StoreError::Io {
            deed: "creating",
            path: path.to_owned(),
            source,
        })?;
        let mut db = Connection::open(path).map_err(sqlite("opening state.db"))?;
        let failed = sqlite("preparing state.db");
        let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&failed)?;
        if found > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), found });
        }
        for (pragma, value) in
            [("journal_mode", "WAL"), ("synchronous", "FULL"), ("secure_delete", "ON"), ("foreign_keys", "ON")]
        {
            db.pragma_update(None, pragma, value).map_err(&failed)?;
        }
        if found == 0 {
            let transaction = db.transaction().map_err(&failed)?;
            transaction.execute_batch(include_str!("schema.sql")).map_err(&failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA).map_err(&failed)?;
            transaction.commit().map_err(&failed)?;
        }
        Ok(Self { db })
    }

    /// The database, for reading and for single statements that commit at once.
    pub fn db(&self) -> &Connection {
        &self.db
    }

    /// Does `work` and commits it; when either fails, nothing of it has happened.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError`] when the commit fails.
    pub fn commit<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let failed = sqlite("committing to state.db");
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(&failed)?;
        Ok(done)
    }

    /// Copies the write-ahead log into the file and empties it, so that what was deleted is nowhere.
    ///
    /// # Errors
    /// [`StoreError`] when SQLite cannot.
    pub fn forget_deleted(&self) -> Result<(), StoreError> {
        let busy: i64 = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(sqlite("truncating the write-ahead log of state.db"))?;
        if busy != 0 {
            tracing::warn!(
                "somebody is reading state.db; deleted rows stay in its write-ahead log until they are done"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
