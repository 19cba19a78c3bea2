//! Reports of a coordinate and an index: the cyclotomic family.

use std::ops::Range;

use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::Cyclotomic;

use super::{Event, MAX_OUTPUTS, Purpose, Ranges, Reports, What, index_of};

/// Ranges of coordinates whose support is counted input by input.
const MAX_COORDINATES: u32 = 64;

/// The events of reports `[j, y]`.
pub struct CyclotomicEvents {
    parts: u32,
    prime: u32,
    cosets: u32,
    inside: u32,
    /// One bit for each j and delta: whether delta lies in g^j B.
    blocks: Vec<u64>,
    truths: Vec<u32>,
    p: f64,
    pi0: f64,
    coordinates: Ranges,
    coarse: Ranges,
    indices: Ranges,
}

impl CyclotomicEvents {
    pub fn new(cyclotomic: &Cyclotomic, inputs: &[Value]) -> Self {
        let (parts, prime) = (cyclotomic.parts(), cyclotomic.prime());
        let mut blocks = vec![0u64; (parts as usize * prime as usize).div_ceil(64)];
        for j in 0..parts {
            for delta in cyclotomic.block(j) {
                let bit = j as usize * prime as usize + delta as usize;
                blocks[bit / 64] |= 1 << (bit % 64);
            }
        }
        Self {
            parts,
            prime,
            cosets: cyclotomic.cosets(),
            inside: cyclotomic.inside(),
            blocks,
            truths: inputs.iter().map(index_of).collect(),
            p: cyclotomic.law().p().to_f64().value(),
            pi0: cyclotomic.support().pi0(),
            coordinates: Ranges::of(parts),
            coarse: Ranges { size: parts, length: parts.div_ceil(MAX_COORDINATES) },
            indices: Ranges::of(prime),
        }
    }

    fn supported(&self, j: u32, y: u32, x: u32) -> bool {
        let delta = (y + self.prime - x) % self.prime;
        let bit = j as usize * self.prime as usize + delta as usize;
        self.blocks[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The chance of one y inside its set and of one outside, for any one j.
    fn levels(&self) -> (f64, f64) {
        (self.p / f64::from(self.inside), (1.0 - self.p) / f64::from(self.prime - self.inside))
    }

    /// P(y in `range` | input `x`), over all j: every difference but 0 lies in c of the e sets, 0 in none.
    fn within(&self, x: usize, range: &Range<u32>) -> f64 {
        let (inside, outside) = self.levels();
        let part = f64::from(self.cosets) / f64::from(self.parts);
        let own = f64::from(u8::from(range.contains(&self.truths[x])));
        own * outside + (f64::from(range.end - range.start) - own) * (part * inside + (1.0 - part) * outside)
    }

    fn inputs(&self) -> Range<usize> {
        0..self.truths.len()
    }
}

fn coordinates(payload: &Payload) -> (u32, u32) {
    match payload {
        Payload::List(items) => (items[0], items[1]),
        Payload::Number(_) => unreachable!("only possible reports are counted"),
    }
}

impl Reports for CyclotomicEvents {
    fn pattern(&self, payload: &Payload) -> u8 {
        let (j, y) = coordinates(payload);
        self.inputs().fold(0, |bits, i| bits | u8::from(self.supported(j, y, self.truths[i])) << i)
    }

    fn supports(&self, i: usize, x: usize) -> f64 {
        if i == x { self.p } else { self.pi0 }
    }

    fn agreement(&self, a: usize, b: usize) -> Option<f64> {
        let (inside, outside) = self.levels();
        let (r, k) = (f64::from(self.inside), f64::from(self.prime));
        // Averaged over j, which both reports must share.
        let common = if a == b { r } else { r * (r - 1.0) / (k - 1.0) };
        let neither = k - 2.0 * r + common;
        let sum = common * inside * inside + 2.0 * (r - common) * inside * outside + neither * outside * outside;
        Some(sum / f64::from(self.parts))
    }

    fn outputs(&self) -> Option<Vec<Payload>> {
        let count = self.parts as usize * self.prime as usize;
        let all = || (0..self.parts).flat_map(|j| (0..self.prime).map(move |y| Payload::List(vec![j, y])));
        (count <= MAX_OUTPUTS).then(|| all().collect())
    }

    fn rank(&self, payload: &Payload) -> usize {
        let (j, y) = coordinates(payload);
        j as usize * self.prime as usize + y as usize
    }

    fn chance(&self, x: usize, payload: &Payload) -> f64 {
        let (j, y) = coordinates(payload);
        let (inside, outside) = self.levels();
        (if self.supported(j, y, self.truths[x]) { inside } else { outside }) / f64::from(self.parts)
    }

    /// Coordinates, ranges of y, the truths themselves as y, and coordinates with support.
    fn events(&self) -> Vec<Event> {
        let part = |range: &Range<u32>| f64::from(range.end - range.start) / f64::from(self.parts);
        let coordinate = |range: Range<u32>| {
            let law = part(&range);
            Event::new(What::Coordinate(range), Purpose::Calibration, self.inputs().map(|_| law))
        };
        let index = |range: Range<u32>| {
            let law: Vec<f64> = self.inputs().map(|x| self.within(x, &range)).collect();
            Event::new(What::Index(range), Purpose::Calibration, law.into_iter())
        };
        let mut events: Vec<Event> = self.coordinates.all().map(coordinate).collect();
        events.extend(self.indices.all().map(index));
        events.extend(self.truths.iter().map(|&x| index(x..x + 1)));
        for range in self.coarse.all() {
            events.extend(self.inputs().map(|i| Event {
                // Another input's sets overlap differently for every j.
                law: self.inputs().map(|x| (x == i).then_some(self.p * part(&range))).collect(),
                what: What::CoordinateSupports(range.clone(), i),
                purpose: Purpose::Joint,
            }));
        }
        events
    }

    fn partitions(&self) -> Vec<Range<usize>> {
        let (j, y) = (self.coordinates.count(), self.indices.count());
        vec![0..j, j..j + y]
    }

    fn visit(&self, payload: &Payload, mut each: impl FnMut(usize)) {
        let (j, y) = coordinates(payload);
        each(self.coordinates.of_index(j));
        let indices = self.coordinates.count();
        each(indices + self.indices.of_index(y));
        let own = indices + self.indices.count();
        let (n, first) = (self.truths.len(), own + self.truths.len() + self.coarse.of_index(j) * self.truths.len());
        for (i, &x) in (0..n).zip(&self.truths) {
            if y == x {
                each(own + i);
            }
            if self.supported(j, y, x) {
                each(first + i);
            }
        }
    }
}
