//! Successive reports of one device must be independent: a stuck generator or a reused word shows as agreement.

use super::{FALSE_ALARM, Law, SplitMix, Violation, contradicts, sum};

/// Disjoint pairs over all inputs together. With five inputs and an agreement probability of 0.1, agreement that is off
/// by 5 % is found out; a reused word makes every pair agree.
const PAIRS: u32 = 1_000_000;

/// Draws disjoint pairs of reports and compares how often both are equal with the law's sum of squares.
pub fn check<M: Law>(mechanism: &M, seed: u64) -> Result<(), Violation> {
    let mut rng = SplitMix::new(seed);
    let (inputs, outputs) = (mechanism.inputs(), mechanism.outputs());
    let limit = (2.0 * inputs.len() as f64 / (FALSE_ALARM / 2.0)).ln();
    let draws = PAIRS / inputs.len() as u32;
    for input in inputs {
        let squares = sum(outputs.iter().map(|output| {
            let p = mechanism.probability(&input, output);
            &p * &p
        }));
        let mut hits = 0;
        for _ in 0..draws {
            let Ok(first) = mechanism.randomize(&input, &mut rng);
            let Ok(second) = mechanism.randomize(&input, &mut rng);
            hits += u32::from(first == second);
        }
        let p = squares.to_f64().value();
        if contradicts(hits, draws, p, limit) {
            return Err(Violation::Dependent { input, hits, draws, expected: p * f64::from(draws) });
        }
    }
    Ok(())
}
