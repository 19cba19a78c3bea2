//! How sums and ids lie in the database.

use hubbub_privacy::{MetricId, Period};
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::definition::Catalogue;
use crate::pending::SeriesKey;

/// The version of the store's format.
pub const FORMAT: u64 = 2;
/// The key of [`FORMAT`] in [`META`].
pub const FORMAT_KEY: &str = "format";
/// Counters in one row: 4 KiB, so that a commit to a metric of a million values rewrites only the rows it touches.
pub const COUNTERS_PER_ROW: usize = 512;

pub const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// (metric, version) to the JSON of a [`crate::definition::Definition`].
pub const DEFINITIONS: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("definitions");
/// (metric, version, start of the period) to the JSON of a [`SeriesRecord`].
pub const SERIES: TableDefinition<'_, (u32, u32, i64), &[u8]> = TableDefinition::new("series");
/// (metric, version, start of the period, row) to little-endian counters; a row of zeros may be missing.
pub const COUNTS: TableDefinition<'_, (u32, u32, i64, u32), &[u8]> = TableDefinition::new("counts");
/// (start of the period, number of the commit) to that commit's ids, sorted over all metrics.
pub const IDS: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("ids");
/// Start of an open period to how many of its counted reports were purged: their ids stay, so that they are not counted
/// again.
pub const PURGED: TableDefinition<'_, i64, u64> = TableDefinition::new("purged");
/// Start of a period whose grace is over to whether its counters were exported since.
pub const CLOSED: TableDefinition<'_, i64, bool> = TableDefinition::new("closed");

/// What stands beside the counters of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesRecord {
    pub reports: u64,
    pub dropped_remainder: u64,
    pub registry_digest: String,
    /// Whether any of it was counted while the metric was in status testing.
    #[serde(default)]
    pub testing: bool,
}

pub fn key_of(key: SeriesKey) -> (u32, u32, i64) {
    (key.metric.0, key.version, key.period.start())
}

pub fn series_of((metric, version, start): (u32, u32, i64)) -> SeriesKey {
    SeriesKey { metric: MetricId(metric), version, period: Period::containing(start) }
}

pub fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("strings and numbers serialize")
}

pub fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(format!("a record cannot be read: {error}")))
}

/// The counters of a row.
pub fn counters(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word))
}

/// Creates all tables, so that readers find them, and says which format they have.
pub fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(DEFINITIONS)?;
    transaction.open_table(SERIES)?;
    transaction.open_table(COUNTS)?;
    transaction.open_table(IDS)?;
    transaction.open_table(PURGED)?;
    transaction.open_table(CLOSED)?;
    Ok(())
}

/// Changes the record of a series, which begins empty, and writes its definition when it has none yet.
pub fn update_record(
    transaction: &WriteTransaction,
    key: SeriesKey,
    catalogue: &Catalogue,
    change: impl FnOnce(&mut SeriesRecord),
) -> Result<(), redb::Error> {
    let meaning = (key.metric, key.version);
    let mut definitions = transaction.open_table(DEFINITIONS)?;
    if definitions.get((key.metric.0, key.version))?.is_none() {
        definitions.insert((key.metric.0, key.version), encode(&catalogue.definitions[&meaning]).as_slice())?;
    }
    let mut series = transaction.open_table(SERIES)?;
    let mut record = match series.get(key_of(key))? {
        Some(bytes) => decode::<SeriesRecord>(bytes.value())?,
        None => SeriesRecord::default(),
    };
    change(&mut record);
    record.testing |= catalogue.testing.contains(&meaning);
    catalogue.digest.clone_into(&mut record.registry_digest);
    series.insert(key_of(key), encode(&record).as_slice())?;
    Ok(())
}
