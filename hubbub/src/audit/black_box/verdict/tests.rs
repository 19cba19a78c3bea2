//! Simulated draws of honest and faulty samplers, without any process.

use std::cell::Cell;

use hubbub_privacy::{Domain, Goal, Payload, ReportId, Value};
use hubbub_randomizer::conformance::SplitMix;
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Mechanism, Subset, Window, uniform};
use rand_chacha::rand_core::Rng;

use super::*;
use crate::audit::black_box::events::Events;
use crate::audit::black_box::inputs::{self, Order};
use crate::audit::black_box::tally::Half;

const CONFIDENCE: f64 = 0.999;

fn bound(epsilon: &str) -> ExpBound {
    ExpBound::new(epsilon.parse().unwrap())
}

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("v{i}")).collect()
}

fn categories(count: usize) -> Domain {
    Domain::Categorical { values: labels(count), absent: Some(0), other: Some(1) }
}

/// One metric of every family at epsilon 1, and of every way to count its reports.
fn metrics() -> Vec<(Domain, Mechanism)> {
    let bound = bound("1");
    let ordered = Domain::Ordered { edges: (0..13).collect(), goal: Goal::Mean, absent: 3 };
    let set = |values, max_items| Domain::Set { values: labels(values), max_items };
    vec![
        (Domain::Boolean, Mechanism::Subset(Subset::optimal(&bound, 2))),
        (categories(5), Mechanism::Subset(Subset::optimal(&bound, 5))),
        (categories(16), Mechanism::Subset(Subset::optimal(&bound, 16))),
        (categories(60), Mechanism::Subset(Subset::optimal(&bound, 60))),
        (categories(5000), Mechanism::Subset(Subset::new(&bound, 5000, 1))),
        (set(6, 2), Mechanism::Subset(Subset::optimal_of_sets(&bound, 6, 2))),
        (set(100, 8), Mechanism::Subset(Subset::optimal_of_sets(&bound, 100, 8))),
        (categories(300), Mechanism::Cyclotomic(Cyclotomic::optimal(&bound, 300).unwrap())),
        (categories(1000), Mechanism::Cyclotomic(Cyclotomic::new(&bound, 1000, 11, 3))),
        (ordered, Mechanism::Window(Window::new(&bound, 12, 9, Goal::Mean))),
        (Domain::Count { max: 50 }, Mechanism::Window(Window::new(&bound, 51, 39, Goal::Mean))),
        (
            Domain::Count { max: 20 },
            Mechanism::FoldedGeometric(FoldedGeometric::new("1".parse().unwrap(), 20).unwrap()),
        ),
    ]
}

/// A sampler: the input's number, its value and a generator make a report.
type Sampler<'a> = &'a dyn Fn(usize, &Value, &mut SplitMix) -> (Payload, ReportId);

fn fresh_id(rng: &mut SplitMix) -> ReportId {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    ReportId(id)
}

/// The counts of `draws` reports, and the texts of their inputs.
fn draw(domain: &Domain, mechanism: &Mechanism, draws: u64, seed: u64, sampler: Sampler<'_>) -> (Tally, Vec<String>) {
    let mut generator = inputs::generator(seed);
    let values = inputs::choose(domain, &mut generator);
    let mut order = Order::new(values.len(), generator);
    let mut tally = Tally::new(Events::of(mechanism, &values));
    let mut rng = SplitMix::new(seed);
    for line in 0..draws {
        let half = if line < draws / 2 { Half::First } else { Half::Second };
        let input = order.draw();
        let (payload, id) = sampler(input, &values[input], &mut rng);
        assert_eq!(mechanism.check(&payload), Ok(()));
        tally.add(half, input, payload, id);
    }
    (tally, values.iter().map(|value| domain.show(value)).collect())
}

fn judged(mechanism: &Mechanism, (tally, inputs): &(Tally, Vec<String>), confidence: f64) -> Vec<Verdict> {
    let realized = mechanism.ratio().to_f64().value().ln();
    statistical(tally, &Claim { inputs, declared: 1.0, realized, confidence })
}

/// The statistical verdicts on `draws` reports.
fn audit(domain: &Domain, mechanism: &Mechanism, draws: u64, seed: u64, sampler: Sampler<'_>) -> Vec<Verdict> {
    judged(mechanism, &draw(domain, mechanism, draws, seed, sampler), CONFIDENCE)
}

/// The names of the checks that fail.
fn failed(verdicts: &[Verdict]) -> Vec<&'static str> {
    verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Failed).map(|verdict| verdict.check).collect()
}

fn figure(verdicts: &[Verdict], check: &str, name: &str) -> f64 {
    verdicts.iter().find(|verdict| verdict.check == check).unwrap().figures[name].as_f64().unwrap()
}

/// A boolean's report: the truth with probability `p`.
fn response(p: f64) -> impl Fn(usize, &Value, &mut SplitMix) -> (Payload, ReportId) {
    move |_, value, rng| {
        let Value::Index(x) = value else { panic!("{value:?}") };
        let lies = rng.next_u64() as f64 >= p * 2f64.powi(64);
        (Payload::List(vec![x ^ u32::from(lies)]), fresh_id(rng))
    }
}

/// p of a boolean at epsilon.
fn p(epsilon: f64) -> f64 {
    epsilon.exp() / (1.0 + epsilon.exp())
}

fn boolean() -> (Domain, Mechanism) {
    (Domain::Boolean, Mechanism::Subset(Subset::optimal(&bound("1"), 2)))
}

