//! OpenDP as an independent second opinion, for every mechanism that it can express: its privacy map for our parameters
//! certifies no more than the declared epsilon, and its sampler follows the law that ours declares exactly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashSet};

use hubbub_privacy::{Epsilon, Payload};
use hubbub_randomizer::conformance::Law;
use hubbub_randomizer::{ExpBound, FoldedGeometric, Subset};
use opendp::domains::AtomDomain;
use opendp::measurements::{make_laplace, make_randomized_response, make_randomized_response_bool};
use opendp::measures::MaxDivergence;
use opendp::metrics::AbsoluteDistance;

/// OpenDP rounds its floats upwards; our exact certificate has no slack.
const ROUNDING: f64 = 1e-12;
const DRAWS: u32 = 200_000;
const EPSILONS: [&str; 5] = ["0.1", "0.5", "1", "2", "4"];

fn randomized_response(epsilon: &str, values: u32) -> Subset {
    Subset::new(&ExpBound::new(epsilon.parse().unwrap()), values, 1)
}

/// Fails when the frequencies of `draws` draws contradict `law`: n KL(q, p) is above 20 for a correct sampler with
/// probability below 2 e^-20 per output (Chernoff).
fn assert_follows(law: impl Fn(u32) -> f64, frequencies: &BTreeMap<u32, u32>, outputs: u32) {
    let n = f64::from(DRAWS);
    for y in 0..outputs {
        let (p, q) = (law(y), f64::from(frequencies.get(&y).copied().unwrap_or(0)) / n);
        let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
        let divergence = n * (part(q, p) + part(1.0 - q, 1.0 - p));
        assert!(divergence < 20.0, "output {y}: {q} where the law says {p}");
    }
    assert_eq!(frequencies.values().sum::<u32>(), DRAWS);
}

#[test]
fn opendp_certifies_randomized_response() {
    for epsilon in EPSILONS {
        let declared: f64 = epsilon.parse().unwrap();
        let boolean = make_randomized_response_bool(randomized_response(epsilon, 2).pi1(), false).unwrap();
        let certified: f64 = boolean.map(&1).unwrap();
        assert!(certified <= declared + ROUNDING && certified > declared - 1e-6, "{epsilon}: {certified}");
        for values in [3u32, 16, 256] {
            let categories: HashSet<u32> = (0..values).collect();
            let ours = randomized_response(epsilon, values);
            let theirs = make_randomized_response(categories, ours.pi1()).unwrap();
            let certified: f64 = theirs.map(&1).unwrap();
            assert!(certified <= declared + ROUNDING && certified > declared - 1e-6, "{epsilon} {values}: {certified}");
        }
    }
}

#[test]
fn opendp_draws_the_declared_law_of_randomized_response() {
    let ours = randomized_response("1", 5);
    let theirs = make_randomized_response((0..5u32).collect(), ours.pi1()).unwrap();
    let mut frequencies = BTreeMap::new();
    for _ in 0..DRAWS {
        *frequencies.entry(theirs.invoke(&2).unwrap()).or_default() += 1;
    }
    let law = |y: u32| ours.probability(2, &Payload::List(vec![y])).to_f64().value();
    assert_follows(law, &frequencies, 5);
}

/// OpenDP's discrete Laplace noise of the table's alpha, for sensitivity C.
fn discrete_laplace(epsilon: &str, max: u32) -> (FoldedGeometric, f64, impl Fn(i32) -> i32) {
    let ours = FoldedGeometric::new(epsilon.parse::<Epsilon>().unwrap(), max).unwrap();
    let alpha = ours.probability(max, 0) / ours.probability(max - 1, 0);
    let scale = -1.0 / alpha.ln();
    let space = (AtomDomain::<i32>::default(), AbsoluteDistance::<i32>::default());
    let theirs = make_laplace::<_, _, MaxDivergence>(space.0, space.1, scale, None).unwrap();
    let certified: f64 = theirs.map(&(max as i32)).unwrap();
    (ours, certified, move |x| theirs.invoke(&x).unwrap())
}

#[test]
fn opendp_certifies_the_folded_geometric() {
    for epsilon in EPSILONS {
        for max in [1, 5, 50, 255] {
            let (_, certified, _) = discrete_laplace(epsilon, max);
            let declared: f64 = epsilon.parse().unwrap();
            assert!(certified <= declared + ROUNDING && certified > declared - 1e-6, "{epsilon} {max}: {certified}");
        }
    }
}

#[test]
fn opendp_draws_the_declared_law_of_the_folded_geometric() {
    let (ours, _, draw) = discrete_laplace("2", 6);
    for x in [0, 2, 6] {
        let mut frequencies = BTreeMap::new();
        for _ in 0..DRAWS {
            // Folding is clamping, and clamping is post-processing.
            *frequencies.entry(draw(x as i32).clamp(0, 6) as u32).or_default() += 1;
        }
        assert_follows(|y| ours.probability(x, y), &frequencies, 7);
    }
}
