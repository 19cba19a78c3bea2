//! Shuffle amplification against the definition in exact fractions, against real crowds, against a second
//! implementation, and against what must hold of any such bound.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use hubbub_privacy::{Epsilon, Shuffle, ShuffleError};
use serde::Deserialize;

/// Two laws over outcomes, those of the two inputs one device may have.
type Pair<T> = BTreeMap<T, [RBig; 2]>;

fn fraction(numerator: u64, denominator: u64) -> RBig {
    RBig::from_parts(IBig::from(numerator), UBig::from(denominator))
}

fn rational(x: f64) -> RBig {
    RBig::try_from(x).unwrap()
}

fn float(x: &RBig) -> f64 {
    x.to_f64().value()
}

/// e^x to 40 digits, rounded down.
fn exp(x: &RBig) -> RBig {
    let (mut sum, mut term) = (RBig::ONE, RBig::ONE);
    for n in 1..200u64 {
        // Cut to a fixed grid, or the fractions grow with every term.
        term = fraction_floor(&(term * x / RBig::from(n)));
        sum += &term;
    }
    sum
}

fn fraction_floor(x: &RBig) -> RBig {
    let grid = UBig::ONE << 160;
    RBig::from_parts((x * RBig::from(grid.clone())).floor(), grid)
}

fn epsilon(text: &str) -> Epsilon {
    text.parse().unwrap()
}

/// E, from the decimal and not from a float.
fn ratio(epsilon: Epsilon) -> RBig {
    exp(&fraction(epsilon.millionths(), 1_000_000))
}

fn generic_beta(ratio: &RBig) -> RBig {
    (ratio - RBig::ONE) / (ratio + RBig::ONE)
}

/// The pair (P, Q) by its definition, one report after the other.
fn reference_pair(ratio: &RBig, beta: &RBig, reports: u32) -> Pair<(u32, u32, u32)> {
    let clone = beta / (ratio - RBig::ONE);
    let spoken = &clone * ratio;
    let blank = RBig::ONE - &spoken - &clone;
    let mut pair = Pair::from([
        ((1, 0, 0), [spoken.clone(), clone.clone()]),
        ((0, 1, 0), [clone.clone(), spoken]),
        ((0, 0, 1), [blank.clone(), blank.clone()]),
    ]);
    let others_blank = blank / ratio;
    let silent = RBig::ONE - &clone - &clone - &others_blank;
    for _ in 1..reports {
        let mut next = Pair::new();
        for (&(i, j, l), laws) in &pair {
            for (to, probability) in
                [((i + 1, j, l), &clone), ((i, j + 1, l), &clone), ((i, j, l + 1), &others_blank), ((i, j, l), &silent)]
            {
                if !probability.is_zero() {
                    add(&mut next, to, laws, [probability, probability]);
                }
            }
        }
        pair = next;
    }
    pair
}

/// The pair that hides a device's blank among the reports that add nothing.
fn merged(pair: Pair<(u32, u32, u32)>) -> Pair<(u32, u32)> {
    let mut merged = Pair::new();
    for ((i, j, _), laws) in pair {
        add(&mut merged, (i, j), &laws, [&RBig::ONE, &RBig::ONE]);
    }
    merged
}

fn add<T: Ord>(pair: &mut Pair<T>, outcome: T, laws: &[RBig; 2], factors: [&RBig; 2]) {
    let entry = pair.entry(outcome).or_insert([RBig::ZERO, RBig::ZERO]);
    for side in 0..2 {
        entry[side] += &laws[side] * factors[side];
    }
}

/// The sums of max(0, P - G Q) and of max(0, Q - G P).
fn hockey_sticks<T>(pair: &Pair<T>, factor: &RBig) -> [RBig; 2] {
    let stick = |p: usize, q: usize| {
        pair.values()
            .map(|laws| &laws[p] - &laws[q] * factor)
            .filter(|excess| *excess > RBig::ZERO)
            .fold(RBig::ZERO, |sum, excess| sum + excess)
    };
    [stick(0, 1), stick(1, 0)]
}

