//! Counter states that an observer of all writes recovers, and what their differences tell.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_privacy::{Payload, Period, Report};

use super::load::WATCHED;
use crate::place::week;

/// Counters of the watched metric.
pub const COUNTERS: usize = 256;
const LAST: u32 = COUNTERS as u32 - 1;
const BYTES: usize = COUNTERS * size_of::<u64>();

/// The first and the last counter of a watched series were raised by so many reports before anything else, so that its
/// counters are recognised wherever they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchors {
    /// Of the first counter.
    pub first: u64,
    /// Of the last counter.
    pub last: u64,
}

/// All states of one series that were written anywhere.
#[derive(Debug)]
pub struct States {
    period: Period,
    anchors: Anchors,
    /// No other counter of the series is larger.
    most: u64,
    found: BTreeSet<Vec<u64>>,
}

/// What the states tell together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Different states.
    pub states: usize,
    /// The fewest reports between two of them.
    pub closest: Option<u64>,
    /// Reports that are named by two states that differ in them alone.
    pub rebuilt: usize,
}

impl States {
    /// No states yet of the watched metric in a period.
    pub fn of(period: &str, anchors: Anchors, most: u64) -> Self {
        Self { period: week(period), anchors, most, found: BTreeSet::new() }
    }

    /// Whether a report adds to these counters, and is no anchor.
    pub fn counts(&self, report: &Report) -> bool {
        let is_anchor = matches!(report.payload, Payload::Number(0 | LAST));
        report.metric == WATCHED && report.period == self.period && !is_anchor
    }

    /// Takes every window of `bytes` that can be the counters, at any alignment.
    pub fn look(&mut self, bytes: &[u8]) {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        for at in 0..(bytes.len() + 1).saturating_sub(BYTES) {
            if word(at) == self.anchors.first && word(at + BYTES - 8) == self.anchors.last {
                self.take((0..COUNTERS).map(|index| word(at + 8 * index)).collect());
            }
        }
    }

    /// Takes counters that are known to be of this series, when it had its anchors already.
    pub fn take(&mut self, counters: Vec<u64>) {
        let between = counters.get(1..COUNTERS - 1).unwrap_or_default();
        let anchored = counters.first() == Some(&self.anchors.first) && counters.last() == Some(&self.anchors.last);
        if anchored && between.iter().all(|&count| count <= self.most) {
            self.found.insert(counters);
        }
    }

    /// Puts the states in order and compares neighbours: counters only grow.
    pub fn told(&self) -> Told {
        let mut ordered: BTreeMap<u64, Vec<&Vec<u64>>> = BTreeMap::new();
        for state in &self.found {
            ordered.entry(state.iter().sum()).or_default().push(state);
        }
        let ordered: Vec<&Vec<u64>> = ordered.into_values().flatten().collect();
        let distances = ordered.windows(2).map(|pair| distance(pair[0], pair[1]));
        let (closest, rebuilt) = distances.fold((None, 0), |(closest, rebuilt), distance| {
            (Some(closest.map_or(distance, |closest: u64| closest.min(distance))), rebuilt + usize::from(distance == 1))
        });
        Told { states: ordered.len(), closest, rebuilt }
    }
}

fn distance(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_found_at_any_place_and_their_distance_is_in_reports() {
        let mut states = States::of("2026-W47", Anchors { first: 300, last: 320 }, 5);
        let mut counters = vec![0u64; COUNTERS];
        (counters[0], counters[COUNTERS - 1]) = (300, 320);
        for (index, shift) in [(7, 0), (9, 3), (7, 5)] {
            counters[index] += 1;
            let mut bytes = vec![0xFF; shift];
            bytes.extend(counters.iter().flat_map(|count| count.to_le_bytes()));
            bytes.push(1);
            states.look(&bytes);
        }
        assert_eq!(states.told(), Told { states: 3, closest: Some(1), rebuilt: 2 });
        counters[100] += 4;
        states.take(counters.clone());
        assert_eq!(states.told(), Told { states: 4, closest: Some(1), rebuilt: 2 });
        counters[0] += 1;
        states.take(counters);
        assert_eq!(states.told().states, 4, "without its anchors it is not of this series");
    }
}
