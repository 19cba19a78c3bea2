//! The current week, and the questions drawn for it and for every week before.

use hubbub_privacy::{Metric, MetricId, Period};
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, sqlite};

/// What became of a drawn question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be answered when its week closes.
    Drawn,
    /// Its budget is spent; its report is being made.
    Charged,
    /// It gave its report.
    Answered,
    /// Its budget was spent, and a crash or a failing generator came before the report.
    Lost,
    /// A cap of the ledger refused.
    Refused,
    /// Its category was off when the week closed.
    SwitchedOff,
    /// Its metric had ended, changed or left the registry when the week closed.
    Ended,
    /// The week closed so late that no server would take the report.
    TooLate,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Drawn,
        Self::Charged,
        Self::Answered,
        Self::Lost,
        Self::Refused,
        Self::SwitchedOff,
        Self::Ended,
        Self::TooLate,
    ];

    /// Its name in the database and on D-Bus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Charged => "charged",
            Self::Answered => "answered",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::SwitchedOff => "switched_off",
            Self::Ended => "ended",
            Self::TooLate => "too_late",
        }
    }
}

/// A drawn question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The metric.
    pub metric: MetricId,
    /// The version of its definition when it was drawn.
    pub version: u32,
    /// What became of it.
    pub state: State,
}

/// The week that the tally is about.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn current(db: &Connection) -> Result<Option<Period>, StoreError> {
    let text: Option<String> = db
        .query_row("SELECT period FROM week", [], |row| row.get(0))
        .optional()
        .map_err(sqlite("reading the current week"))?;
    text.map(|text| text.parse().map_err(|_| StoreError::Corrupt { what: format!("week `{text}`") })).transpose()
}

/// Makes `period` the week of the tally, or ends collecting.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn set_current(db: &Connection, period: Option<Period>) -> Result<(), StoreError> {
    let failed = sqlite("recording the current week");
    match period {
        Some(period) => db.execute("INSERT OR REPLACE INTO week VALUES (1, ?1)", [period.to_string()]),
        None => db.execute("DELETE FROM week", []),
    }
    .map(drop)
    .map_err(failed)
}

/// Whether the questions of a week were drawn, ever.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn is_drawn(db: &Connection, period: Period) -> Result<bool, StoreError> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM draw WHERE period = ?1)", [period.to_string()], |row| row.get(0))
        .map_err(sqlite("reading the draw"))
}

/// Records the questions of a week.
///
/// # Errors
/// [`StoreError`] when they cannot be written, also when the week was drawn before.
pub fn record_draw(db: &Connection, period: Period, asked: &[&Metric], now_s: i64) -> Result<(), StoreError> {
    let failed = sqlite("recording the draw");
    db.execute("INSERT INTO draw VALUES (?1, ?2)", (period.to_string(), now_s)).map_err(&failed)?;
    for metric in asked {
        db.execute(
            "INSERT INTO question VALUES (?1, ?2, ?3, ?4)",
            (period.to_string(), metric.id.0, metric.version, State::Drawn.name()),
        )
        .map_err(&failed)?;
    }
    Ok(())
}

/// The questions of a week, by ascending id.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn questions(db: &Connection, period: Period) -> Result<Vec<Question>, StoreError> {
    let failed = sqlite("reading the questions");
    let mut statement =
        db.prepare("SELECT metric, version, state FROM question WHERE period = ?1 ORDER BY metric").map_err(&failed)?;
    let rows = statement
        .query_map([period.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
        .map_err(&failed)?;
    let mut questions = Vec::new();
    for row in rows {
        let (metric, version, state) = row.map_err(&failed)?;
        let known = State::ALL.into_iter().find(|known| known.name() == state);
        let state = known.ok_or_else(|| StoreError::Corrupt { what: format!("question state `{state}`") })?;
        questions.push(Question { metric: MetricId(metric), version, state });
    }
    Ok(questions)
}

/// Records what became of a question.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn set_state(db: &Connection, period: Period, metric: MetricId, state: State) -> Result<(), StoreError> {
    db.execute(
        "UPDATE question SET state = ?3 WHERE period = ?1 AND metric = ?2",
        (period.to_string(), metric.0, state.name()),
    )
    .map(drop)
    .map_err(sqlite("recording what became of a question"))
}

/// Records that the server wants no more reports of a metric's version.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn stop(db: &Connection, metric: MetricId, version: u32) -> Result<(), StoreError> {
    db.execute("INSERT OR IGNORE INTO stopped VALUES (?1, ?2)", (metric.0, version))
        .map(drop)
        .map_err(sqlite("recording that a metric has stopped"))
}

/// The versions of metrics that the server wants no more of.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn stopped(db: &Connection) -> Result<std::collections::BTreeSet<(MetricId, u32)>, StoreError> {
    let failed = sqlite("reading which metrics have stopped");
    let mut statement = db.prepare("SELECT metric, version FROM stopped").map_err(&failed)?;
    let rows = statement.query_map([], |row| Ok((MetricId(row.get(0)?), row.get(1)?))).map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}