/// The histogram of k-ary randomized response when the first device holds 0 or 1 and the others hold `others`.
fn crowd_of_randomized_response(ratio: &RBig, values: usize, others: &[usize]) -> Pair<Vec<u8>> {
    let total = ratio + RBig::from(values as u64 - 1);
    let probability = |truth: usize, report: usize| if truth == report { ratio / &total } else { RBig::ONE / &total };
    let mut pair = Pair::from([(vec![0; values], [RBig::ONE, RBig::ONE])]);
    for truths in [[0, 1]].into_iter().chain(others.iter().map(|&truth| [truth, truth])) {
        let mut next = Pair::new();
        for (histogram, laws) in &pair {
            for report in 0..values {
                let mut histogram = histogram.clone();
                histogram[report] += 1;
                let factors = truths.map(|truth| probability(truth, report));
                add(&mut next, histogram, laws, [&factors[0], &factors[1]]);
            }
        }
        pair = next;
    }
    pair
}

/// Fractions of the local epsilon at which to look.
const WHERE: [f64; 7] = [0.0, 0.001, 0.1, 0.37, 0.7, 0.93, 0.99];

/// Where the crate says that it stops looking closer.
const GENERIC_WILL_DO: f64 = 1e-20;

#[test]
fn equals_the_definition_in_exact_fractions_and_is_never_below_it() {
    for local in ["0.000001", "0.01", "0.5", "1.0", "2.5", "4.0", "8.0", "16.0"].map(epsilon) {
        let ratio = ratio(local);
        let generic = generic_beta(&ratio);
        for share in [(1, 1), (999_999, 1_000_000), (3, 4), (2, 5), (1, 1000)] {
            let share = fraction(share.0, share.1);
            // The float that the code is given, exactly, where it is given one.
            let given = float(&(&generic * &share));
            let (beta, sizes) = if share == RBig::ONE {
                (generic.clone(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..])
            } else {
                (rational(given), &[1, 2, 3, 5, 8, 12][..])
            };
            for &reports in sizes {
                let shuffle = if share == RBig::ONE {
                    Shuffle::generic(local, reports.into()).unwrap()
                } else {
                    Shuffle::new(local, given, reports.into()).unwrap()
                };
                let pair = reference_pair(&ratio, &beta, reports);
                for central in WHERE.map(|share| share * local.to_f64()) {
                    let [exact, mirrored] = hockey_sticks(&pair, &exp(&rational(central)));
                    assert_eq!(exact, mirrored);
                    let found = shuffle.delta(central);
                    let case = format!("epsilon {local}, share {share}, n {reports}, central {central}: {found:e}");
                    assert!(rational(found) >= exact, "{case} is below {:e}", float(&exact));
                    assert!(
                        found <= float(&exact) * (1.0 + 1e-9) + GENERIC_WILL_DO,
                        "{case} is far above {:e}",
                        float(&exact)
                    );
                }
            }
        }
    }
}

#[test]
fn the_central_epsilon_keeps_its_delta_and_no_smaller_one_would() {
    for local in ["0.1", "1.0", "4.0"].map(epsilon) {
        let ratio = ratio(local);
        for reports in [1, 2, 5, 12] {
            let shuffle = Shuffle::generic(local, reports.into()).unwrap();
            let pair = reference_pair(&ratio, &generic_beta(&ratio), reports);
            for delta in [0.03, 1e-3, 1e-6, 1e-12] {
                let central = shuffle.epsilon(delta);
                let exact = |central: f64| hockey_sticks(&pair, &exp(&rational(central)))[0].clone();
                assert!(exact(central) <= rational(delta), "{local} n {reports} delta {delta}: {central} is too small");
                let smaller = central * (1.0 - 1e-8);
                // What nobody could tell apart needs no epsilon at all.
                assert!(
                    central == 0.0 || exact(smaller) > rational(delta),
                    "{local} n {reports} delta {delta}: {smaller} would do"
                );
            }
        }
    }
}

#[test]
fn bounds_every_small_crowd_of_a_real_mechanism() {
    for (local, values) in [("0.5", 2), ("1.0", 2), ("2.0", 3), ("1.0", 4)] {
        let local = epsilon(local);
        let ratio = ratio(local);
        let beta = float(&((&ratio - RBig::ONE) / (&ratio + RBig::from(values as u64 - 1))));
        for others in 0..=5usize {
            let generic = Shuffle::generic(local, others as u64 + 1).unwrap();
            let own = Shuffle::new(local, beta, others as u64 + 1).unwrap();
            // All multisets of the others' values.
            for dataset in multisets(values, others) {
                let crowd = crowd_of_randomized_response(&ratio, values, &dataset);
                for central in [0.0, 0.2, 0.6, 0.9].map(|share| share * local.to_f64()) {
                    for exact in hockey_sticks(&crowd, &exp(&rational(central))) {
                        let own = own.delta(central);
                        assert!(rational(own) >= exact, "{values} values, {dataset:?}, central {central}: {own}");
                        assert!(generic.delta(central) >= own);
                    }
                }
            }
        }
    }
}

