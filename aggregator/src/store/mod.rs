//! The one file: sums, and the ids of the reports in them until their period's grace ends.

mod error;
mod ids;
mod place;
mod rewrite;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_privacy::{Counters, MetricId, Period};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, WriteTransaction};

pub use error::StoreError;
pub use ids::Ids;
pub use place::StorePlace;

use crate::definition::Definition;
use crate::pending::{FullGroup, SeriesKey};
use crate::replace_file::put_in_place;
use place::StoreFile;
use tables::{CLOSED, COUNTERS_PER_ROW, COUNTS, DEFINITIONS, FORMAT, FORMAT_KEY, IDS, META, SERIES};

/// What the database may keep of its file in memory. Counters of hundreds of metrics fit; ids are held apart.
const CACHE_BYTES: usize = 32 << 20;

/// The meaning of the counters of every metric and version.
pub type Definitions = BTreeMap<(MetricId, u32), Definition>;

/// The open store. One owner writes.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
    sync_failed: Arc<AtomicBool>,
}

/// All that is known of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSeries {
    /// What its counters mean.
    pub definition: Definition,
    /// The sums.
    pub counters: Counters,
    /// Reports that were given up at the period's end.
    pub dropped_remainder: u64,
    /// The registry at the last commit.
    pub registry_digest: String,
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
        let length = file.metadata().map_err(|error| StoreError::from_io("opening", path.clone(), error))?.len();
        if length == 0 {
            // The database would take an empty file for a new one.
            return Err(StoreError::Corrupted { path, reason: "it is empty".to_owned() });
        }
        let store = Self::over(file, path)?;
        let format = store.read("opening", |transaction| {
            let found = match transaction.open_table(META) {
                Ok(meta) => meta.get(FORMAT_KEY)?.map(|format| format.value()),
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            found.ok_or_else(|| redb::Error::Corrupted("it names no format".to_owned()))
        })?;
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
        let never = AtomicBool::new(false);
        let fail = |flag: &AtomicBool, error: redb::DatabaseError| {
            StoreError::from_redb("opening", path.clone(), flag.load(Ordering::Acquire), error.into())
        };
        let (backend, sync_failed) = StoreFile::new(file).map_err(|error| fail(&never, error))?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| fail(&sync_failed, error))?;
        Ok(Self { database, path, sync_failed })
    }

    fn fail(&self, deed: &'static str, error: redb::Error) -> StoreError {
        StoreError::from_redb(deed, self.path.clone(), self.sync_failed.load(Ordering::Acquire), error)
    }

    fn read<T>(
        &self,
        deed: &'static str,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let read = || read(&self.database.begin_read()?);
        read().map_err(|error| self.fail(deed, error))
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
    pub fn commit(
        &mut self,
        groups: &[FullGroup],
        definitions: &Definitions,
        registry_digest: &str,
    ) -> Result<(), StoreError> {
        self.write("committing to", |transaction| {
            let mut ids: BTreeMap<Period, Vec<[u8; 16]>> = BTreeMap::new();
            for group in groups {
                let key = group.key();
                let definition = &definitions[&(key.metric, key.version)];
                tables::update_record(transaction, key, definition, |record| {
                    record.reports += group.sums().reports;
                    registry_digest.clone_into(&mut record.registry_digest);
                })?;
                add_counts(transaction, key, &group.sums().counts)?;
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
        definitions: &Definitions,
        registry_digest: &str,
    ) -> Result<(), StoreError> {
        self.write("closing a period in", |transaction| {
            for (&key, &reports) in dropped {
                let definition = &definitions[&(key.metric, key.version)];
                tables::update_record(transaction, key, definition, |record| {
                    record.dropped_remainder += reports;
                    registry_digest.clone_into(&mut record.registry_digest);
                })?;
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
        self.write("noting an export in", |transaction| {
            transaction.open_table(CLOSED)?.insert(period.start(), true)?;
            Ok(())
        })
    }

    /// The closed periods, and whether each was exported since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closed(&self) -> Result<BTreeMap<Period, bool>, StoreError> {
        self.read("reading", |transaction| {
            let entries = transaction.open_table(CLOSED)?;
            let entries = entries
                .iter()?
                .map(|entry| entry.map(|(start, exported)| (Period::containing(start.value()), exported.value())));
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// All committed ids.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ids(&self) -> Result<Ids, StoreError> {
        self.read("reading", |transaction| {
            let mut ids = Ids::default();
            for entry in transaction.open_table(IDS)?.iter()? {
                let (key, blob) = entry?;
                let (blob, rest) = blob.value().as_chunks::<16>();
                if !rest.is_empty() {
                    return Err(redb::Error::Corrupted("ids are cut short".to_owned()));
                }
                ids.extend(Period::containing(key.value().0), blob.iter().copied());
            }
            Ok(ids)
        })
    }

    /// The series that have counters or a remainder, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn series(&self) -> Result<BTreeSet<SeriesKey>, StoreError> {
        self.read("reading", |transaction| {
            let table = transaction.open_table(SERIES)?;
            let keys = table.iter()?.map(|entry| entry.map(|(key, _)| tables::series_of(key.value())));
            Ok(keys.collect::<Result<_, _>>()?)
        })
    }

    /// Everything about one series that [`Store::series`] named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read_series(&self, key: SeriesKey) -> Result<StoredSeries, StoreError> {
        self.read("reading", |transaction| {
            let missing = |what: &str| redb::Error::Corrupted(format!("a series lacks its {what}"));
            let definitions = transaction.open_table(DEFINITIONS)?;
            let definition = definitions.get((key.metric.0, key.version))?.ok_or_else(|| missing("definition"))?;
            let definition: Definition = tables::decode(definition.value())?;
            let series = transaction.open_table(SERIES)?;
            let record = series.get(tables::key_of(key))?.ok_or_else(|| missing("record"))?;
            let record: tables::SeriesRecord = tables::decode(record.value())?;
            let size = usize::try_from(definition.counters).map_err(|_| missing("size"))?;
            let mut counts = vec![0; size];
            let (metric, version, start) = tables::key_of(key);
            let table = transaction.open_table(COUNTS)?;
            for entry in table.range((metric, version, start, 0)..=(metric, version, start, u32::MAX))? {
                let (row, bytes) = entry?;
                let row = counts.chunks_mut(COUNTERS_PER_ROW).nth(row.value().3 as usize);
                let row = row.filter(|row| row.len() * 8 == bytes.value().len()).ok_or_else(|| missing("rows"))?;
                row.iter_mut().zip(tables::counters(bytes.value())).for_each(|(to, from)| *to = from);
            }
            Ok(StoredSeries {
                definition,
                counters: Counters { reports: record.reports, counts },
                dropped_remainder: record.dropped_remainder,
                registry_digest: record.registry_digest,
            })
        })
    }

    /// Refuses a registry that means something else by a metric and version that this store holds.
    ///
    /// # Errors
    /// [`StoreError::DefinitionChanged`].
    pub fn check_definitions(&self, definitions: &Definitions) -> Result<(), StoreError> {
        let stored: Definitions = self.read("reading", |transaction| {
            let mut stored = Definitions::new();
            for entry in transaction.open_table(DEFINITIONS)?.iter()? {
                let (key, bytes) = entry?;
                let (metric, version) = key.value();
                stored.insert((MetricId(metric), version), tables::decode(bytes.value())?);
            }
            Ok(stored)
        })?;
        for ((metric, version), stored) in stored {
            let what = definitions.get(&(metric, version)).and_then(|wanted| stored.difference(wanted));
            if let Some(what) = what {
                let path = self.path.clone();
                return Err(StoreError::DefinitionChanged { path, name: stored.name, metric, version, what });
            }
        }
        Ok(())
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

    /// The error for sums that no set of reports can have.
    pub fn corrupted(&self, reason: String) -> StoreError {
        StoreError::Corrupted { path: self.path.clone(), reason }
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

fn add_counts(transaction: &WriteTransaction, key: SeriesKey, counts: &[u64]) -> Result<(), redb::Error> {
    let (metric, version, start) = tables::key_of(key);
    let mut table = transaction.open_table(COUNTS)?;
    for (row, added) in (0..).zip(counts.chunks(COUNTERS_PER_ROW)) {
        if added.iter().all(|&count| count == 0) {
            continue;
        }
        let mut sums = added.to_vec();
        if let Some(stored) = table.get((metric, version, start, row))? {
            if stored.value().len() != size_of_val(added) {
                return Err(redb::Error::Corrupted("a row of counters has another length".to_owned()));
            }
            sums.iter_mut().zip(tables::counters(stored.value())).for_each(|(sum, count)| *sum += count);
        }
        let bytes: Vec<u8> = sums.into_iter().flat_map(u64::to_le_bytes).collect();
        table.insert((metric, version, start, row), bytes.as_slice())?;
    }
    Ok(())
}
