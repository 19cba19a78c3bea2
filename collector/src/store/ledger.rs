//! The ledger's rows: only ever added.

use hubbub_privacy::MetricId;
use hubbub_privacy::ledger::{Entry, Ledger};
use rusqlite::Connection;

use super::{StoreError, sqlite};

/// A row of the ledger, for its owner.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its number, from 1.
    pub n: u32,
    /// What was spent on what.
    pub entry: Entry,
    /// When, in Unix seconds.
    pub charged_s: i64,
}

/// All rows, oldest first.
///
/// # Errors
/// [`StoreError`] when a row cannot be read: budget whose record is unreadable must not be spent again.
pub fn rows(db: &Connection) -> Result<Vec<Row>, StoreError> {
    let failed = sqlite("reading the ledger");
    let mut statement =
        db.prepare("SELECT n, period, metric, version, epsilon, charged_at FROM ledger ORDER BY n").map_err(&failed)?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get::<_, String>(4)?, row.get(5)?))
        })
        .map_err(&failed)?;
    let mut found = Vec::new();
    for row in rows {
        let (n, period, metric, version, epsilon, charged_s) = row.map_err(&failed)?;
        let corrupt = |what: &str, text: &str| StoreError::Corrupt { what: format!("ledger row {n}: {what} `{text}`") };
        let period = period.parse().map_err(|_| corrupt("period", &period))?;
        let epsilon = epsilon.parse().map_err(|_| corrupt("epsilon", &epsilon))?;
        found.push(Row { n, entry: Entry { metric: MetricId(metric), version, period, epsilon }, charged_s });
    }
    Ok(found)
}

/// All that was ever spent.
///
/// # Errors
/// As [`rows`].
pub fn load(db: &Connection) -> Result<Ledger, StoreError> {
    Ok(Ledger::from_entries(rows(db)?.into_iter().map(|row| row.entry)))
}

/// Adds a row.
///
/// # Errors
/// [`StoreError`] when it cannot be written, also when this question was charged before.
pub fn add(db: &Connection, entry: &Entry, now_s: i64) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO ledger (period, metric, version, epsilon, charged_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (entry.period.to_string(), entry.metric.0, entry.version, entry.epsilon.to_string(), now_s),
    )
    .map(drop)
    .map_err(sqlite("adding to the ledger"))
}