/// 100 runs, or as many as HUBBUB_CLEAN_RUNS says.
#[test]
fn clean_runs_raise_no_alarm() {
    let runs: u64 = std::env::var("HUBBUB_CLEAN_RUNS").map_or(100, |runs| runs.parse().unwrap());
    let metrics = metrics();
    let mut alarms = 0;
    for run in 0..runs {
        let (domain, mechanism) = &metrics[run as usize % metrics.len()];
        let honest = |_: usize, value: &Value, rng: &mut SplitMix| {
            let Ok(payload) = mechanism.randomize(value, rng);
            (payload, fresh_id(rng))
        };
        let drawn = draw(domain, mechanism, 6_000, run, &honest);
        // An honest sampler fails this with probability 10^-6, so no run of a thousand does.
        let verdicts = judged(mechanism, &drawn, 1.0 - 1e-6);
        assert_eq!(failed(&verdicts), Vec::<&str>::new(), "run {run}: {verdicts:#?}");
        alarms += u64::from(!failed(&judged(mechanism, &drawn, CONFIDENCE)).is_empty());
    }
    // At the default confidence one run in a thousand may fail; six standard deviations more would be a false promise.
    let expected = runs as f64 * (1.0 - CONFIDENCE);
    assert!(alarms as f64 <= expected + 6.0 * expected.sqrt().max(0.2), "{alarms} alarms in {runs} clean runs");
    println!("{alarms} alarms in {runs} clean runs");
}

#[test]
fn as_many_draws_as_the_help_says_find_what_it_says() {
    let (domain, mechanism) = boolean();
    for (factor, draws) in [(0.99, 170_000), (1.01, 170_000), (0.995, 1_000_000), (1.005, 1_000_000)] {
        let verdicts = audit(&domain, &mechanism, draws, 11, &response(p(1.0) * factor));
        assert!(failed(&verdicts).contains(&"calibration"), "{factor}: {verdicts:#?}");
    }
    let verdicts = audit(&domain, &mechanism, 1_000_000, 11, &response(p(1.03)));
    assert!(failed(&verdicts).contains(&"epsilon"), "{verdicts:#?}");
    let verdicts = audit(&domain, &mechanism, 1_000_000, 11, &response(p(1.0)));
    assert_eq!(failed(&verdicts), Vec::<&str>::new());
    let bound = figure(&verdicts, "epsilon", "lower_bound");
    assert!((0.97..=1.0).contains(&bound), "{bound}");
}

#[test]
fn the_bound_on_epsilon_comes_near_the_truth_in_every_family() {
    for (domain, mechanism) in metrics() {
        let honest = |_: usize, value: &Value, rng: &mut SplitMix| {
            let Ok(payload) = mechanism.randomize(value, rng);
            (payload, fresh_id(rng))
        };
        let verdicts = audit(&domain, &mechanism, 100_000, 5, &honest);
        let bound = figure(&verdicts, "epsilon", "lower_bound");
        // Randomized response over 5,000 values tells little by one report; the others much.
        let least = if domain.size() == 5000 { 0.0 } else { 0.5 };
        assert!(bound >= least && bound < 1.0, "{} {}: {bound}", mechanism.family(), domain.size());
    }
}

#[test]
fn what_only_the_other_bits_say_is_found() {
    let (domain, mechanism) = boolean();
    let honest = response(p(1.0));
    let leaking = |input: usize, value: &Value, rng: &mut SplitMix| {
        let (payload, mut id) = honest(input, value, rng);
        id.0[3] = id.0[3] & !1 | input as u8;
        (payload, id)
    };
    assert_eq!(failed(&audit(&domain, &mechanism, 20_000, 2, &leaking)), ["meaningless ids"]);
    // Every second report repeats the coin of the one before: each alone has the right law.
    let coin = Cell::new((0u64, 0u64));
    let reusing = |_: usize, value: &Value, rng: &mut SplitMix| {
        let (line, mut word) = coin.get();
        if line % 2 == 0 {
            word = rng.next_u64();
        }
        coin.set((line + 1, word));
        let Value::Index(x) = value else { panic!("{value:?}") };
        let lies = word as f64 >= p(1.0) * 2f64.powi(64);
        (Payload::List(vec![x ^ u32::from(lies)]), fresh_id(rng))
    };
    assert_eq!(failed(&audit(&domain, &mechanism, 20_000, 2, &reusing)), ["serial independence"]);
}

#[test]
fn right_marginals_with_a_wrong_joint_law_are_found() {
    // Of five values, reports are neighbours on a circle: every index comes as often as it should, but not every pair.
    let subset = Subset::new(&bound("1"), 5, 2);
    let p = subset.law().p().to_f64().value();
    let mechanism = Mechanism::Subset(subset);
    let neighbours = |_: usize, value: &Value, rng: &mut SplitMix| {
        let Value::Index(x) = value else { panic!("{value:?}") };
        let inside = (rng.next_u64() as f64) < p * 2f64.powi(64);
        // Inside: x with one of its two neighbours, or with one of the two others, by turns of a coin; outside: two pairs
        // that together hold every other value equally often.
        let Ok(turn) = uniform::below(4, rng);
        let [a, b] = match (inside, turn) {
            (true, turn) => [0, 1 + turn as u32],
            (false, 0 | 1) => [1, 2],
            (false, _) => [3, 4],
        };
        let mut pair = vec![(x + a) % 5, (x + b) % 5];
        pair.sort_unstable();
        (Payload::List(pair), fresh_id(rng))
    };
    let verdicts = audit(&categories(5), &mechanism, 50_000, 4, &neighbours);
    let found = failed(&verdicts);
    assert!(found.contains(&"joint") && !found.contains(&"calibration"), "{verdicts:#?}");
}
