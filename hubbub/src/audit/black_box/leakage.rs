//! What the reports really tell: a lower bound on epsilon.
//!
//! For every ordered pair of inputs two events are measured on the second half of the draws: the one that told these inputs
//! apart best in the first half, of all events, their complements, and unions of exclusive ones; and the one that tells them
//! apart best by the law. ln(P(event | likely) / P(event | unlikely)) is at most epsilon for every event, so a lower bound
//! of it is a lower bound of epsilon.

use std::ops::Range;

use super::statistics::Frequency;
use super::tally::{Half, OfInput, Tally};

/// Standard deviations by which a first impression is discounted.
const CAUTION: f64 = 3.0;

/// One event that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The lower bound on ln(P(event | likely) / P(event | unlikely)).
    pub bound: f64,
    /// The events of the tally that make it up, of which a report is part of one at most.
    pub events: Vec<usize>,
    /// Whether it is that none of them comes.
    pub complement: bool,
    /// The input that makes it likely, and how often it came there.
    pub likely: (usize, Frequency),
    /// The input that makes it unlikely, and how often it came there.
    pub unlikely: (usize, Frequency),
}

/// The largest bound of all events that were measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Leakage {
    /// How many events were measured.
    pub tests: usize,
    /// The chance, for each bound on a probability, to be wrong.
    pub level: f64,
    /// The best event; none when there are no two inputs with draws.
    pub largest: Option<Measured>,
}

/// Measures; all bounds together are wrong with probability at most `error`.
pub fn measure(tally: &Tally, error: f64) -> Leakage {
    let n = tally.events().inputs();
    let pairs = (0..n * n).map(|pair| (pair / n, pair % n)).filter(|(likely, unlikely)| likely != unlikely);
    let candidates: Vec<Candidate> = pairs
        .flat_map(|(likely, unlikely)| {
            let telling = tally.events().telling(likely, unlikely);
            let by_law = Candidate { likely, unlikely, events: telling, complement: false };
            learned(tally, likely, unlikely).into_iter().chain([by_law])
        })
        .collect();
    let tests = candidates.len();
    // Every event needs two bounds on a probability.
    let level = error / (2 * tests.max(1)) as f64;
    let measured = candidates.into_iter().map(|candidate| candidate.measure(tally, level));
    Leakage { tests, level, largest: measured.max_by(|a, b| a.bound.total_cmp(&b.bound)) }
}

/// An event chosen for a pair of inputs.
struct Candidate {
    likely: usize,
    unlikely: usize,
    events: Vec<usize>,
    complement: bool,
}

impl Candidate {
    fn measure(self, tally: &Tally, level: f64) -> Measured {
        let of = |input: usize| {
            let parts = self.events.iter().map(|&event| tally.in_half(Half::Second, OfInput { event, input }));
            let draws = tally.in_half(Half::Second, OfInput { event: 0, input }).draws;
            let hits = parts.map(|part| part.hits).sum();
            flipped(Frequency { hits, draws }, self.complement)
        };
        let (likely, unlikely) = (of(self.likely), of(self.unlikely));
        let bound = match (likely.draws, unlikely.draws) {
            (0, _) | (_, 0) => f64::NEG_INFINITY,
            _ => (likely.at_least(level) / unlikely.at_most(level)).ln(),
        };
        Measured {
            bound,
            events: self.events,
            complement: self.complement,
            likely: (self.likely, likely),
            unlikely: (self.unlikely, unlikely),
        }
    }
}

fn flipped(frequency: Frequency, complement: bool) -> Frequency {
    let hits = if complement { frequency.draws - frequency.hits } else { frequency.hits };
    Frequency { hits, ..frequency }
}

/// The event that tells two inputs apart best in the first half.
fn learned(tally: &Tally, likely: usize, unlikely: usize) -> Option<Candidate> {
    let of = |event: usize, input: usize| tally.in_half(Half::First, OfInput { event, input });
    let score = |likely: Frequency, unlikely: Frequency| {
        (likely.score_bounds(CAUTION).0 / unlikely.score_bounds(CAUTION).1).ln()
    };
    let mut best: Option<(f64, Candidate)> = None;
    let mut offer = |score: f64, events: &[usize], complement: bool| {
        if best.as_ref().is_none_or(|(found, _)| score > *found) {
            best = Some((score, Candidate { likely, unlikely, events: events.to_vec(), complement }));
        }
    };
    for event in 0..tally.events().list().len() {
        for complement in [false, true] {
            let [ours, theirs] = [likely, unlikely].map(|input| flipped(of(event, input), complement));
            offer(score(ours, theirs), &[event], complement);
        }
    }
    for partition in tally.events().partitions() {
        let sorted = by_ratio(partition, |event| (of(event, likely).hits, of(event, unlikely).hits));
        let longer = |input: usize| {
            sorted.iter().scan(0, move |hits, &event| {
                let draws = of(event, input).draws;
                *hits += of(event, input).hits;
                Some(Frequency { hits: *hits, draws })
            })
        };
        let scores = longer(likely).zip(longer(unlikely)).map(|(ours, theirs)| score(ours, theirs));
        if let Some((length, score)) = (1..).zip(scores).max_by(|a, b| a.1.total_cmp(&b.1)) {
            offer(score, &sorted[..length], false);
        }
    }
    best.filter(|(score, _)| score.is_finite()).map(|(_, candidate)| candidate)
}

/// The events of a partition, those with the largest ratio of hits first.
fn by_ratio(partition: &Range<usize>, hits: impl Fn(usize) -> (u64, u64)) -> Vec<usize> {
    // One hit more on both sides, so that what was seen once does not come before what was seen a thousand times.
    let ratio = |event: usize| {
        let (likely, unlikely) = hits(event);
        (likely as f64 + 1.0) / (unlikely as f64 + 1.0)
    };
    let mut sorted: Vec<(f64, usize)> = partition.clone().map(|event| (ratio(event), event)).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    sorted.into_iter().map(|(_, event)| event).collect()
}
