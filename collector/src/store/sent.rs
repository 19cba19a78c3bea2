//! The log of every report ever made: truth, noise and bytes, for the owner's eyes.

use std::collections::BTreeSet;

use hubbub_privacy::{Domain, Epsilon, MetricId, Period, Private, Value};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, sqlite};
use crate::event;
use crate::outbox::{FileName, Key, Outcome};

/// Where a report stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In the outbox.
    Pending,
    /// In the server's counters.
    Counted,
    /// The server will never take it.
    Rejected,
    /// The server wants no more reports of this metric.
    Stopped,
    /// It stayed in the outbox until no server would take it.
    Expired,
    /// Its owner switched off before the server had counted it.
    Deleted,
}

impl State {
    const ALL: [Self; 6] = [Self::Pending, Self::Counted, Self::Rejected, Self::Stopped, Self::Expired, Self::Deleted];

    /// Its name in the database and on D-Bus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Counted => "counted",
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        }
    }
}

/// A report that was made.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number, from 1; 0 until it is in the log.
    pub n: u32,
    /// Its file's name in the outbox, as it was placed.
    pub file: FileName,
    /// The metric.
    pub metric: MetricId,
    /// The version of its definition.
    pub version: u32,
    /// Its full name, should the registry forget it.
    pub name: String,
    /// The week it is about.
    pub period: Period,
    /// What it cost.
    pub epsilon: Epsilon,
    /// The truth, as the tally writes it; gone once its owner has switched off.
    pub value: Option<Private<String>>,
    /// The users whose events it came from; none when the machine said it, or nobody did.
    pub uids: BTreeSet<u32>,
    /// Exactly what is sent; gone when it was deleted unsent.
    pub bytes: Option<String>,
    /// When it was made, in Unix seconds.
    pub made_s: i64,
    /// Where it stands.
    pub state: State,
    /// The server's code at the latest attempt.
    pub code: String,
    /// How often it was offered.
    pub attempts: u32,
}

/// A value as the log writes it.
pub fn truth(domain: &Domain, value: &Private<Value>) -> Private<String> {
    Private::new(event::text_of(domain, value.expose()))
}

const COLUMNS: &str =
    "n, key, metric, version, name, period, epsilon, value, uids, bytes, made_at, due_at, state, code, attempts";

/// Adds a report that is not yet in the outbox.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn add(db: &Connection, sent: &Sent) -> Result<(), StoreError> {
    let uids: Vec<String> = sent.uids.iter().map(u32::to_string).collect();
    db.execute(
        "INSERT INTO sent (key, metric, version, name, period, epsilon, value, uids, bytes, made_at, due_at, placed, state,
                           code, attempts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, ?13, ?14)",
        rusqlite::params![
            sent.file.key.to_string(),
            sent.metric.0,
            sent.version,
            sent.name,
            sent.period.to_string(),
            sent.epsilon.to_string(),
            sent.value.as_ref().map(Private::expose),
            uids.join(","),
            sent.bytes,
            sent.made_s,
            sent.file.due_s,
            sent.state.name(),
            sent.code,
            sent.attempts,
        ],
    )
    .map(drop)
    .map_err(sqlite("adding to the log of reports"))
}

/// Records that a report's file is in the outbox.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn mark_placed(db: &Connection, key: &Key) -> Result<(), StoreError> {
    db.execute("UPDATE sent SET placed = 1 WHERE key = ?1", [key.to_string()])
        .map(drop)
        .map_err(sqlite("recording that a report is in the outbox"))
}

/// Pending reports whose file may not be in the outbox.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn unplaced(db: &Connection) -> Result<Vec<Sent>, StoreError> {
    select(db, "WHERE placed = 0 AND state = 'pending' ORDER BY n", [])
}

/// The reports after number `since`, oldest first.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn after(db: &Connection, since: u32) -> Result<Vec<Sent>, StoreError> {
    select(db, "WHERE n > ?1 ORDER BY n", [since])
}

/// The newest report of a metric that waits in the outbox.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn waiting(db: &Connection, metric: MetricId) -> Result<Option<Sent>, StoreError> {
    let mut found = select(db, "WHERE metric = ?1 AND state = 'pending' ORDER BY n DESC LIMIT 1", [metric.0])?;
    Ok(found.pop())
}

