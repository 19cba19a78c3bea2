//! Forgetting: deleted rows would stay readable in a database's free pages, so the store is written anew without them.
//! The same way makes backups.

use std::collections::BTreeSet;
use std::path::Path;

use hubbub_privacy::Period;
use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};

use super::place::create_temporary;
use super::tables::{self, CLOSED, COUNTS, DEFINITIONS, IDS, META, PURGED, SERIES};
use super::{Snapshot, Store, StoreError, StorePlace};
use crate::pending::SeriesKey;
use crate::replace_file::put_in_place;

/// What a copy leaves out.
#[derive(Debug, Default)]
struct Omitted<'a> {
    ids_of: Option<&'a BTreeSet<Period>>,
    series: Option<&'a BTreeSet<SeriesKey>>,
}

impl Store {
    /// Removes every trace of the ids of `periods` from the disk: all else is copied into a new file, which takes the
    /// place of the old one, whose bytes are then no longer part of any file.
    ///
    /// # Errors
    /// [`StoreError`]; the old store stays as it was.
    pub fn forget_ids(&mut self, place: &StorePlace, periods: &BTreeSet<Period>) -> Result<(), StoreError> {
        self.rewrite(place, &Omitted { ids_of: Some(periods), ..Omitted::default() })
    }

    /// Removes every trace of the sums of `series` in the same way. Their reports' ids stay until the period's grace
    /// ends, so that none is counted again.
    ///
    /// # Errors
    /// [`StoreError`]; the old store stays as it was.
    pub fn forget_series(&mut self, place: &StorePlace, series: &BTreeSet<SeriesKey>) -> Result<(), StoreError> {
        self.rewrite(place, &Omitted { series: Some(series), ..Omitted::default() })
    }

    fn rewrite(&mut self, place: &StorePlace, omitted: &Omitted<'_>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io = |error| StoreError::from_io("rewriting", path.clone(), error);
        let (temporary, file) = place.create_temporary().map_err(io)?;
        let mut fresh = Self::over(file.try_clone().map_err(io)?, path.clone())?;
        let old = self.snapshot()?;
        fresh.write("rewriting", |new| copy_all(&old, new, omitted))?;
        put_in_place(&file, &temporary, place.path()).map_err(io)?;
        *self = fresh;
        Ok(())
    }
}

impl Snapshot {
    /// Writes everything into a new file at `target`, which must not exist. It appears whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`] naming `target`.
    pub fn back_up(&self, target: &Path) -> Result<(), StoreError> {
        let io = |error| StoreError::from_io("backing up to", target.to_owned(), error);
        let (temporary, file) = create_temporary(target).map_err(io)?;
        let mut copy = Store::over(file.try_clone().map_err(io)?, target.to_owned())?;
        copy.write("backing up to", |new| copy_all(self, new, &Omitted::default()))?;
        copy.close()?;
        put_in_place(&file, &temporary, target).map_err(io)
    }
}

fn copy_all(from: &Snapshot, new: &WriteTransaction, omitted: &Omitted<'_>) -> Result<(), redb::Error> {
    let old = &from.transaction;
    let series_stays = |key| omitted.series.is_none_or(|series| !series.contains(&tables::series_of(key)));
    let ids_stay = |start| omitted.ids_of.is_none_or(|periods| !periods.contains(&Period::containing(start)));
    copy(old, new, META, |_| true)?;
    copy(old, new, SERIES, series_stays)?;
    copy(old, new, COUNTS, |(metric, version, start, _)| series_stays((metric, version, start)))?;
    copy(old, new, CLOSED, |_| true)?;
    copy(old, new, IDS, |(start, _)| ids_stay(start))?;
    copy(old, new, PURGED, ids_stay)?;
    let defined: BTreeSet<(u32, u32)> = new
        .open_table(SERIES)?
        .iter()?
        .map(|entry| entry.map(|(key, _)| (key.value().0, key.value().1)))
        .collect::<Result<_, _>>()?;
    copy(old, new, DEFINITIONS, |key| defined.contains(&key))?;
    note_purged(old, new, omitted)
}

/// Ids outlive the sums they were counted into; the difference is written down, so that the two can still be compared.
fn note_purged(old: &ReadTransaction, new: &WriteTransaction, omitted: &Omitted<'_>) -> Result<(), redb::Error> {
    let (closed, mut purged) = (new.open_table(CLOSED)?, new.open_table(PURGED)?);
    for key in omitted.series.into_iter().flatten() {
        let start = key.period.start();
        if closed.get(start)?.is_some() {
            continue;
        }
        if let Some(record) = old.open_table(SERIES)?.get(tables::key_of(*key))? {
            let before = purged.get(start)?.map_or(0, |reports| reports.value());
            purged.insert(start, before + tables::decode::<tables::SeriesRecord>(record.value())?.reports)?;
        }
    }
    Ok(())
}

fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
    keep: impl Fn(K::SelfType<'_>) -> bool,
) -> Result<(), redb::Error> {
    let mut copy = to.open_table(table)?;
    for entry in from.open_table(table)?.iter()? {
        let (key, value) = entry?;
        if keep(key.value()) {
            copy.insert(key.value(), value.value())?;
        }
    }
    Ok(())
}
