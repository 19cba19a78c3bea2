//! The one file: sums, and the ids of the reports in them until their period's grace ends.

mod error;
mod ids;
mod place;
#[cfg(test)]
mod power_loss;
mod rewrite;
mod snapshot;
mod tables;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_privacy::Period;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, WriteTransaction};

pub use error::StoreError;
pub use ids::Ids;
pub use place::StorePlace;
pub use snapshot::Snapshot;

use crate::definition::Catalogue;
use crate::pending::{FullGroup, SeriesKey};
use crate::replace_file::put_in_place;
use place::StoreFile;
use tables::{CLOSED, COUNTERS_PER_ROW, COUNTS, FORMAT, IDS};

/// What the database may keep of its file in memory. The counters of a hundred metrics fit; ids are held apart, and pages
/// of theirs fill whatever there is.
const CACHE_BYTES: usize = 8 << 20;

/// The open store. One owner writes.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
    sync_failed: Arc<AtomicBool>,
}

impl Store {
    /// Opens the store of `place`; creates it when there is none.
    ///
    /// # Errors
    /// [`StoreError`]; a corrupted store is refused and left as it is.
    pub fn open_or_create(place: &StorePlace) -> Result<Self, StoreError> {
        match Self::open(place) {
            Err(StoreError::Missing { .. }) => Self::create(place),
            opened => opened,
        }
    }

    /// Opens the store of `place`, which must exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(place: &StorePlace) -> Result<Self, StoreError> {
        let path = place.path().to_owned();
        place.remove_temporary().map_err(|error| StoreError::from_io("opening", path.clone(), error))?;
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::Missing { path }),
            Err(error) => return Err(StoreError::from_io("opening", path, error)),
            Ok(file) => file,
        };
        let (disk, sync_failed) = StoreFile::new(file)
            .map_err(|error| StoreError::from_redb("opening", path.clone(), false, error.into()))?;
        Self::open_on(disk, sync_failed, path)
    }

    /// Opens the store on a disk, which must hold one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_on(disk: impl StorageBackend, sync_failed: Arc<AtomicBool>, path: PathBuf) -> Result<Self, StoreError> {
        let length = disk.len().map_err(|error| StoreError::from_io("opening", path.clone(), error))?;
        if length == 0 {
            // The database would take an empty file for a new one.
            return Err(StoreError::Corrupted { path, reason: "it is empty".to_owned() });
        }
        let store = Self::on(disk, sync_failed, path)?;
        let format = store.snapshot()?.format()?;
        if format != FORMAT {
            return Err(StoreError::Format { path: store.path, found: format, expected: FORMAT });
        }
        Ok(store)
    }

    fn create(place: &StorePlace) -> Result<Self, StoreError> {
        let io = |error| StoreError::from_io("creating", place.path().to_owned(), error);
        let (temporary, file) = place.create_temporary().map_err(io)?;
        let mut store = Self::over(file.try_clone().map_err(io)?, place.path().to_owned())?;
        store.write("creating", tables::create)?;
        put_in_place(&file, &temporary, place.path()).map_err(io)?;
        Ok(store)
    }

    /// A database over a file that is this process's alone.
    fn over(file: std::fs::File, path: PathBuf) -> Result<Self, StoreError> {
        let (backend, sync_failed) = StoreFile::new(file)
            .map_err(|error| StoreError::from_redb("opening", path.clone(), false, error.into()))?;
        Self::on(backend, sync_failed, path)
    }

    /// A database on a disk that says by `sync_failed` when it can no longer be believed.
    fn on(disk: impl StorageBackend, sync_failed: Arc<AtomicBool>, path: PathBuf) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(disk)
            .map_err(|error| {
                StoreError::from_redb("opening", path.clone(), sync_failed.load(Ordering::Acquire), error.into())
            })?;
        Ok(Self { database, path, sync_failed })
    }

    fn fail(&self, deed: &'static str, error: redb::Error) -> StoreError {
        StoreError::from_redb(deed, self.path.clone(), self.sync_failed.load(Ordering::Acquire), error)
    }

    /// One durable two-phase transaction: when this returns, the change survives a power cut.
    fn write(
        &mut self,
        deed: &'static str,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        write_durably(&self.database, change).map_err(|error| self.fail(deed, error))
    }

    /// Adds groups of reports to the sums and remembers their ids, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Full`] the store must be opened again to learn what it holds.
    pub fn commit(&mut self, groups: &[FullGroup], catalogue: &Catalogue) -> Result<(), StoreError> {
        self.write("committing to", |transaction| {
            let mut ids: BTreeMap<Period, Vec<[u8; 16]>> = BTreeMap::new();
            for group in groups {
                let key = group.key();
                tables::update_record(transaction, key, catalogue, |record| record.reports += group.reports())?;
                let size = catalogue.definitions[&(key.metric, key.version)].counters;
                add_sums(transaction, key, usize::try_from(size).unwrap_or(usize::MAX), group.sums())?;
                ids.entry(key.period).or_default().extend(group.ids());
            }
            let mut table = transaction.open_table(IDS)?;
            for (period, mut ids) in ids {
                // Sorted over all metrics: their order tells neither which metric nor which request they came with.
                ids.sort_unstable();
                let start = period.start();
                let last = table.range((start, 0)..=(start, u64::MAX))?.next_back().transpose()?;
                let number = last.map_or(0, |(key, _)| key.value().1 + 1);
                table.insert((start, number), ids.as_flattened())?;
            }
            Ok(())
        })
    }

    /// Marks a period as closed for good, with what was given up of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close_period(
        &mut self,
        period: Period,
        dropped: &BTreeMap<SeriesKey, u64>,
        catalogue: &Catalogue,
    ) -> Result<(), StoreError> {
        self.write("closing a period in", |transaction| {
            for (&key, &reports) in dropped {
                tables::update_record(transaction, key, catalogue, |record| record.dropped_remainder += reports)?;
            }
            transaction.open_table(CLOSED)?.insert(period.start(), false)?;
            Ok(())
        })
    }

    /// Notes that a closed period's counters were exported.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_exported(&mut self, period: Period) -> Result<(), StoreError> {
        self.write("closing a period in", |transaction| {
            transaction.open_table(CLOSED)?.insert(period.start(), true)?;
            Ok(())
        })
    }

    /// What is committed now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fail("reading", error.into()))?;
        Ok(Snapshot { transaction, path: self.path.clone() })
    }

    /// Closes the file in good order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(self) -> Result<(), StoreError> {
        let Self { database, path, sync_failed } = self;
        database
            .close()
            .map_err(|error| StoreError::from_redb("closing", path, sync_failed.load(Ordering::Acquire), error.into()))
    }
}