#[test]
fn merging_blanks_into_the_rest_would_understate() {
    // Two devices, three values, both device 0's truth and the other's are value 0.
    let ratio = ratio(epsilon("2.0"));
    let beta = (&ratio - RBig::ONE) / (&ratio + RBig::from(2));
    let factor = exp(&rational(1.8));
    let crowd = hockey_sticks(&crowd_of_randomized_response(&ratio, 3, &[0]), &factor)[0].clone();
    let pair = reference_pair(&ratio, &beta, 2);
    assert!(hockey_sticks(&pair, &factor)[0] >= crowd);
    assert!(hockey_sticks(&merged(pair), &factor)[0] < crowd * fraction(2, 3));
}

fn multisets(values: usize, size: usize) -> Vec<Vec<usize>> {
    (0..size).fold(vec![vec![]], |sets: Vec<Vec<usize>>, _| {
        let grown =
            |set: Vec<usize>| (set.last().copied().unwrap_or(0)..values).map(move |v| [&set[..], &[v]].concat());
        sets.into_iter().flat_map(grown).collect()
    })
}

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    epsilon: String,
    beta: Option<String>,
    reports: u64,
    delta: String,
    central: String,
}

#[test]
fn agrees_with_the_second_implementation() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/shuffle.json")).unwrap();
    assert!(vectors.cases.len() > 50);
    for Vector { epsilon: local, beta, reports, delta, central } in vectors.cases {
        let (shuffle, above) = match &beta {
            None => (Shuffle::generic(epsilon(&local), reports), 5e-9),
            // The spread of blanks is rounded up further, by tables that serve many sums.
            Some(beta) => (Shuffle::new(epsilon(&local), beta.parse().unwrap(), reports), 1e-5),
        };
        let found = shuffle.unwrap().epsilon(delta.parse().unwrap());
        // The vectors have nine digits.
        let error = found / central.parse::<f64>().unwrap() - 1.0;
        assert!(
            (-5e-9..above).contains(&error),
            "epsilon {local}, beta {beta:?}, n {reports}, delta {delta}: {found}, not {central} ({error:e})"
        );
    }
}

/// Feldman, McMillan, Talwar (FOCS 2021), theorem 3.1: a bound in closed form, looser than the numbers.
fn published(local: f64, reports: f64, delta: f64) -> Option<f64> {
    let ratio = local.exp();
    (local <= (reports / (16.0 * (2.0 / delta).ln())).ln()).then(|| {
        let crowd = 8.0 * (ratio * (4.0 / delta).ln() / reports).sqrt() + 8.0 * ratio / reports;
        (local.exp_m1() / (ratio + 1.0) * crowd).ln_1p()
    })
}

