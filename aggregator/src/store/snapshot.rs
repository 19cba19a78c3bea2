//! What the store held at one moment, read beside the owner's further commits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hubbub_privacy::{MetricId, Period};
use redb::{ReadTransaction, ReadableTable};

use super::tables::{self, CLOSED, COUNTERS_PER_ROW, COUNTS, DEFINITIONS, FORMAT_KEY, IDS, META, PURGED, SERIES};
use super::{Ids, StoreError};
use crate::definition::{Catalogue, Definition};
use crate::pending::SeriesKey;

/// A consistent view: commits that follow do not change it. It fails with [`StoreError::Closed`] once its store is
/// closed.
pub struct Snapshot {
    pub(super) transaction: ReadTransaction,
    pub(super) path: PathBuf,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("path", &self.path).finish_non_exhaustive()
    }
}

/// All that is known of one series but its counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSeries {
    /// What its counters mean.
    pub definition: Definition,
    /// n, the reports in its counters.
    pub reports: u64,
    /// Reports that were given up at the period's end.
    pub dropped_remainder: u64,
    /// The registry at the last commit.
    pub registry_digest: String,
    /// Whether any of it was counted while the metric was in status testing.
    pub testing: bool,
}

/// A row of counters: the index of the first, and as many as there are.
pub type Row = (usize, Vec<u64>);

impl Snapshot {
    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        read(&self.transaction).map_err(|error| self.fail(error))
    }

    fn fail(&self, error: redb::Error) -> StoreError {
        StoreError::from_redb("reading", self.path.clone(), false, error)
    }

    /// The version of the store's format.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] when there is none.
    pub fn format(&self) -> Result<u64, StoreError> {
        self.read(|transaction| {
            let found = match transaction.open_table(META) {
                Ok(meta) => meta.get(FORMAT_KEY)?.map(|format| format.value()),
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
            found.ok_or_else(|| redb::Error::Corrupted("it names no format".to_owned()))
        })
    }

    /// The closed periods, and whether each was exported since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closed(&self) -> Result<BTreeMap<Period, bool>, StoreError> {
        self.read(|transaction| {
            let entries = transaction.open_table(CLOSED)?;
            let entries = entries
                .iter()?
                .map(|entry| entry.map(|(start, exported)| (Period::containing(start.value()), exported.value())));
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// How many counted reports of each open period were purged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn purged(&self) -> Result<BTreeMap<Period, u64>, StoreError> {
        self.read(|transaction| {
            let entries = transaction.open_table(PURGED)?;
            let entries = entries
                .iter()?
                .map(|entry| entry.map(|(start, reports)| (Period::containing(start.value()), reports.value())));
            Ok(entries.collect::<Result<_, _>>()?)
        })
    }

    /// All committed ids.
    ///
    /// # Errors
    /// [`StoreError`]; one that stands there twice is a corruption.
    pub fn ids(&self) -> Result<Ids, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(IDS)?;
            let mut expected: BTreeMap<i64, usize> = BTreeMap::new();
            for entry in table.iter()? {
                let (key, blob) = entry?;
                *expected.entry(key.value().0).or_default() += blob.value().len() / 16;
            }
            let mut ids = Ids::default();
            for (&start, &number) in &expected {
                ids.expect(Period::containing(start), number);
            }
            for entry in table.iter()? {
                let (key, blob) = entry?;
                let (blob, rest) = blob.value().as_chunks::<16>();
                if !rest.is_empty() {
                    return Err(redb::Error::Corrupted("ids are cut short".to_owned()));
                }
                if ids.extend(Period::containing(key.value().0), blob.iter().copied()) < blob.len() {
                    return Err(redb::Error::Corrupted("an id stands there twice".to_owned()));
                }
            }
            Ok(ids)
        })
    }

    /// The series that have counters or a remainder, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn series(&self) -> Result<BTreeSet<SeriesKey>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(SERIES)?;
            let keys = table.iter()?.map(|entry| entry.map(|(key, _)| tables::series_of(key.value())));
            Ok(keys.collect::<Result<_, _>>()?)
        })
    }

    /// Everything but the counters of one series that [`Snapshot::series`] named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn describe(&self, key: SeriesKey) -> Result<StoredSeries, StoreError> {
        self.read(|transaction| {
            let missing = |what: &str| redb::Error::Corrupted(format!("a series lacks its {what}"));
            let definitions = transaction.open_table(DEFINITIONS)?;
            let definition = definitions.get((key.metric.0, key.version))?.ok_or_else(|| missing("definition"))?;
            let series = transaction.open_table(SERIES)?;
            let record = series.get(tables::key_of(key))?.ok_or_else(|| missing("record"))?;
            let record: tables::SeriesRecord = tables::decode(record.value())?;
            Ok(StoredSeries {
                definition: tables::decode(definition.value())?,
                reports: record.reports,
                dropped_remainder: record.dropped_remainder,
                registry_digest: record.registry_digest,
                testing: record.testing,
            })
        })
    }

    /// The counters of a series of `size` counters, row by row; rows of zeros are left out. At most a few rows are in
    /// memory at once.
    ///
    /// # Errors
    /// [`StoreError`], also from the iterator.
    pub fn rows(
        &self,
        key: SeriesKey,
        size: usize,
    ) -> Result<impl Iterator<Item = Result<Row, StoreError>> + use<'_>, StoreError> {
        let (metric, version, start) = tables::key_of(key);
        let range = self.read(|transaction| {
            let table = transaction.open_table(COUNTS)?;
            Ok(table.range((metric, version, start, 0)..=(metric, version, start, u32::MAX))?)
        })?;
        Ok(range.map(move |entry| {
            let (place, bytes) = entry.map_err(|error| self.fail(error.into()))?;
            let first = place.value().3 as usize * COUNTERS_PER_ROW;
            let counts: Vec<u64> = tables::counters(bytes.value()).collect();
            let whole = size.checked_sub(first).map(|left| left.min(COUNTERS_PER_ROW) * size_of::<u64>());
            if whole.is_none_or(|length| length == 0 || length != bytes.value().len()) {
                return Err(self.fail(redb::Error::Corrupted("a row of counters does not fit its series".to_owned())));
            }
            Ok((first, counts))
        }))
    }

    /// Refuses a registry that means something else by a metric and version that this store holds.
    ///
    /// # Errors
    /// [`StoreError::DefinitionChanged`].
    pub fn check_definitions(&self, catalogue: &Catalogue) -> Result<(), StoreError> {
        let stored: BTreeMap<(MetricId, u32), Definition> = self.read(|transaction| {
            let mut stored = BTreeMap::new();
            for entry in transaction.open_table(DEFINITIONS)?.iter()? {
                let (key, bytes) = entry?;
                let (metric, version) = key.value();
                stored.insert((MetricId(metric), version), tables::decode(bytes.value())?);
            }
            Ok(stored)
        })?;
        for ((metric, version), stored) in stored {
            let what = catalogue.definitions.get(&(metric, version)).and_then(|wanted| stored.difference(wanted));
            if let Some(what) = what {
                let path = self.path.clone();
                return Err(StoreError::DefinitionChanged { path, name: stored.name, metric, version, what });
            }
        }
        Ok(())
    }

    /// The error for contents that cannot have been written.
    pub fn corrupted(&self, reason: String) -> StoreError {
        StoreError::Corrupted { path: self.path.clone(), reason }
    }
}
