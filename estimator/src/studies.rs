//! Seeded simulations through the real mechanisms: do the errors and intervals keep what they promise?
//!
//! Every verdict allows for the study's own error, five standard errors wide, so that another seed would pass as well.

use hubbub_privacy::{Counters, Value};
use hubbub_randomizer::{ExpBound, FoldedGeometric, Mechanism, Subset};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::row::Figure;
use crate::{count, share, window};

const SIGMAS: f64 = 5.0;

/// Shares proportional to 1 / (x + 1): few common values, many rare ones.
fn zipf(d: usize) -> Vec<f64> {
    let weights: Vec<f64> = (1..=d).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

fn draw(truth: &[f64], rng: &mut ChaCha12Rng) -> u32 {
    let mut left = (rng.next_u64() >> 11) as f64 / 2f64.powi(53);
    let at = truth.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    at.unwrap_or(truth.len() - 1) as u32
}

fn collect(mechanism: &Mechanism, devices: impl Iterator<Item = u32>, rng: &mut ChaCha12Rng) -> Vec<Figure> {
    let mut counters = Counters::new(mechanism.counters());
    // Devices are drawn before their noise, from the same generator, so the two must not be interleaved lazily.
    for device in devices.collect::<Vec<_>>() {
        let Ok(payload) = mechanism.randomize(&Value::Index(device), rng);
        mechanism.fold(&payload, &mut counters).unwrap();
    }
    match mechanism {
        Mechanism::Subset(subset) => share::decode(subset, &counters),
        Mechanism::Cyclotomic(cyclotomic) => share::decode_cyclotomic(cyclotomic, &counters),
        Mechanism::Window(window) => window::decode_counts(window, &counters).to_vec(),
        Mechanism::FoldedGeometric(folded) => count::decode(folded, &counters).to_vec(),
    }
}

fn subset(d: u32) -> Mechanism {
    Mechanism::Subset(Subset::optimal(&ExpBound::new("1".parse().unwrap()), d))
}

fn folded() -> Mechanism {
    Mechanism::FoldedGeometric(FoldedGeometric::new("1".parse().unwrap(), 12).unwrap())
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Whether 95 % intervals of figures about a new random crowd each time hold the truth of the population, 94 to 96 % of
/// the time. Intervals of one crowd are not independent; whole crowds are.
fn coverage(mechanism: &Mechanism, population: &[f64], truths: &[f64], crowds: usize, devices: usize, seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let covered: Vec<f64> = (0..crowds)
        .map(|_| {
            let crowd: Vec<u32> = (0..devices).map(|_| draw(population, &mut rng)).collect();
            let figures = collect(mechanism, crowd.into_iter(), &mut rng);
            let holds = figures
                .iter()
                .zip(truths)
                .filter(|(figure, truth)| figure.ci95.is_some_and(|(low, high)| (low..=high).contains(truth)));
            holds.count() as f64 / truths.len() as f64
        })
        .collect();
    let (coverage, error) = mean(&covered);
    println!("coverage {coverage:.4}, standard error of the study {error:.4}");
    assert!((0.94 - SIGMAS * error..=0.96 + SIGMAS * error).contains(&coverage), "{coverage} +- {error}");
    assert!(error < 0.01, "the study is too small to say anything: {error}");
}

#[test]
fn intervals_of_shares_cover_the_population() {
    let population = zipf(16);
    coverage(&subset(16), &population, &population, 400, 2000, 20_261_101);
}

#[test]
fn intervals_of_small_crowds_and_booleans_cover_too() {
    let population = [0.97, 0.03];
    coverage(&subset(2), &population, &population, 2000, 150, 20_261_102);
}

#[test]
fn intervals_of_means_cover_the_population() {
    let population = zipf(13);
    let truth: f64 = (0..).zip(&population).map(|(x, share)| f64::from(x) * share).sum();
    coverage(&folded(), &population, &[truth], 2000, 400, 20_261_103);
}

/// Whether `noise_std_error` is the spread of estimates about the same devices, and the estimates' mean their truth.
fn noise(mechanism: &Mechanism, crowd: &[u32], truths: &[f64], repetitions: usize, seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let runs: Vec<Vec<Figure>> =
        (0..repetitions).map(|_| collect(mechanism, crowd.iter().copied(), &mut rng)).collect();
    for (at, truth) in truths.iter().enumerate() {
        let estimates: Vec<f64> = runs.iter().map(|run| run[at].estimate).collect();
        let (average, error) = mean(&estimates);
        assert!((average - truth).abs() < SIGMAS * error, "{at}: {average} +- {error}, not {truth}");
        let claimed: Vec<f64> = runs.iter().map(|run| run[at].noise_std_error.unwrap().powi(2)).collect();
        let realized = error.powi(2) * repetitions as f64;
        let ratio = realized / mean(&claimed).0;
        // The sample variance of R normal numbers has a relative standard error of sqrt(2 / (R - 1)).
        let allowed = SIGMAS * (2.0 / (repetitions as f64 - 1.0)).sqrt();
        assert!((ratio - 1.0).abs() < allowed, "{at}: realized / claimed variance is {ratio}, allowed 1 +- {allowed}");
    }
}

#[test]
fn noise_errors_of_shares_are_those_of_the_same_devices_asked_again() {
    // 4000 devices: value 0 has 60 %, 1 has 30 %, 2 has 10 %, the rest nobody.
    let crowd: Vec<u32> = (0..4000).map(|device| [0, 0, 0, 0, 0, 0, 1, 1, 1, 2][device % 10]).collect();
    noise(&subset(8), &crowd, &[0.6, 0.3, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0], 1000, 20_261_104);
    noise(&subset(2), &crowd.iter().map(|&device| device.min(1)).collect::<Vec<_>>(), &[0.6, 0.4], 1000, 20_261_105);
}

#[test]
fn noise_errors_of_means_are_those_of_the_same_devices_asked_again() {
    let crowd: Vec<u32> = (0..2000).map(|device| [0, 0, 0, 0, 0, 1, 1, 2, 5, 12][device % 10]).collect();
    noise(&folded(), &crowd, &[2.1, 4200.0], 1000, 20_261_106);
}
