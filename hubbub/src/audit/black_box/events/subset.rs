//! Reports of k indices: booleans, categories, and sets.

use std::collections::BTreeMap;
use std::ops::Range;

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::{Mechanism, Subset};

use super::{Event, MAX_OUTPUTS, Purpose, Ranges, Reports, Watched, What};
use crate::audit::black_box::set_law::SetLaw;

/// Indices of which all pairs are counted.
const MAX_PAIRED: u32 = 64;
/// Truths' own indices among them; the others are spread over all indices.
const MAX_PAIRED_OWN: usize = 48;

/// The events of reports of k indices.
pub struct SubsetEvents {
    subset: Mechanism,
    k: usize,
    width: u32,
    law: SetLaw,
    inputs: Vec<Value>,
    /// Every truth with its dummies, ascending.
    truths: Vec<Vec<u32>>,
    /// For each index, which truths hold it, one bit each.
    held_by: Vec<u8>,
    /// C(n, i + 1) by n and i, where there are few outputs.
    binomials: Option<Vec<Vec<usize>>>,
    singles: Watched,
    pairs: Watched,
    ranges: Option<Ranges>,
}

impl SubsetEvents {
    pub fn new(subset: &Subset, inputs: &[Value]) -> Self {
        let (width, m) = (subset.width() as u32, subset.max_items());
        let padded = |value: &Value| match value {
            Value::Index(index) => vec![*index],
            Value::Items(items) => {
                let dummies = (subset.values() as u32..).take(m.saturating_sub(items.len()));
                items.iter().copied().chain(dummies).collect()
            }
        };
        let truths: Vec<Vec<u32>> = inputs.iter().map(padded).collect();
        let mut held_by = vec![0u8; width as usize];
        for (i, truth) in truths.iter().enumerate() {
            truth.iter().for_each(|&index| held_by[index as usize] |= 1 << i);
        }
        let binomials = binomials(width, subset.k());
        let own = || truths.iter().flatten().copied();
        // A report of one index is itself an output.
        let alone = subset.k() == 1 && binomials.is_some();
        let singles = if alone { 0 } else { MAX_OUTPUTS as u32 };
        let paired = if subset.k() == 1 { 0 } else { MAX_PAIRED };
        Self {
            subset: Mechanism::Subset(subset.clone()),
            k: subset.k(),
            width,
            law: SetLaw::of(subset),
            inputs: inputs.to_vec(),
            singles: Watched::new(width, singles, own()),
            pairs: Watched::new(width, paired, own().take(MAX_PAIRED_OWN)),
            ranges: (width as usize > MAX_OUTPUTS).then(|| Ranges::of(width)),
            truths,
            held_by,
            binomials,
        }
    }

    /// How many of `indices` (ascending) the truth of input `x` has.
    fn own(&self, x: usize, indices: &Range<u32>) -> u32 {
        let truth = &self.truths[x];
        truth.iter().filter(|index| indices.contains(index)).count() as u32
    }

    fn pair_count(&self) -> usize {
        self.pairs.list.len() * self.pairs.list.len().saturating_sub(1) / 2
    }

    fn all(&self) -> Range<usize> {
        0..self.truths.len()
    }
}

/// C(n, i) for n < D and 1 <= i <= k if there are at most [`MAX_OUTPUTS`] reports. Sums saturate far above them.
fn binomials(width: u32, k: usize) -> Option<Vec<Vec<usize>>> {
    let mut row = vec![0usize; k];
    let mut rows = Vec::new();
    for _ in 0..width {
        rows.push(row.clone());
        for i in (0..k).rev() {
            row[i] = row[i].saturating_add(if i == 0 { 1 } else { row[i - 1] });
        }
        if row[k - 1] > MAX_OUTPUTS {
            return None;
        }
    }
    Some(rows)
}

fn items(payload: &Payload) -> &[u32] {
    match payload {
        Payload::List(items) => items,
        Payload::Number(_) => unreachable!("only possible reports are counted"),
    }
}

impl Reports for SubsetEvents {
    fn pattern(&self, payload: &Payload) -> u8 {
        items(payload).iter().fold(0, |bits, &index| bits | self.held_by[index as usize])
    }

    fn supports(&self, i: usize, x: usize) -> f64 {
        let (block, truth) = (&self.truths[i], &self.truths[x]);
        let own = block.iter().filter(|index| truth.contains(index)).count() as u32;
        self.law.meets(truth.len() as u32, block.len() as u32, own)
    }