fn write_durably(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    change(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Adds sums to the rows that they touch; the series has `size` counters.
fn add_sums(
    transaction: &WriteTransaction,
    key: SeriesKey,
    size: usize,
    sums: &[(usize, u64)],
) -> Result<(), redb::Error> {
    let (metric, version, start) = tables::key_of(key);
    let mut table = transaction.open_table(COUNTS)?;
    for touched in sums.chunk_by(|(a, _), (b, _)| a / COUNTERS_PER_ROW == b / COUNTERS_PER_ROW) {
        let row = touched[0].0 / COUNTERS_PER_ROW;
        let first = row * COUNTERS_PER_ROW;
        let row = (metric, version, start, row as u32);
        let mut counts = vec![0; COUNTERS_PER_ROW.min(size - first)];
        if let Some(stored) = table.get(row)? {
            if stored.value().len() != size_of_val(counts.as_slice()) {
                return Err(redb::Error::Corrupted("a row of counters has another length".to_owned()));
            }
            counts.iter_mut().zip(tables::counters(stored.value())).for_each(|(count, stored)| *count = stored);
        }
        touched.iter().for_each(|&(index, added)| counts[index - first] += added);
        let bytes: Vec<u8> = counts.into_iter().flat_map(u64::to_le_bytes).collect();
        table.insert(row, bytes.as_slice())?;
    }
    Ok(())
}
