//! The store's file as a place on a disk: who may use it, and what happens to its bytes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::StoreError;

/// Only the server's own user reads counters that are not yet published.
const FILE_MODE: u32 = 0o600;

/// A path that this process alone may use as a store: an exclusive lock on a file beside it, which stays.
#[derive(Debug)]
pub struct StorePlace {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

impl StorePlace {
    /// Takes the lock beside `path`.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Io`] when the place cannot be written.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let io = |source| StoreError::Io { deed: "locking", path: path.to_owned(), source };
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&lock_path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The store's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control socket's path.
    pub fn control_socket(path: &Path) -> PathBuf {
        beside(path, ".sock")
    }

    /// A new, empty file for a store under construction; what a crash left there is gone.
    pub(super) fn create_temporary(&self) -> io::Result<(PathBuf, File)> {
        create_temporary(&self.path)
    }

    /// Removes what a crash left of a store under construction.
    pub(super) fn remove_temporary(&self) -> io::Result<()> {
        match std::fs::remove_file(crate::replace_file::temporary(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A new, empty file that shall take the place of `path`.
pub(super) fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    let temporary = crate::replace_file::temporary(path);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
    Ok((temporary, file))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file for redb that remembers a failed fsync: the kernel may have dropped the pages that it could not write and
/// report success the next time, so after one failure nothing in this file is believed to be durable any more.
#[derive(Debug)]
pub struct StoreFile {
    file: FileBackend,
    sync_failed: Arc<AtomicBool>,
}

impl StoreFile {
    /// The file, and the flag that a failed fsync sets.
    pub fn new(file: File) -> Result<(Self, Arc<AtomicBool>), redb::DatabaseError> {
        let sync_failed = Arc::new(AtomicBool::new(false));
        Ok((Self { file: FileBackend::new(file)?, sync_failed: sync_failed.clone() }, sync_failed))
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier fsync failed"));
        }
        let synced = self.file.sync_data();
        if synced.is_err() {
            self.sync_failed.store(true, Ordering::Release);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
