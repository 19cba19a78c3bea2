//! The single-use ids of counted reports, in memory: a report that is offered again is recognised without a disk.

use std::collections::{BTreeSet, HashMap, HashSet};

use hubbub_privacy::{Period, ReportId};

/// The committed ids of every period whose grace is not over. The hash is keyed: ids are chosen by peers.
#[derive(Debug, Default)]
pub struct Ids(HashMap<Period, HashSet<[u8; 16]>>);

impl Ids {
    /// Whether the report of this id is committed.
    pub fn contains(&self, period: Period, id: &ReportId) -> bool {
        self.0.get(&period).is_some_and(|ids| ids.contains(&id.0))
    }

    /// Remembers committed ids.
    pub fn extend(&mut self, period: Period, ids: impl IntoIterator<Item = [u8; 16]>) {
        self.0.entry(period).or_default().extend(ids);
    }

    /// Forgets a period.
    pub fn forget(&mut self, period: Period) {
        self.0.remove(&period);
    }

    /// The periods that hold ids.
    pub fn periods(&self) -> BTreeSet<Period> {
        self.0.keys().copied().collect()
    }

    /// How many ids there are in all.
    pub fn len(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }
}
