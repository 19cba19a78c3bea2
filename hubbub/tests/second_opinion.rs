//! OpenDP's samplers beside ours: for every mechanism that OpenDP can express, both draw the law that ours declares
//! exactly. What OpenDP's privacy map says of the same parameters is part of `hubbub audit`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hubbub_privacy::{Goal, Payload, Value};
use hubbub_randomizer::{ExpBound, FoldedGeometric, Mechanism, Subset, Window};
use opendp::domains::AtomDomain;
use opendp::measurements::{make_laplace, make_randomized_response, make_randomized_response_bool};
use opendp::measures::MaxDivergence;
use opendp::metrics::AbsoluteDistance;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// Draws of one sampler for one input: a probability near 1/2 that is off by 0.008 is found out.
const DRAWS: u32 = 100_000;

/// Fails when the hits contradict the law: n KL(q, p) is above 20 for a correct sampler with probability below 2 e^-20
/// per output (Chernoff), so all tests here together raise a false alarm once in a million runs.
fn assert_follows(law: &[f64], draw: impl Fn() -> u32, whose: &str) {
    let mut hits = vec![0u32; law.len()];
    (0..DRAWS).for_each(|_| hits[draw() as usize] += 1);
    let n = f64::from(DRAWS);
    for (y, (&p, hits)) in law.iter().zip(hits).enumerate() {
        let q = f64::from(hits) / n;
        let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
        let divergence = n * (part(q, p) + part(1.0 - q, 1.0 - p));
        assert!(divergence < 20.0, "{whose} output {y}: {q} where the law says {p}");
    }
}

/// Holds both samplers against the exact law, for each of `inputs`: a value of ours and what it is to OpenDP.
fn assert_same_law(mechanism: &Mechanism, inputs: &[(Value, u32)], theirs: impl Fn(u32) -> u32) {
    let rng = std::cell::RefCell::new(ChaCha20Rng::seed_from_u64(7));
    let payload = |y| match mechanism {
        Mechanism::Subset(_) => Payload::List(vec![y]),
        _ => Payload::Number(y),
    };
    for (value, x) in inputs {
        let outputs = mechanism.counters() as u32;
        let law: Vec<f64> = (0..outputs).map(|y| mechanism.probability(value, &payload(y)).to_f64().value()).collect();
        let ours = || match mechanism.randomize(value, &mut *rng.borrow_mut()) {
            Ok(Payload::Number(y)) => y,
            Ok(Payload::List(items)) => items[0],
        };
        assert_follows(&law, ours, "our");
        assert_follows(&law, || theirs(*x), "OpenDP's");
    }
}

fn bound(epsilon: &str) -> ExpBound {
    ExpBound::new(epsilon.parse().unwrap())
}

fn indices<const N: usize>(inputs: [u32; N]) -> [(Value, u32); N] {
    inputs.map(|x| (Value::Index(x), x))
}

#[test]
fn randomized_response_of_a_boolean() {
    let ours = Subset::new(&bound("0.5"), 2, 1);
    let theirs = make_randomized_response_bool(ours.pi1(), false).unwrap();
    let draw = |x| u32::from(theirs.invoke(&(x == 1)).unwrap());
    assert_same_law(&Mechanism::Subset(ours), &indices([0, 1]), draw);
}

#[test]
fn randomized_response_of_categories() {
    let ours = Subset::new(&bound("1"), 5, 1);
    let theirs = make_randomized_response((0..5u32).collect(), ours.pi1()).unwrap();
    assert_same_law(&Mechanism::Subset(ours), &indices([0, 2, 4]), |x| theirs.invoke(&x).unwrap());
}

#[test]
fn sets_of_one_item_are_categories_with_one_for_none() {
    let ours = Subset::of_sets(&bound("1"), 4, 1, 1);
    // Of one value and k = 1, pi1 is the probability of the coin.
    let theirs = make_randomized_response((0..5u32).collect(), ours.pi1()).unwrap();
    let inputs = [(Value::Items(vec![]), 4), (Value::Items(vec![1]), 1)];
    assert_same_law(&Mechanism::Subset(ours), &inputs, |x| theirs.invoke(&x).unwrap());
}

#[test]
fn windows_of_width_one() {
    let ours = Window::new(&bound("2"), 4, 1, Goal::Mean);
    let theirs = make_randomized_response((0..4u32).collect(), ours.law().p().to_f64().value()).unwrap();
    assert_same_law(&Mechanism::Window(ours), &indices([0, 3]), |x| theirs.invoke(&x).unwrap());
}

#[test]
fn folded_geometric_is_clamped_discrete_laplace() {
    const MAX: u32 = 6;
    let ours = FoldedGeometric::new("2".parse().unwrap(), MAX).unwrap();
    let alpha = ours.chance(MAX, 0) / ours.chance(MAX - 1, 0);
    let (domain, metric) = (AtomDomain::<i64>::default(), AbsoluteDistance::<i64>::default());
    let theirs = make_laplace::<_, _, MaxDivergence>(domain, metric, -1.0 / alpha.ln(), None).unwrap();
    let draw = |x| theirs.invoke(&i64::from(x)).unwrap().clamp(0, i64::from(MAX)) as u32;
    assert_same_law(&Mechanism::FoldedGeometric(ours), &indices([0, 2, 6]), draw);
}
