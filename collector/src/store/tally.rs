//! The tally: what the current week's events and readings come to. Besides the log of sent reports and the owner's own
//! view, this is the only place where a [`Private`] value is opened.
//!
//! Only what the aggregate needs is kept: the last value, the running sum, how often each value was seen. A metric's rows
//! per user are at most as many as its domain has values.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_privacy::registry::Aggregate;
use hubbub_privacy::{Domain, Metric, MetricId, Private, Value};
use hubbub_randomizer::uniform;
use rand::TryCryptoRng;
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, sqlite};
use crate::event::{self, Entry, Offer, Origin, WrongType};
use crate::probes::{Reading, Total};

/// The machine's own uid in the database; no user has it.
const MACHINE: i64 = -1;

/// One value that one user, or the machine, has in the tally.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose it is.
    pub origin: Origin,
    /// As the tally writes it.
    pub value: Private<String>,
    /// How often it was seen.
    pub times: u64,
    /// The order in which values were last seen.
    pub seq: i64,
}

fn uid_of(origin: Origin) -> i64 {
    match origin {
        Origin::Machine => MACHINE,
        Origin::User(uid) => i64::from(uid),
    }
}

fn origin_of(uid: i64) -> Origin {
    u32::try_from(uid).map_or(Origin::Machine, Origin::User)
}

/// Maps what an application offers into the metric's domain.
///
/// # Errors
/// [`WrongType`] when the offer is of another kind.
pub fn admit(domain: &Domain, aggregate: Aggregate, offer: &Private<Offer>) -> Result<Private<Entry>, WrongType> {
    event::admit(domain, aggregate, offer.expose()).map(Private::new)
}

/// Adds an event to the tally of one metric.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn add(
    db: &Connection,
    (metric, domain, aggregate): (MetricId, &Domain, Aggregate),
    origin: Origin,
    entry: &Private<Entry>,
) -> Result<(), StoreError> {
    let mine = (metric.0, uid_of(origin));
    let seq = next_seq(db)?;
    let replace = |value: &str| {
        forget_of(db, metric, origin)?;
        see(db, mine, value, seq)
    };
    match (aggregate, entry.expose()) {
        (Aggregate::MostCommon | Aggregate::SampleOne, Entry::Text(value)) => see(db, mine, value, seq),
        (Aggregate::MostCommon | Aggregate::SampleOne, Entry::Number(number)) => {
            see(db, mine, &number.to_string(), seq)
        }
        (_, Entry::Items(items)) => items.iter().try_for_each(|item| see(db, mine, item, seq)),
        (Aggregate::Any, Entry::Text(value)) => {
            let before = only_value(db, mine)?;
            replace(if before.as_deref() == Some("true") { "true" } else { value })
        }
        (_, Entry::Text(value)) => replace(value),
        (_, Entry::Number(number)) => {
            let before = only_value(db, mine)?.and_then(|text| text.parse::<i64>().ok());
            let after = match (aggregate, before) {
                (_, None) => *number,
                (Aggregate::Max, Some(before)) => before.max(*number),
                (Aggregate::Sum | Aggregate::Count, Some(before)) => before.saturating_add(*number),
                (_, Some(_)) => *number,
            };
            // Above its largest value a count is not told apart, so no more than that is kept.
            let kept = if let Domain::Count { max } = domain { after.min(i64::from(*max)) } else { after };
            replace(&kept.to_string())
        }
    }
}

fn next_seq(db: &Connection) -> Result<i64, StoreError> {
    db.prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM tally")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(sqlite("reading the tally"))
}

fn see(db: &Connection, (metric, uid): (u32, i64), value: &str, seq: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT DO UPDATE SET times = times + 1, seq = excluded.seq",
    )
    .and_then(|mut statement| statement.execute((metric, uid, value, seq)))
    .map(drop)
    .map_err(sqlite("writing the tally"))
}

fn only_value(db: &Connection, (metric, uid): (u32, i64)) -> Result<Option<String>, StoreError> {
    db.prepare_cached("SELECT value FROM tally WHERE metric = ?1 AND uid = ?2")
        .and_then(|mut statement| statement.query_row((metric, uid), |row| row.get(0)).optional())
        .map_err(sqlite("reading the tally"))
}

fn forget_of(db: &Connection, metric: MetricId, origin: Origin) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM tally WHERE metric = ?1 AND uid = ?2")
        .and_then(|mut statement| statement.execute((metric.0, uid_of(origin))))
        .map(drop)
        .map_err(sqlite("writing the tally"))
}

/// What the tally holds of a metric, in the order in which it was last seen.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn rows(db: &Connection, metric: MetricId) -> Result<Vec<Row>, StoreError> {
    let failed = sqlite("reading the tally");
    let mut statement = db
        .prepare_cached("SELECT uid, value, times, seq FROM tally WHERE metric = ?1 ORDER BY seq, value")
        .map_err(&failed)?;
    let rows = statement
        .query_map([metric.0], |row| {
            Ok(Row {
                origin: origin_of(row.get(0)?),
                value: Private::new(row.get(1)?),
                times: row.get::<_, u32>(2)?.into(),
                seq: row.get(3)?,
            })
        })
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

