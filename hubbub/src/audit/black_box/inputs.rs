//! Which true values the program is given, and in which order.

use hubbub_privacy::{Domain, Value};
use hubbub_randomizer::uniform;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Inputs at most: more would leave each of them with too few draws, and their reports' patterns must fit a byte.
pub const MAX_INPUTS: usize = 8;
/// The seed's stream for the choice and order of inputs, apart from those that `hubbub randomize --seed` draws from.
const STREAM: u64 = u64::MAX;

/// The generator behind the choice and order of inputs.
pub fn generator(seed: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    rng
}

/// All values where there are at most eight; otherwise the ends, the middle, absent, other and random ones. Of sets: none,
/// single items, as many as are reported whole, more than that.
pub fn choose(domain: &Domain, rng: &mut ChaCha20Rng) -> Vec<Value> {
    if let Domain::Set { values, max_items } = domain {
        return sets(values.len() as u32, *max_items, rng);
    }
    let size = domain.size() as u32;
    if size as usize <= MAX_INPUTS {
        return (0..size).map(Value::Index).collect();
    }
    let mut chosen: Vec<u32> = vec![0, size - 1, size / 2];
    chosen.extend(domain.absent().ok().and_then(index));
    if let Domain::Categorical { other, .. } = domain {
        chosen.extend(other);
    }
    chosen.sort_unstable();
    chosen.dedup();
    while chosen.len() < MAX_INPUTS {
        let drawn = below(size, rng);
        if !chosen.contains(&drawn) {
            chosen.push(drawn);
        }
    }
    chosen.into_iter().map(Value::Index).collect()
}

fn index(value: Value) -> Option<u32> {
    match value {
        Value::Index(index) => Some(index),
        Value::Items(_) => None,
    }
}

fn sets(size: u32, max_items: u32, rng: &mut ChaCha20Rng) -> Vec<Value> {
    // 2^3 subsets are eight.
    if size <= 3 {
        let subset = |bits: u32| (0..size).filter(|item| bits >> item & 1 == 1).collect();
        return (0..1 << size).map(|bits| Value::Items(subset(bits))).collect();
    }
    let full = max_items.min(size);
    let random = |length: u32, rng: &mut ChaCha20Rng| {
        let Ok(mut items) = uniform::sequence(size, length, rng);
        items.sort_unstable();
        items
    };
    let mut chosen =
        vec![vec![], vec![0], vec![size - 1], vec![size / 2], (0..full).collect(), (size - full..size).collect()];
    if full < size {
        chosen.push(random((2 * full).min(size).min(full + 8), rng));
    }
    while chosen.len() < MAX_INPUTS {
        let length = 1 + below(full, rng);
        chosen.push(random(length, rng));
    }
    chosen.sort();
    chosen.dedup();
    chosen.into_iter().map(Value::Items).collect()
}

fn below(n: u32, rng: &mut ChaCha20Rng) -> u32 {
    let Ok(drawn) = uniform::below(n.into(), rng);
    drawn as u32
}

/// The numbers of the inputs, line by line: each uniform and independent of all others, so that no program can count on
/// blocks. A clone repeats what is left of it.
#[derive(Debug, Clone)]
pub struct Order {
    rng: ChaCha20Rng,
    inputs: u64,
}

impl Order {
    /// An order of so many inputs.
    pub const fn new(inputs: usize, rng: ChaCha20Rng) -> Self {
        Self { rng, inputs: inputs as u64 }
    }

    /// The number of the next line's input.
    pub fn draw(&mut self) -> usize {
        let Ok(input) = uniform::below(self.inputs, &mut self.rng);
        input as usize
    }
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Goal;

    use super::*;

    fn labels(size: u32) -> Vec<String> {
        (0..size).map(|i| format!("v{i}")).collect()
    }

    #[test]
    fn small_domains_are_tried_whole_and_large_ones_at_their_edges() {
        let rng = || generator(1);
        assert_eq!(choose(&Domain::Boolean, &mut rng()), [0, 1].map(Value::Index));
        assert_eq!(choose(&Domain::Count { max: 7 }, &mut rng()).len(), 8);
        let large = Domain::Categorical { values: labels(300), absent: Some(17), other: Some(18) };
        let ordered = Domain::Ordered { edges: (0..400).collect(), goal: Goal::Mean, absent: 5 };
        for (domain, edges) in [(large, vec![0, 17, 18, 150, 299]), (ordered, vec![0, 5, 199, 398])] {
            let inputs = choose(&domain, &mut rng());
            assert_eq!(inputs.len(), MAX_INPUTS);
            for edge in edges {
                assert!(inputs.contains(&Value::Index(edge)), "{edge}");
            }
        }
    }

    #[test]
    fn sets_of_every_size_are_tried() {
        for (size, max_items) in [(6, 2), (500, 16), (4, 9), (5, 5), (1000, 1)] {
            let inputs = choose(&Domain::Set { values: labels(size), max_items }, &mut generator(3));
            let lengths: Vec<u32> =
                inputs.iter().map(|v| if let Value::Items(v) = v { v.len() as u32 } else { 0 }).collect();
            assert!(inputs.len() >= 5 && inputs.len() <= MAX_INPUTS, "{inputs:?}");
            assert!(
                lengths.contains(&0) && lengths.contains(&1) && lengths.contains(&max_items.min(size)),
                "{inputs:?}"
            );
            assert!(max_items >= size || lengths.iter().any(|&length| length > max_items), "{inputs:?}");
        }
        assert_eq!(choose(&Domain::Set { values: labels(3), max_items: 2 }, &mut generator(3)).len(), 8);
    }

    #[test]
    fn a_clone_repeats_the_order() {
        let mut order = Order::new(5, generator(9));
        let mut clone = order.clone();
        let drawn: Vec<usize> = (0..1000).map(|_| order.draw()).collect();
        assert!((0..1000).map(|_| clone.draw()).eq(drawn.iter().copied()));
        assert!((0..5).all(|input| drawn.iter().filter(|&&d| d == input).count() > 100));
    }
}
