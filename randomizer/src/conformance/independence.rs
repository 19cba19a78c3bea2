//! Successive reports of one device must be independent: a stuck generator, a reused word or a remembered answer shows as
//! agreement, or as one report that foretells the next.

use super::chernoff::{FALSE_ALARM, contradicts, limit};
use super::sampler::Series;
use super::{Table, Violation};

/// Into how many groups outputs are put, in their order, when pairs are counted: 256 pairs of groups.
const GROUPS: usize = 16;

/// Counts pairs of a series that are 1, 2, 3 reports or a whole round apart, and holds them against the product of the
/// laws. Agreement is counted over all inputs together: 200,000 pairs find a tenth of agreement that is off by 5 %.
/// Pairs of groups are counted for each two neighbours in a round.
pub(super) fn check(table: &Table, series: &Series) -> Result<(), Violation> {
    let laws = table.rounded();
    let round = 2 * laws.len();
    let lags = [1, 2, 3, round];
    let groups = table.outputs.len().min(GROUPS);
    let limit = limit(2 * lags.len() + round * groups * groups, FALSE_ALARM / 2.0);
    for lag in lags {
        check_agreement(&laws, series, lag, limit)?;
    }
    check_neighbours(table, &laws, series, limit)
}

/// The input of a series' report: each one twice in a row.
const fn input_at(position: usize, inputs: usize) -> usize {
    position / 2 % inputs
}

/// How often two reports that are `lag` apart are equal. The pairs of one parity share no report, so they are independent;
/// their probabilities differ, and the Chernoff bound holds for the mean of them.
fn check_agreement(laws: &[Vec<f64>], series: &Series, lag: usize, limit: f64) -> Result<(), Violation> {
    let input_at = |position: usize| input_at(position, laws.len());
    let agreement = |x: usize, y: usize| -> f64 { laws[x].iter().zip(&laws[y]).map(|(p, q)| p * q).sum() };
    let by_position: Vec<f64> = (0..2 * laws.len()).map(|at| agreement(input_at(at), input_at(at + lag))).collect();
    for parity in 0..2 {
        let (mut hits, mut draws, mut expected) = (0, 0, 0.0);
        for at in (0..series.ids.len() - lag.min(series.ids.len())).filter(|at| at / lag % 2 == parity) {
            hits += u32::from(series.ids[at] == series.ids[at + lag]);
            draws += 1;
            expected += by_position[at % by_position.len()];
        }
        if contradicts(hits, draws, expected / f64::from(draws.max(1)), limit) {
            return Err(Violation::Dependent { lag, hits, draws, expected });
        }
    }
    Ok(())
}

/// How often a report of one group is followed by a report of another, for each place in a round.
fn check_neighbours(table: &Table, laws: &[Vec<f64>], series: &Series, limit: f64) -> Result<(), Violation> {
    let outputs = table.outputs.len();
    let groups = outputs.min(GROUPS);
    let group = |id: usize| id * groups / outputs;
    let masses: Vec<Vec<f64>> = laws
        .iter()
        .map(|law| {
            let mut masses = vec![0.0; groups];
            law.iter().enumerate().for_each(|(id, p)| masses[group(id)] += p);
            masses
        })
        .collect();
    let round = 2 * laws.len();
    let input_at = |position: usize| input_at(position, laws.len());
    for place in 0..round {
        let mut hits = vec![0u32; groups * groups];
        let mut draws = 0;
        for at in (place..series.ids.len().saturating_sub(1)).step_by(round) {
            hits[group(series.ids[at] as usize) * groups + group(series.ids[at + 1] as usize)] += 1;
            draws += 1;
        }
        let (x, y) = (input_at(place), input_at(place + 1));
        for (cell, hits) in hits.into_iter().enumerate() {
            let (first_group, second_group) = (cell / groups, cell % groups);
            let p = masses[x][first_group] * masses[y][second_group];
            if contradicts(hits, draws, p, limit) {
                let expected = p * f64::from(draws);
                let [first, second] = [x, y].map(|input| table.inputs[input].clone());
                return Err(Violation::Foretold { first, second, first_group, second_group, hits, draws, expected });
            }
        }
    }
    Ok(())
}
