//! What a check found and how much it tried; kept between runs, so that a long one can be resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::skipped;

/// Examples of findings that are kept: the first ones tell, the rest repeat them.
const MAX_EXAMPLES: usize = 20;

/// Characters of a finding: a process that panics may say pages.
const MAX_DETAIL: usize = 400;

/// What a server did that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    /// A report was answered 200 and is not in the counters.
    Lost,
    /// A report is in the counters more than once.
    Doubled,
    /// The counters hold what nobody sent.
    Invented,
    /// The store of a server that had ended does not open, or the server does not start on it.
    Unopenable,
    /// A report that was answered 200 is answered 202 when it is offered again: its id is gone.
    Forgotten,
    /// 200 after the disk had failed to make the counters durable.
    AcknowledgedEarly,
    /// An honest report was answered with a reason to drop it.
    Refused,
    /// The parts of a counters file contradict each other or what was accepted.
    Unaccounted,
    /// A damaged store was neither refused with a message nor counted correctly.
    DamageUnnoticed,
    /// Two states of a series were written that differ in fewer reports than a group has.
    Revealed,
    /// What was written of ids says more than that they were counted together.
    Linked,
    /// Something of a request was written that must be kept nowhere.
    Kept,
    /// The server did not do in time what it must.
    Stuck,
    /// The server ended in another way than it promises.
    WrongEnd,
    /// Something unforeseen: the check could not go on.
    Broken,
}

impl Breach {
    /// Its name, for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Invented => "invented",
            Self::Unopenable => "unopenable",
            Self::Forgotten => "forgotten",
            Self::AcknowledgedEarly => "acknowledged early",
            Self::Refused => "refused",
            Self::Unaccounted => "unaccounted",
            Self::DamageUnnoticed => "damage unnoticed",
            Self::Revealed => "revealed",
            Self::Linked => "linked",
            Self::Kept => "kept",
            Self::Stuck => "stuck",
            Self::WrongEnd => "wrong end",
            Self::Broken => "broken",
        }
    }
}

/// One breach, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was broken.
    pub breach: Breach,
    /// Where, and by how much.
    pub detail: String,
}

impl Finding {
    /// A finding.
    pub fn new(breach: Breach, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let end = detail.char_indices().nth(MAX_DETAIL).map_or(detail.len(), |(end, _)| end);
        Self { breach, detail: detail[..end].replace('\n', " ") }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.breach.name(), self.detail)
    }
}

/// Everything that a check has tried and found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// The seed of all rounds: a run is only resumed with the same one.
    pub seed: u64,
    /// Rounds that were ended.
    pub rounds: u64,
    /// How often each thing was done.
    pub done: BTreeMap<String, u64>,
    /// How often each breach was found.
    pub breaches: BTreeMap<Breach, u64>,
    /// The first findings in words.
    pub examples: Vec<String>,
    /// What this machine does not permit.
    pub skipped: BTreeSet<String>,
}

impl Figures {
    /// Counts something that was done.
    pub fn add(&mut self, what: &str, times: u64) {
        *self.done.entry(what.to_owned()).or_default() += times;
    }

    /// How often something was done.
    pub fn times(&self, what: &str) -> u64 {
        self.done.get(what).copied().unwrap_or(0)
    }

    /// Keeps findings of a round.
    pub fn report(&mut self, round: u64, findings: &[Finding]) {
        for finding in findings {
            *self.breaches.entry(finding.breach).or_default() += 1;
            if self.examples.len() < MAX_EXAMPLES {
                self.examples.push(format!("round {round}: {finding}"));
            }
        }
    }

    /// Notes, once, that this machine does not permit something, and says so.
    pub fn skip(&mut self, what: &str, why: &str) {
        if self.skipped.insert(format!("SKIPPED: {what}: {why}")) {
            skipped::note(what, why);
        }
    }

    /// How often a breach was found.
    pub fn count(&self, breach: Breach) -> u64 {
        self.breaches.get(&breach).copied().unwrap_or(0)
    }

    /// Whether nothing was found.
    pub fn held(&self) -> bool {
        self.breaches.is_empty()
    }

    /// Reads what an earlier run has left; nothing when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of this kind.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        }
    }

    /// Writes the figures by way of a temporary name: an interrupted run leaves the round before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&temporary, path)
    }
}

impl fmt::Display for Figures {
    /// One line of what was done, one per kind of breach, and the examples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds", self.rounds)?;
        for (what, times) in &self.done {
            write!(f, ", {times} {what}")?;
        }
        let count = |breach| self.count(breach);
        let named = [Breach::Lost, Breach::Doubled, Breach::Unopenable];
        write!(f, "; {} lost, {} doubled, {} unopenable", count(named[0]), count(named[1]), count(named[2]))?;
        for (breach, times) in self.breaches.iter().filter(|(breach, _)| !named.contains(breach)) {
            write!(f, ", {times} {}", breach.name())?;
        }
        for example in &self.examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}
