//! Samplers of counts that follow another law than the folded geometric one.

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::{Payload, Value};
use hubbub_randomizer::conformance::Law;
use hubbub_randomizer::{FoldedGeometric, Mechanism};

use super::{Planted, assert_caught, folded, honest, index, sampler};

const MAX: u32 = 4;

/// Rounded Laplace noise of the same scale as the geometric noise, from a float.
fn laplace(word: u64) -> f64 {
    let u = (word >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    -f64::from(MAX) * u.signum() * (1.0 - 2.0 * u.abs()).max(f64::MIN_POSITIVE).ln()
}

/// The edges of a table, as the honest sampler of another mechanism has them.
fn report(edges: &[u64], word: u64) -> u32 {
    edges.iter().filter(|&&edge| edge <= word).count() as u32
}

fn edges(mechanism: &FoldedGeometric, x: &Value) -> Vec<u64> {
    mechanism.coin(x).map_or_else(Vec::new, |coin| coin.edges)
}

/// What the floors of a row miss, which belongs to the diagonal: w_x(x) less floor(2^64 (1-alpha)/(1+alpha)), or at an end
/// less floor(2^64/(1+alpha)).
fn remainder(mechanism: &FoldedGeometric, x: u32) -> u64 {
    let parameters = Mechanism::FoldedGeometric(mechanism.clone()).parameters();
    let alpha: UBig = parameters["alpha_2_64"].as_str().unwrap().parse().unwrap();
    let one = UBig::ONE << 64;
    let top = if x == 0 || x == MAX { one.clone() } else { &one - &alpha };
    let floor = (top << 64) / (&one + &alpha);
    let weight = mechanism.probability(&Value::Index(x), &Payload::Number(x)) * RBig::from(one);
    u64::try_from(UBig::try_from(weight.floor()).unwrap() - floor).unwrap()
}

pub fn lies() -> Vec<Planted> {
    vec![
        sampler("counts: float Laplace noise, rounded and clamped", "coin", folded(), |_, x, words| {
            let noisy = (f64::from(index(x)) + laplace(words())).round();
            Payload::Number(noisy.clamp(0.0, f64::from(MAX)) as u32)
        }),
        sampler("counts: noise is drawn again until it stays in range", "coin", folded(), |mechanism, x, words| {
            // The honest row without the tails: every end weighs (1 - alpha) of what it should.
            let alpha: f64 = (-1.0 / f64::from(MAX)).exp();
            let weight = |y: u32| alpha.powf(f64::from(index(x).abs_diff(y)));
            let total: f64 = (0..=MAX).map(weight).sum();
            let ends = (0..=mechanism.max()).scan(0.0, |sum, y| {
                *sum += weight(y) / total;
                Some((*sum * 2f64.powi(64)) as u64)
            });
            Payload::Number(report(&ends.take(MAX as usize).collect::<Vec<_>>(), words()))
        }),
        sampler("counts: noise is reflected at the ends", "coin", folded(), |_, x, words| {
            let noisy = (f64::from(index(x)) + laplace(words())).round().abs();
            let (period, max) = (f64::from(2 * MAX), f64::from(MAX));
            let within = noisy % period;
            Payload::Number(if within > max { period - within } else { within } as u32)
        }),
        sampler("counts: alpha of another largest count", "coin", folded(), |_, x, words| {
            let other = FoldedGeometric::new("1".parse().unwrap(), MAX + 1).unwrap();
            Payload::Number(report(&edges(&other, x), words()).min(MAX))
        }),
        sampler("counts: alpha of another epsilon", "coin", folded(), |_, x, words| {
            let other = FoldedGeometric::new("1.001".parse().unwrap(), MAX).unwrap();
            Payload::Number(report(&edges(&other, x), words()))
        }),
        sampler("counts: the remainder on the first cell", "coin", folded(), |mechanism, x, words| {
            let moved = remainder(mechanism, index(x));
            let below_diagonal = index(x) as usize;
            let edges = edges(mechanism, x).into_iter().enumerate();
            let edges: Vec<u64> = edges.map(|(y, edge)| edge + if y < below_diagonal { moved } else { 0 }).collect();
            Payload::Number(report(&edges, words()))
        }),
        sampler("counts: the largest count is never randomized", "coin", folded(), |mechanism, x, words| {
            let payload = honest(mechanism, x, words);
            if index(x) == MAX { Payload::Number(MAX) } else { payload }
        }),
        sampler("counts: the row of the count above", "coin", folded(), |mechanism, x, words| {
            honest(mechanism, &Value::Index((index(x) + 1).min(MAX)), words)
        }),
    ]
}

#[test]
fn a_remainder_is_there_to_be_misplaced() {
    let mechanism = folded();
    assert!((1..=MAX).any(|x| remainder(&mechanism, x) > 0 && remainder(&mechanism, x) <= u64::from(MAX) + 1));
}

#[test]
fn every_lie_about_counts_is_caught() {
    assert_caught(&lies());
}
