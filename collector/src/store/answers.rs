//! What the owner said: yes or no, and the five switches.

use std::collections::BTreeMap;

use hubbub_privacy::registry::Category;
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, sqlite};

/// The owner's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consent {
    /// Never asked, or never answered.
    #[default]
    Unset,
    /// Collect what the switches allow.
    Yes,
    /// Collect nothing.
    No,
}

impl Consent {
    /// Its name on D-Bus and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// The five switches; off by default.
pub type Switches = BTreeMap<Category, bool>;

/// All off.
pub fn all_off() -> Switches {
    Category::ALL.into_iter().map(|category| (category, false)).collect()
}

/// The recorded answer.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn consent(db: &Connection) -> Result<Consent, StoreError> {
    let answer: Option<String> = db
        .query_row("SELECT answer FROM consent", [], |row| row.get(0))
        .optional()
        .map_err(sqlite("reading the answer to the question of consent"))?;
    Ok(match answer.as_deref() {
        Some("yes") => Consent::Yes,
        Some(_) => Consent::No,
        None => Consent::Unset,
    })
}

/// Records an answer.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn set_consent(db: &Connection, consent: Consent, now_s: i64) -> Result<(), StoreError> {
    db.execute("INSERT OR REPLACE INTO consent VALUES (1, ?1, ?2)", (consent.name(), now_s))
        .map(drop)
        .map_err(sqlite("recording the answer to the question of consent"))
}

/// The recorded switches.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn switches(db: &Connection) -> Result<Switches, StoreError> {
    let failed = sqlite("reading the switches");
    let mut switches = all_off();
    let mut statement = db.prepare("SELECT name, enabled FROM category").map_err(&failed)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).map_err(&failed)?;
    for row in rows {
        let (name, enabled) = row.map_err(&failed)?;
        if let Some(category) = Category::from_name(&name) {
            switches.insert(category, enabled);
        }
    }
    Ok(switches)
}

/// Records a switch.
///
/// # Errors
/// [`StoreError`] when it cannot be written.
pub fn set_switch(db: &Connection, category: Category, enabled: bool) -> Result<(), StoreError> {
    db.execute("INSERT OR REPLACE INTO category VALUES (?1, ?2)", (category.name(), enabled))
        .map(drop)
        .map_err(sqlite("recording a switch"))
}