/// Adds what a probe read to the tally of its metric. A registry that asks a probe for another kind than it gives gets
/// nothing from it.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn add_reading(
    db: &Connection,
    metric: &Metric,
    aggregate: Aggregate,
    reading: &Private<Reading>,
) -> Result<(), StoreError> {
    let growth = match reading.expose() {
        Reading::Total(total) => growth(db, metric.id, total)?,
        Reading::Label(_) | Reading::Number(_) => 0,
    };
    let Some(entry) = entry_of(&metric.domain, aggregate, reading, growth) else { return Ok(()) };
    add(db, (metric.id, &metric.domain, aggregate), Origin::Machine, &entry)
}

/// A single reading as rows that are in no tally: for the rehearsal before consent.
pub fn unstored(domain: &Domain, aggregate: Aggregate, reading: &Private<Reading>) -> Vec<Row> {
    let row = |value: String| Row { origin: Origin::Machine, value: Private::new(value), times: 1, seq: 1 };
    let Some(entry) = entry_of(domain, aggregate, reading, 0) else { return Vec::new() };
    match entry.expose() {
        Entry::Text(value) => vec![row(value.clone())],
        Entry::Number(number) => vec![row(number.to_string())],
        Entry::Items(items) => items.iter().cloned().map(row).collect(),
    }
}

fn entry_of(domain: &Domain, aggregate: Aggregate, reading: &Private<Reading>, growth: u64) -> Option<Private<Entry>> {
    let offer = match reading.expose() {
        Reading::Label(label) => Offer::Label(label.clone()),
        Reading::Number(number) => Offer::Number(*number),
        Reading::Total(_) => Offer::Number(i64::try_from(growth).unwrap_or(i64::MAX)),
    };
    event::admit(domain, aggregate, &offer).ok().map(Private::new)
}

/// The one value of a week; absent when there is nothing.
///
/// # Errors
/// The generator's, which draws for `sample_one`.
pub fn combine<R: TryCryptoRng + ?Sized>(
    domain: &Domain,
    aggregate: Aggregate,
    rows: &[Row],
    rng: &mut R,
) -> Result<Private<Value>, R::Error> {
    let total: u64 = rows.iter().map(|row| row.times).sum();
    // Drawn for every metric of that kind, whether there are rows or not.
    let pick = if aggregate == Aggregate::SampleOne { uniform::below(total.max(1), rng)? } else { 0 };
    let texts = || rows.iter().map(|row| row.value.expose().as_str());
    let numbers = || texts().filter_map(|text| text.parse::<i64>().ok());
    let combined = match aggregate {
        Aggregate::Last => rows.iter().max_by_key(|row| row.seq).map(|row| row.value.expose().clone()),
        Aggregate::MostCommon => most_common(rows),
        Aggregate::SampleOne => sample(rows, pick),
        Aggregate::Max => numbers().max().map(|number| number.to_string()),
        Aggregate::Sum | Aggregate::Count => numbers().reduce(i64::saturating_add).map(|number| number.to_string()),
        Aggregate::Any => texts().max().map(str::to_owned),
        Aggregate::Union => {
            let items: BTreeSet<&str> = texts().collect();
            serde_json::to_string(&items).ok()
        }
    };
    let value = combined.and_then(|text| domain.parse(&text).ok());
    let absent = || domain.absent().expect("approved metrics name their absent value");
    Ok(Private::new(value.unwrap_or_else(absent)))
}

/// The value seen most often; of several, the one seen last.
fn most_common(rows: &[Row]) -> Option<String> {
    let mut seen: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    for row in rows {
        let (times, seq) = seen.entry(row.value.expose()).or_default();
        *times += row.times;
        *seq = row.seq.max(*seq);
    }
    seen.into_iter().max_by_key(|(_, rank)| *rank).map(|(value, _)| value.to_owned())
}

/// The `pick`-th event, counted over all rows.
fn sample(rows: &[Row], mut pick: u64) -> Option<String> {
    for row in rows {
        if pick < row.times {
            return Some(row.value.expose().clone());
        }
        pick -= row.times;
    }
    None
}

/// Deletes what the tally holds of some metrics.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn forget(db: &Connection, metrics: impl IntoIterator<Item = MetricId>) -> Result<(), StoreError> {
    let failed = sqlite("deleting from the tally");
    for metric in metrics {
        db.execute("DELETE FROM tally WHERE metric = ?1", [metric.0]).map_err(&failed)?;
        db.execute("DELETE FROM counter WHERE metric = ?1", [metric.0]).map_err(&failed)?;
    }
    Ok(())
}

/// Empties the tally. Where counters stood stays, so that the next week counts on from there.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn forget_week(db: &Connection) -> Result<(), StoreError> {
    db.execute("DELETE FROM tally", []).map(drop).map_err(sqlite("emptying the tally"))
}

/// Empties the tally and forgets where counters stood.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn forget_all(db: &Connection) -> Result<(), StoreError> {
    forget_week(db)?;
    db.execute("DELETE FROM counter", []).map(drop).map_err(sqlite("forgetting where counters stood"))
}

/// What a kernel counter has grown by since it was last read; remembers where it stands now.
fn growth(db: &Connection, metric: MetricId, now: &Total) -> Result<u64, StoreError> {
    let before = db
        .query_row("SELECT boot, total FROM counter WHERE metric = ?1", [metric.0], |row| {
            Ok(Total { boot: row.get(0)?, count: row.get::<_, i64>(1)?.cast_unsigned() })
        })
        .optional()
        .map_err(sqlite("reading where a counter stood"))?;
    db.execute("INSERT OR REPLACE INTO counter VALUES (?1, ?2, ?3)", (metric.0, &now.boot, now.count.cast_signed()))
        .map_err(sqlite("recording where a counter stands"))?;
    Ok(now.since(before.as_ref()))
}