    fn agreement(&self, a: usize, b: usize) -> Option<f64> {
        let Mechanism::Subset(subset) = &self.subset else { return None };
        let (a, b) = (&self.truths[a], &self.truths[b]);
        let whole = |truth: &Vec<u32>| truth.len() == subset.max_items();
        let union = a.len() + b.iter().filter(|index| !a.contains(index)).count();
        (whole(a) && whole(b)).then(|| self.law.agreement(union as u32))
    }

    fn outputs(&self) -> Option<Vec<Payload>> {
        self.binomials.as_ref()?;
        let mut items: Vec<u32> = (0..self.k as u32).collect();
        let mut all = Vec::new();
        loop {
            all.push(Payload::List(items.clone()));
            // Raise the first index that has room, and let those before it start again: the order of the ranks.
            let room = |i: usize| items.get(i + 1).map_or(self.width, |next| *next) - items[i] > 1;
            let Some(raised) = (0..items.len()).find(|&i| room(i)) else { return Some(all) };
            items[raised] += 1;
            (0..).zip(&mut items[..raised]).for_each(|(least, item)| *item = least);
        }
    }

    fn rank(&self, payload: &Payload) -> usize {
        let binomials = self.binomials.as_ref().map_or(&[][..], Vec::as_slice);
        (0..).zip(items(payload)).map(|(i, &index): (usize, _)| binomials[index as usize][i]).sum()
    }

    fn chance(&self, x: usize, payload: &Payload) -> f64 {
        self.subset.probability(&self.inputs[x], payload).to_f64().value()
    }

    fn events(&self) -> Vec<Event> {
        let mut known = BTreeMap::new();
        let mut meets = |x: usize, indices: &Range<u32>| {
            let key = (self.truths[x].len() as u32, indices.end - indices.start, self.own(x, indices));
            *known.entry(key).or_insert_with(|| self.law.meets(key.0, key.1, key.2))
        };
        let ranges = self.ranges.iter().flat_map(|ranges| ranges.all());
        let mut events = Vec::new();
        for indices in ranges.chain(self.singles.list.iter().map(|&index| index..index + 1)) {
            let law: Vec<f64> = self.all().map(|x| meets(x, &indices)).collect();
            events.push(Event::new(What::Index(indices), Purpose::Calibration, law.into_iter()));
        }
        let mut known = BTreeMap::new();
        for (place, &second) in self.pairs.list.iter().enumerate() {
            for &first in &self.pairs.list[..place] {
                let law = |x: usize| {
                    let own = [first, second].map(|index| self.held_by[index as usize] >> x & 1 == 1);
                    let key = (self.truths[x].len() as u32, own);
                    *known.entry(key).or_insert_with(|| self.law.holds_both(key.0, own))
                };
                let law: Vec<f64> = self.all().map(law).collect();
                let (low, high) = (first.min(second), first.max(second));
                events.push(Event::new(What::Pair(low, high), Purpose::Joint, law.into_iter()));
            }
        }
        debug_assert_eq!(
            events.len(),
            self.ranges.map_or(0, Ranges::count) + self.singles.list.len() + self.pair_count()
        );
        events
    }

    fn partitions(&self) -> Vec<Range<usize>> {
        let exhaustive = self.ranges.filter(|_| self.k == 1);
        exhaustive.iter().map(|ranges| 0..ranges.count()).collect()
    }

    fn visit(&self, payload: &Payload, mut each: impl FnMut(usize)) {
        let items = items(payload);
        let mut first = 0;
        if let Some(ranges) = self.ranges {
            let mut before = None;
            for range in items.iter().map(|&index| ranges.of_index(index)) {
                if before != Some(range) {
                    each(range);
                }
                before = Some(range);
            }
            first = ranges.count();
        }
        items.iter().filter_map(|&index| self.singles.place(index)).for_each(|place| each(first + place));
        first += self.singles.list.len();
        if self.pairs.list.is_empty() {
            return;
        }
        let mut places: Vec<usize> = items.iter().filter_map(|&index| self.pairs.place(index)).collect();
        places.sort_unstable();
        for (i, &high) in places.iter().enumerate() {
            places[..i].iter().for_each(|&low| each(first + high * (high - 1) / 2 + low));
        }
    }
}
