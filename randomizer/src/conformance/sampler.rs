//! The sampler against the exact law: every input, every counter, and every whole output.

use std::collections::BTreeMap;

use hubbub_privacy::Payload;

use super::chernoff::{FALSE_ALARM, contradicts, limit};
use super::{Law, SplitMix, Table, Violation};

/// Reports drawn one after the other, each input twice in a row, in rounds over all inputs.
pub(super) struct Series {
    /// Indices of outputs.
    pub ids: Vec<u32>,
    /// How often each input was drawn.
    pub draws_per_input: u32,
}

/// An order of payloads, so that they can be looked up.
fn key(payload: &Payload) -> (bool, &[u32]) {
    match payload {
        Payload::Number(index) => (false, std::slice::from_ref(index)),
        Payload::List(items) => (true, items),
    }
}

impl Series {
    /// Draws `draws` reports, or a little fewer, so that every input has as many.
    pub fn draw<M: Law>(mechanism: &M, table: &Table, seed: u64, draws: u32) -> Result<Self, Violation> {
        let known: BTreeMap<_, u32> = table.outputs.iter().map(key).zip(0..).collect();
        let mut rng = SplitMix::new(seed);
        let rounds = (draws / (2 * table.inputs.len() as u32)).max(1);
        let mut ids = Vec::with_capacity(draws as usize);
        for _ in 0..rounds {
            for input in &table.inputs {
                for _ in 0..2 {
                    let Ok(output) = mechanism.randomize(input, &mut rng);
                    match known.get(&key(&output)) {
                        Some(&id) => ids.push(id),
                        None => return Err(Violation::Impossible { input: input.clone(), output }),
                    }
                }
            }
        }
        Ok(Self { ids, draws_per_input: 2 * rounds })
    }
}

/// Holds the frequencies of a series against the law.
pub(super) fn check<M: Law>(mechanism: &M, table: &Table, series: &Series) -> Result<(), Violation> {
    let (counters, outputs) = (mechanism.counters(), table.outputs.len());
    let limit = limit(table.inputs.len() * (counters + outputs), FALSE_ALARM / 2.0);
    let draws = series.draws_per_input;
    let mut hits = vec![vec![0u32; outputs]; table.inputs.len()];
    let inputs_in_turn = (0..table.inputs.len()).flat_map(|x| [x, x]).cycle();
    for (x, &id) in inputs_in_turn.zip(&series.ids) {
        hits[x][id as usize] += 1;
    }
    let supports: Vec<Vec<u32>> = table.outputs.iter().map(|output| mechanism.support(output)).collect();
    for ((input, law), hits) in table.inputs.iter().zip(table.rounded()).zip(hits) {
        let mut per_counter = vec![(0u32, 0.0); counters];
        for (((output, support), p), count) in table.outputs.iter().zip(&supports).zip(law).zip(hits) {
            if contradicts(count, draws, p, limit) {
                let (input, output, expected) = (input.clone(), output.clone(), p * f64::from(draws));
                return Err(Violation::Joint { input, output, hits: count, draws, expected });
            }
            for &counter in support {
                match per_counter.get_mut(counter as usize) {
                    Some((hits, expected)) => (*hits, *expected) = (*hits + count, *expected + p),
                    None => return Err(Violation::Impossible { input: input.clone(), output: output.clone() }),
                }
            }
        }
        for (counter, (hits, p)) in (0..).zip(per_counter) {
            if contradicts(hits, draws, p, limit) {
                let expected = p * f64::from(draws);
                return Err(Violation::Frequency { input: input.clone(), counter, hits, draws, expected });
            }
        }
    }
    Ok(())
}
