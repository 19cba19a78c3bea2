//! Forgetting: deleted rows would stay readable in a database's free pages, so the store is written anew without them.

use std::collections::BTreeSet;

use hubbub_privacy::Period;
use redb::{Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, Value, WriteTransaction};

use super::tables::{CLOSED, COUNTS, DEFINITIONS, IDS, META, SERIES};
use super::{Store, StoreError, StorePlace};
use crate::replace_file::put_in_place;

impl Store {
    /// Removes every trace of the ids of `periods` from the disk: all else is copied into a new file, which takes the
    /// place of the old one, whose bytes are then no longer part of any file.
    ///
    /// # Errors
    /// [`StoreError`]; the old store stays as it was.
    pub fn forget_ids(&mut self, place: &StorePlace, periods: &BTreeSet<Period>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io = |error| StoreError::from_io("rewriting", path.clone(), error);
        let (temporary, file) = place.create_temporary().map_err(io)?;
        let mut fresh = Self::over(file.try_clone().map_err(io)?, path.clone())?;
        let old = self.database.begin_read().map_err(|error| self.fail("rewriting", error.into()))?;
        fresh.write("rewriting", |new| {
            copy(&old, new, META, |_| true)?;
            copy(&old, new, DEFINITIONS, |_| true)?;
            copy(&old, new, SERIES, |_| true)?;
            copy(&old, new, COUNTS, |_| true)?;
            copy(&old, new, CLOSED, |_| true)?;
            copy(&old, new, IDS, |(start, _)| !periods.contains(&Period::containing(start)))
        })?;
        put_in_place(&file, &temporary, place.path()).map_err(io)?;
        drop(old);
        *self = fresh;
        Ok(())
    }
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
