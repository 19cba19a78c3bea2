//! Planted lies: samplers and laws that are wrong in one small way. Each goes through the same public check as the
//! shipped mechanisms, and each must be caught by it.

use dashu_ratio::RBig;
use hubbub_privacy::Payload;
use hubbub_randomizer::conformance::{self, Law, SplitMix, Violation};
use hubbub_randomizer::{ExpBound, FoldedGeometric, Subset};
use rand_core::{Rng, TryCryptoRng, TryRng};

type Sample<M> = Box<dyn Fn(&M, u32, &mut dyn FnMut() -> u64) -> Payload>;
type Contribution = Box<dyn Fn(u32, &Payload) -> RBig>;

/// A mechanism with its sampler or its estimator replaced; the declared law stays.
struct Mutant<M> {
    honest: M,
    sample: Option<Sample<M>>,
    contribution: Option<Contribution>,
}

impl<M: Law> Law for Mutant<M> {
    fn inputs(&self) -> u32 {
        self.honest.inputs()
    }
    fn outputs(&self) -> Vec<Payload> {
        self.honest.outputs()
    }
    fn probability(&self, x: u32, output: &Payload) -> RBig {
        self.honest.probability(x, output)
    }
    fn randomize<R: TryCryptoRng + ?Sized>(&self, x: u32, rng: &mut R) -> Result<Payload, R::Error> {
        match &self.sample {
            // The generators of the kit never fail.
            Some(sample) => Ok(sample(&self.honest, x, &mut || rng.try_next_u64().unwrap_or(0))),
            None => self.honest.randomize(x, rng),
        }
    }
    fn counters(&self) -> usize {
        self.honest.counters()
    }
    fn support(&self, output: &Payload) -> Vec<u32> {
        self.honest.support(output)
    }
    fn statistics(&self) -> u32 {
        self.honest.statistics()
    }
    fn truth(&self, statistic: u32, x: u32) -> RBig {
        self.honest.truth(statistic, x)
    }
    fn contribution(&self, statistic: u32, output: &Payload) -> RBig {
        match &self.contribution {
            Some(contribution) => contribution(statistic, output),
            None => self.honest.contribution(statistic, output),
        }
    }
    fn estimator_error(&self) -> RBig {
        self.honest.estimator_error()
    }
}

/// A mechanism whose sampler lies.
fn sampled<M>(honest: M, sample: impl Fn(&M, u32, &mut dyn FnMut() -> u64) -> Payload + 'static) -> Mutant<M> {
    Mutant { honest, sample: Some(Box::new(sample)), contribution: None }
}

/// A generator over a word source.
struct Words<'a>(&'a mut dyn FnMut() -> u64);

impl TryRng for Words<'_> {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.0)() as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok((self.0)())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| (self.0)() as u8);
        Ok(())
    }
}
impl TryCryptoRng for Words<'_> {}

fn bound() -> ExpBound {
    ExpBound::new("1".parse().unwrap())
}

fn subset() -> Subset {
    Subset::new(&bound(), 5, 2)
}

fn honest<M: Law>(mechanism: &M, x: u32, words: &mut dyn FnMut() -> u64) -> Payload {
    let Ok(payload) = mechanism.randomize(x, &mut Words(words));
    payload
}

fn verdict(sample: impl Fn(&Subset, u32, &mut dyn FnMut() -> u64) -> Payload + 'static) -> Result<(), Violation> {
    conformance::check(&sampled(subset(), sample), &bound(), 3)
}

/// The coin decided by another threshold than the declared one.
fn with_threshold(shift: impl Fn(f64) -> f64 + 'static) -> impl Fn(&Subset, u32, &mut dyn FnMut() -> u64) -> Payload {
    move |subset, x, words| {
        let t = subset.law().threshold();
        let lie = (shift(t as f64 / 2f64.powi(64)) * 2f64.powi(64)) as u64;
        let word = words();
        // Any word below t means inside to the honest sampler, any other outside.
        let mut first = Some(if word < lie { 0 } else { u64::MAX });
        honest(subset, x, &mut || first.take().unwrap_or_else(&mut *words))
    }
}

#[test]
fn the_honest_sampler_passes_through_the_same_door() {
    assert_eq!(verdict(honest), Ok(()));
}