/// Forgets the truth behind all reports of some metrics, and deletes those that the server has not counted. Gives the
/// keys of the files to withdraw. Bytes that were offered at least once stay: they are known outside.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn forget(db: &Connection, metrics: &BTreeSet<MetricId>) -> Result<BTreeSet<Key>, StoreError> {
    let failed = sqlite("deleting from the log of reports");
    let mut withdrawn = BTreeSet::new();
    for sent in after(db, 0)?.into_iter().filter(|sent| metrics.contains(&sent.metric)) {
        db.execute("UPDATE sent SET value = NULL, uids = '' WHERE n = ?1", [sent.n]).map_err(&failed)?;
        if sent.state == State::Pending {
            db.execute("UPDATE sent SET state = 'deleted' WHERE n = ?1", [sent.n]).map_err(&failed)?;
            db.execute("UPDATE sent SET bytes = NULL WHERE n = ?1 AND attempts = 0", [sent.n]).map_err(&failed)?;
            withdrawn.insert(sent.file.key);
        }
    }
    Ok(withdrawn)
}

/// The keys of the reports that their owner's no has deleted.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn deleted(db: &Connection) -> Result<BTreeSet<Key>, StoreError> {
    let deleted = select(db, "WHERE state = 'deleted'", [])?;
    Ok(deleted.into_iter().map(|sent| sent.file.key).collect())
}

/// All metrics that ever gave a report.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn metrics(db: &Connection) -> Result<BTreeSet<MetricId>, StoreError> {
    Ok(after(db, 0)?.into_iter().map(|sent| sent.metric).collect())
}

/// Records an attempt of the uploader; gives the report it was about, unless there is none of that key.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn record_attempt(
    db: &Connection,
    key: &Key,
    outcome: Outcome,
    code: &str,
) -> Result<Option<(MetricId, u32)>, StoreError> {
    let failed = sqlite("recording an upload");
    let state = match outcome {
        Outcome::Counted => State::Counted,
        Outcome::Rejected => State::Rejected,
        Outcome::Stop => State::Stopped,
        Outcome::Expired => State::Expired,
        Outcome::Pending | Outcome::Later => State::Pending,
    };
    let metric = db
        .query_row("SELECT metric, version FROM sent WHERE key = ?1", [key.to_string()], |row| {
            Ok((MetricId(row.get(0)?), row.get(1)?))
        })
        .optional()
        .map_err(&failed)?;
    // A deleted report stays deleted, unless the server counted it just before.
    db.execute(
        "UPDATE sent SET attempts = attempts + 1, code = ?3,
                         state = CASE WHEN state = 'deleted' AND ?2 = 'pending' THEN state ELSE ?2 END
         WHERE key = ?1",
        (key.to_string(), state.name(), code),
    )
    .map_err(&failed)?;
    Ok(metric)
}

fn select<P: rusqlite::Params>(db: &Connection, clause: &str, params: P) -> Result<Vec<Sent>, StoreError> {
    let failed = sqlite("reading the log of reports");
    let mut statement = db.prepare(&format!("SELECT {COLUMNS} FROM sent {clause}")).map_err(&failed)?;
    let mut rows = statement.query(params).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Sent, StoreError> {
    let failed = sqlite("reading the log of reports");
    let n: u32 = row.get("n").map_err(&failed)?;
    let text = |column: &str| row.get::<_, String>(column).map_err(&failed);
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("report {n} in the log: {what}") };
    let state = text("state")?;
    let uids: Result<BTreeSet<u32>, _> =
        text("uids")?.split(',').filter(|uid| !uid.is_empty()).map(str::parse).collect();
    let value: Option<String> = row.get("value").map_err(&failed)?;
    Ok(Sent {
        n,
        file: FileName {
            due_s: row.get("due_at").map_err(&failed)?,
            key: Key::parse(&text("key")?).ok_or_else(|| corrupt("its key"))?,
        },
        metric: MetricId(row.get("metric").map_err(&failed)?),
        version: row.get("version").map_err(&failed)?,
        name: text("name")?,
        period: text("period")?.parse().map_err(|_| corrupt("its period"))?,
        epsilon: text("epsilon")?.parse().map_err(|_| corrupt("its epsilon"))?,
        value: value.map(Private::new),
        uids: uids.map_err(|_| corrupt("its users"))?,
        bytes: row.get("bytes").map_err(&failed)?,
        made_s: row.get("made_at").map_err(&failed)?,
        state: State::ALL.into_iter().find(|known| known.name() == state).ok_or_else(|| corrupt("its state"))?,
        code: text("code")?,
        attempts: row.get("attempts").map_err(&failed)?,
    })
}
