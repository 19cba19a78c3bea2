//! The single-use ids of counted reports, in memory: a report that is offered again is recognised without a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use hubbub_privacy::{Period, ReportId};

/// Tables of a period. One of them grows at a time, so that growing needs little more memory than having grown.
const SHARDS: usize = 256;

type Id = [u8; 16];

/// The committed ids of every period whose grace is not over: 20 to 39 bytes each.
#[derive(Debug, Default)]
pub struct Ids {
    periods: BTreeMap<Period, Vec<HashTable<Id>>>,
    /// Keyed, because ids are chosen by peers.
    hash: RandomState,
}

impl Ids {
    /// Whether the report of this id is committed.
    pub fn contains(&self, period: Period, id: &ReportId) -> bool {
        let hash = self.hash.hash_one(id.0);
        self.periods.get(&period).is_some_and(|shards| shards[shard(hash)].find(hash, |known| *known == id.0).is_some())
    }

    /// Makes room for as many ids of a period as are known to follow.
    pub fn expect(&mut self, period: Period, ids: usize) {
        let Self { periods, hash } = self;
        for table in shards(periods, period) {
            table.reserve(ids / SHARDS + ids / SHARDS / 16, |known| hash.hash_one(known));
        }
    }

    /// Remembers committed ids; says how many of them were new.
    pub fn extend(&mut self, period: Period, ids: impl IntoIterator<Item = Id>) -> usize {
        let Self { periods, hash } = self;
        let shards = shards(periods, period);
        let mut new = 0;
        for id in ids {
            let hashed = hash.hash_one(id);
            let entry = shards[shard(hashed)].entry(hashed, |known| *known == id, |known| hash.hash_one(known));
            if let hashbrown::hash_table::Entry::Vacant(vacant) = entry {
                vacant.insert(id);
                new += 1;
            }
        }
        new
    }

    /// Forgets a period.
    pub fn forget(&mut self, period: Period) {
        self.periods.remove(&period);
    }

    /// The periods that hold ids.
    pub fn periods(&self) -> BTreeSet<Period> {
        self.periods.keys().copied().collect()
    }

    /// How many ids a period has.
    pub fn len_of(&self, period: Period) -> usize {
        self.periods.get(&period).map_or(0, |shards| shards.iter().map(HashTable::len).sum())
    }

    /// How many ids there are in all.
    pub fn len(&self) -> usize {
        self.periods.keys().map(|&period| self.len_of(period)).sum()
    }
}

fn shards(periods: &mut BTreeMap<Period, Vec<HashTable<Id>>>, period: Period) -> &mut Vec<HashTable<Id>> {
    periods.entry(period).or_insert_with(|| vec![HashTable::new(); SHARDS])
}

/// Bits that the tables themselves do not use: they take the lowest for places and the highest for tags.
fn shard(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_in_their_period_only_and_counted_once() {
        let (mut ids, week, next) = (Ids::default(), Period::containing(0), Period::containing(7 * 86_400));
        let numbered = |number: u64| {
            let mut id = [0xA5; 16];
            id[..8].copy_from_slice(&number.to_le_bytes());
            id
        };
        ids.expect(week, 10_000);
        assert_eq!(ids.extend(week, (0..10_000).map(numbered)), 10_000);
        assert_eq!(ids.extend(week, (5_000..15_000).map(numbered)), 5_000);
        assert_eq!(ids.extend(next, (0..3).map(numbered)), 3);
        assert!((0..15_000).all(|number| ids.contains(week, &ReportId(numbered(number)))));
        assert!((15_000..30_000).all(|number| !ids.contains(week, &ReportId(numbered(number)))));
        assert!(!ids.contains(next, &ReportId(numbered(3))));
        assert_eq!((ids.len_of(week), ids.len()), (15_000, 15_003));
        ids.forget(week);
        assert!(!ids.contains(week, &ReportId(numbered(0))));
        assert_eq!(ids.periods(), BTreeSet::from([next]));
    }
}