#[test]
fn a_shifted_coin_is_caught() {
    assert!(matches!(
        verdict(with_threshold(|p| p * 1.01)),
        Err(Violation::Joint { .. } | Violation::Frequency { .. })
    ));
    assert!(matches!(
        verdict(with_threshold(|p| p * 0.99)),
        Err(Violation::Joint { .. } | Violation::Frequency { .. })
    ));
    assert!(verdict(with_threshold(|p| 1.0 - p)).is_err(), "p and q swapped");
    assert!(verdict(with_threshold(|p| (p * 64.0).round() / 64.0)).is_err(), "a 6-bit threshold");
}

#[test]
fn a_biased_choice_is_caught() {
    // A modulo in place of Lemire's method: a 4-bit word modulo 3 gives 0 six times in sixteen, 1 and 2 five times.
    let biased = |subset: &Subset, x, words: &mut dyn FnMut() -> u64| {
        let mut n = 0;
        honest(subset, x, &mut || {
            n += 1;
            if n != 3 { words() } else { (((words() >> 60) % 3) * (u64::MAX / 3)).saturating_add(1 << 40) }
        })
    };
    assert!(matches!(verdict(biased), Err(Violation::Joint { .. })));
}

#[test]
fn a_skipped_coordinate_is_caught() {
    let skipped = |subset: &Subset, x, words: &mut dyn FnMut() -> u64| {
        if x == 0 { Payload::List(vec![0, 1 + (words() % 4) as u32]) } else { honest(subset, x, words) }
    };
    assert!(verdict(skipped).is_err());
}

#[test]
fn outputs_outside_the_law_are_caught() {
    let alone = |_: &Subset, x, _: &mut dyn FnMut() -> u64| Payload::List(vec![x]);
    assert!(verdict(alone).is_err());
}

#[test]
fn a_stuck_generator_is_caught() {
    let stuck = |subset: &Subset, x, words: &mut dyn FnMut() -> u64| {
        let word = words();
        honest(subset, x, &mut || word)
    };
    assert!(verdict(stuck).is_err(), "one word for everything");
    // Each pair of reports shares its words: every single frequency is right, only independence is not.
    let calls = std::cell::Cell::new(0u64);
    let reused = move |subset: &Subset, x, _: &mut dyn FnMut() -> u64| {
        let call = calls.replace(calls.get() + 1);
        let mut rng = SplitMix::new((call / 2).wrapping_mul(0x2545_f491_4f6c_dd1d));
        honest(subset, x, &mut || rng.next_u64())
    };
    assert!(matches!(verdict(reused), Err(Violation::Dependent { .. })));
}

#[test]
fn an_estimator_of_another_law_is_caught() {
    assert_eq!(conformance::check_unbiased(&subset()), Ok(()));
    // The estimator of another k: its pi1 and pi0 do not fit the law.
    let other = Subset::new(&bound(), 5, 1);
    let contribution: Contribution = Box::new(move |statistic, output| other.contribution(statistic, output));
    let mutant = Mutant { honest: subset(), sample: None, contribution: Some(contribution) };
    assert!(matches!(conformance::check_unbiased(&mutant), Err(Violation::Bias { .. })));
}

#[test]
fn a_law_above_its_epsilon_is_caught() {
    for epsilon in ["1.000001", "1.1"] {
        let greedy = Subset::new(&ExpBound::new(epsilon.parse().unwrap()), 5, 2);
        assert!(matches!(conformance::check_privacy(&greedy, &bound()), Err(Violation::Privacy { .. })));
    }
    let greedy = FoldedGeometric::new("1.000001".parse().unwrap(), 9).unwrap();
    assert!(matches!(conformance::check_privacy(&greedy, &bound()), Err(Violation::Privacy { .. })));
}

#[test]
fn a_float_noise_sampler_for_counts_is_caught() {
    let folded = FoldedGeometric::new("2".parse().unwrap(), 5).unwrap();
    let noise = |_: &FoldedGeometric, x: u32, words: &mut dyn FnMut() -> u64| {
        // Rounded continuous Laplace noise of the same scale: close, and not the law.
        let u = (words() >> 11) as f64 / 2f64.powi(53) - 0.5;
        let noise = -2.5 * u.signum() * (1.0 - 2.0 * u.abs()).ln();
        Payload::Number((f64::from(x) + noise).round().clamp(0.0, 5.0) as u32)
    };
    let bound = ExpBound::new("2".parse().unwrap());
    assert_eq!(conformance::check(&folded, &bound, 3), Ok(()));
    assert!(conformance::check(&sampled(folded, noise), &bound, 3).is_err());
}