#[test]
fn lies_below_the_published_closed_form() {
    let mut compared = 0;
    for local in ["0.1", "0.5", "1.0", "2.0", "4.0", "6.0"].map(epsilon) {
        for reports in [1_000, 30_000, 1_000_000] {
            for delta in [1e-5, 1e-8, 1e-12] {
                let found = Shuffle::generic(local, reports).unwrap().epsilon(delta);
                if let Some(published) = published(local.to_f64(), reports as f64, delta) {
                    compared += 1;
                    assert!(found < published, "{local} {reports} {delta}: {found} {published}");
                }
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn more_reports_larger_delta_and_smaller_beta_never_cost_privacy() {
    // A bisected figure and its margins are this fine.
    const GRAIN: f64 = 1.0 + 1e-7;
    for local in ["0.000001", "0.2", "1.0", "4.0", "16.0"].map(epsilon) {
        let generic = (local.to_f64() / 2.0).tanh();
        let (mut over_beta, mut last_beta) = (vec![], 0.0);
        for share in [1e-6, 0.01, 0.3, 0.9, 1.0] {
            let mut over_reports = vec![];
            for reports in [1, 2, 3, 10, 100, 1_000, 30_000, 1_000_000] {
                let shuffle = Shuffle::new(local, share * generic, reports).unwrap();
                let over_delta = [1e-12, 1e-9, 1e-6, 1e-3, 0.1].map(|delta| shuffle.epsilon(delta));
                assert!(
                    over_delta.is_sorted_by(|more, less| less <= more),
                    "{local} {share} {reports}: {over_delta:?}"
                );
                assert!(over_delta.iter().all(|central| (0.0..=local.to_f64()).contains(central)));
                over_reports.push(over_delta[2]);
            }
            assert!(
                over_reports.is_sorted_by(|fewer, more| *more <= fewer * GRAIN),
                "{local} {share}: {over_reports:?}"
            );
            assert!(share * generic > last_beta);
            last_beta = share * generic;
            over_beta.push(over_reports);
        }
        for pair in over_beta.windows(2) {
            for (small, large) in pair[0].iter().zip(&pair[1]) {
                assert!(*small <= large * GRAIN, "{local}: {over_beta:?}");
            }
        }
    }
}

#[test]
fn one_report_keeps_its_local_epsilon() {
    for local in ["0.000001", "1.0", "16.0"].map(epsilon) {
        let alone = Shuffle::generic(local, 1).unwrap();
        assert_eq!(alone.epsilon(0.0), local.to_f64());
        assert!(alone.epsilon(1e-18) > local.to_f64() * (1.0 - 1e-9));
        assert_eq!(alone.delta(local.to_f64()), 0.0);
    }
}

/// The delta at `central` of telling apart two Gaussians a `shift` of deviations apart.
fn gaussian(shift: f64, central: f64) -> f64 {
    const STEP: f64 = 1e-4;
    let normal = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let excess = |z: f64| (normal(z - shift) - central.exp() * normal(z)).max(0.0);
    (0..150_000).map(|step| excess(f64::from(step) * STEP) * STEP).sum()
}

#[test]
fn a_billion_reports_show_what_gaussian_noise_would() {
    for (local, share) in [("1.0", 1.0), ("1.0", 0.1), ("4.0", 0.5)] {
        let beta = share * (epsilon(local).to_f64() / 2.0).tanh();
        let crowd = Shuffle::new(epsilon(local), beta, 1_000_000_000).unwrap();
        let central = crowd.epsilon(1e-12);
        let shift = (2.0 * beta * epsilon(local).to_f64().exp_m1() / 1e9).sqrt();
        let error = gaussian(shift, central) / 1e-12 - 1.0;
        assert!(error.abs() < 0.02, "epsilon {local}, beta {beta}: {central}, {error}");
    }
}

#[test]
fn more_reports_than_are_counted_are_bounded_by_those_that_are() {
    let counted = Shuffle::generic(epsilon("0.000001"), 10_000_000_000).unwrap();
    let all = Shuffle::generic(epsilon("0.000001"), u64::MAX).unwrap();
    assert_eq!(all, counted);
    assert!(all.epsilon(1e-12) < 1e-6);
}

#[test]
fn refuses_what_no_mechanism_can_be() {
    let one = epsilon("1.0");
    assert_eq!(Shuffle::generic(one, 0), Err(ShuffleError::NoReports));
    for local in ["0.0", "16.000001"].map(epsilon) {
        assert_eq!(Shuffle::generic(local, 10), Err(ShuffleError::LocalEpsilon(local)));
    }
    let largest = 0.5_f64.tanh();
    assert!(Shuffle::new(one, largest, 10).is_ok());
    for beta in [0.0, -0.1, largest + 1e-12, 1.0, f64::INFINITY, f64::NAN] {
        let refused = Shuffle::new(one, beta, 10);
        assert!(matches!(refused, Err(ShuffleError::TotalVariation { .. })), "{beta}: {refused:?}");
    }
    let crowd = Shuffle::generic(one, 10).unwrap();
    assert_eq!((crowd.delta(-0.1), crowd.delta(f64::NAN)), (1.0, 1.0));
    assert_eq!((crowd.epsilon(f64::NAN), crowd.epsilon(-1.0), crowd.epsilon(1.0)), (1.0, 1.0, 0.0));
}
