//! Declared laws that break the bound, leave something out or do not fit the coin, and estimators of other laws.

use dashu_int::UBig;
use dashu_ratio::RBig;
use hubbub_privacy::{Goal, Payload, Value};
use hubbub_randomizer::conformance::{self, Coin, Law};
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

use super::{
    Mutant, Planted, SEED, assert_caught, bound, cyclotomic, folded, honest, planted, subset, subset_of_sets, window,
};

/// Honest mechanisms of a slightly larger epsilon, held against epsilon 1.
fn greedy(family: &str, mechanism: impl Law + 'static) -> Planted {
    Planted::new(format!("{family}: the law of epsilon 1.000001"), "privacy", move || {
        conformance::check(&mechanism, &bound(), SEED)
    })
}

/// `numerator` of 2^64.
fn of_all_words(numerator: impl Into<UBig>) -> RBig {
    RBig::from(numerator.into()) / RBig::from(UBig::ONE << 64)
}

/// The law of the subset mechanism with another threshold: each of the C(4,1) = 4 pairs inside, of the 6 outside.
fn with_threshold(threshold: u64) -> impl Fn(&Subset, &Value, &Payload) -> RBig + 'static {
    move |subset, x, output| {
        if subset.side(x, output) == 0 {
            of_all_words(threshold) / RBig::from(4)
        } else {
            (RBig::ONE - of_all_words(threshold)) / RBig::from(6)
        }
    }
}

fn shifted(coin: Coin) -> Coin {
    let edges = coin.edges.into_iter().map(|edge| (edge as f64 * 1.001) as u64).collect();
    Coin { edges, ..coin }
}

fn fraction(numerator: u32, denominator: u32) -> RBig {
    RBig::from(numerator) / RBig::from(denominator)
}

fn of_laws() -> Vec<Planted> {
    let above = || ExpBound::new("1.000001".parse().unwrap());
    let threshold = subset().law().threshold();
    vec![
        greedy("subset", Subset::new(&above(), 5, 2)),
        greedy("sets", Subset::of_sets(&above(), 4, 2, 2)),
        greedy("cyclotomic", Cyclotomic::new(&above(), 7, 3, 1)),
        greedy("window", Window::new(&above(), 5, 3, Goal::Mean)),
        greedy("folded geometric", FoldedGeometric::new("1.000001".parse().unwrap(), 4).unwrap()),
        planted("subset: a threshold rounded up", "privacy", move || {
            Mutant::of(subset()).with_probability(with_threshold(threshold + 1))
        }),
        planted("subset: a law that leaves some probability out", "privacy", || {
            Mutant::of(subset()).with_probability(|subset, x, output| {
                let p = subset.probability(x, output);
                if subset.side(x, output) == 0 { p } else { p * fraction(999, 1000) }
            })
        }),
        planted("subset: a coin declared one word too small", "coin", move || {
            Mutant::of(subset()).with_coin(move |_, _| Some(Coin { words_before: 0, edges: vec![threshold - 1] }))
        }),
        planted("window: coin and sampler both 0.1 % too large, the law is not", "coin", || {
            let lying = |mechanism: &Window, x: &Value| mechanism.coin(x).map(shifted);
            Mutant::of(window()).with_coin(lying).with_sample(move |mechanism, x, words| {
                let (edge, word) = (lying(mechanism, x).unwrap().edges[0], words());
                let mut coin = Some(if word < edge { 0 } else { u64::MAX });
                honest(mechanism, x, &mut || coin.take().unwrap_or_else(&mut *words))
            })
        }),
        planted("window: a coin that is not declared", "coin", || Mutant::of(window()).with_coin(|_, _| None)),
        planted("cyclotomic: the coin is declared one word late", "coin", || {
            Mutant::of(cyclotomic()).with_coin(|mechanism, x| {
                mechanism.coin(x).map(|coin| Coin { words_before: coin.words_before + 1, ..coin })
            })
        }),
        planted("subset: the first value is not listed, so nobody looks at it", "inputs", || {
            Mutant::of(subset()).with_inputs((1..5).map(Value::Index).collect())
        }),
        planted("sets: only sets without the last value are listed", "inputs", || {
            let inputs = subset_of_sets().inputs().into_iter();
            let inputs = inputs.filter(|x| !matches!(x, Value::Items(items) if items.contains(&3)));
            Mutant::of(subset_of_sets()).with_inputs(inputs.collect())
        }),
        planted("folded geometric: one count only is listed", "inputs", || {
            Mutant::of(folded()).with_inputs(vec![Value::Index(2)])
        }),
    ]
}

/// The contribution of a family of sets with other probabilities than its own.
fn contribution(supports: bool, pi1: &RBig, pi0: &RBig) -> RBig {
    (if supports { RBig::ONE } else { RBig::ZERO } - pi0) / (pi1 - pi0)
}

fn holds(output: &Payload, value: u32) -> bool {
    matches!(output, Payload::List(items) if items.contains(&value))
}

fn of_estimators() -> Vec<Planted> {
    let of_subset = |name: &str, change: fn(RBig, RBig) -> (RBig, RBig)| {
        planted(format!("subset: {name}"), "unbiased", move || {
            Mutant::of(subset()).with_contribution(move |subset, value, output| {
                let support = subset.support();
                let (pi1, pi0) = change(support.exact_pi1().clone(), support.exact_pi0().clone());
                contribution(holds(output, value), &pi1, &pi0)
            })
        })
    };
    vec![
        of_subset("pi0 1 % too small", |pi1, pi0| (pi1, pi0 * fraction(99, 100))),
        of_subset("pi1 1 % too large", |pi1, pi0| (pi1 * fraction(101, 100), pi0)),
        of_subset("pi1 rounded to f32", |pi1, pi0| (RBig::try_from(pi1.to_f64().value() as f32).unwrap(), pi0)),
        of_subset("pi1 and 1 - pi1 swapped", |pi1, pi0| (RBig::ONE - pi1, pi0)),
        of_subset("shares not corrected at all", |_, _| (RBig::ONE, RBig::ZERO)),
        planted("subset: pi1 and pi0 of another k", "unbiased", || {
            let other = Subset::new(&bound(), 5, 1);
            Mutant::of(subset()).with_contribution(move |_, value, output| other.contribution(value, output))
        }),
        planted("sets: pi1 and pi0 of another m", "unbiased", || {
            let other = Subset::of_sets(&bound(), 4, 3, 2);
            Mutant::of(subset_of_sets()).with_contribution(move |_, value, output| other.contribution(value, output))
        }),
        planted("cyclotomic: overlaps as if supports were independent", "unbiased", || {
            // pi0 = r/K instead of the average over what a report supports besides the truth.
            Mutant::of(cyclotomic()).with_contribution(|mechanism, value, output| {
                let pi0 = fraction(mechanism.inside(), mechanism.prime());
                contribution(mechanism.side(&Value::Index(value), output) == 0, mechanism.support().exact_pi1(), &pi0)
            })
        }),
        planted("window: the report itself as the mean", "unbiased", || {
            Mutant::of(window()).with_contribution(|_, _, output| match output {
                Payload::Number(y) => RBig::from(*y),
                Payload::List(_) => RBig::ZERO,
            })
        }),
        planted("window: a and b of another width", "unbiased", || {
            let other = Window::new(&bound(), 5, 2, Goal::Mean);
            Mutant::of(window()).with_contribution(move |_, mean, output| other.contribution(mean, output))
        }),
        planted("folded geometric: the fold is ignored", "unbiased", || {
            Mutant::of(folded()).with_contribution(|_, _, output| match output {
                Payload::Number(y) => RBig::from(*y),
                Payload::List(_) => RBig::ZERO,
            })
        }),
        planted("folded geometric: g of another epsilon", "unbiased", || {
            let other = FoldedGeometric::new("1.001".parse().unwrap(), 4).unwrap();
            Mutant::of(folded()).with_contribution(move |_, mean, output| other.contribution(mean, output))
        }),
    ]
}

pub fn lies() -> Vec<Planted> {
    let mut lies = of_laws();
    lies.extend(of_estimators());
    lies
}

#[test]
fn every_lying_law_and_estimator_is_caught() {
    assert_caught(&lies());
}
