//! Planted lies: mechanisms and devices that are wrong in one small way. Each goes through the same public check as the
//! shipped ones, and each must be caught by the check that is named for it.

mod categories;
mod clean;
mod coins;
mod counts;
mod device;
mod generators;
mod laws;
mod sets;
mod windows;

use std::collections::BTreeSet;
use std::convert::Infallible;

use dashu_ratio::RBig;
use hubbub_privacy::{Goal, Payload, Value};
use hubbub_randomizer::conformance::{self, Coin, Law, Violation};
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window, uniform};
use rand_core::{TryCryptoRng, TryRng};

/// One seed for all: what is caught is caught by power, not by luck.
const SEED: u64 = 3;

/// Where a sampler's words come from.
type Source<'a> = &'a mut dyn FnMut() -> u64;
type Sample<M> = Box<dyn Fn(&M, &Value, Source) -> Payload>;
type Probability<M> = Box<dyn Fn(&M, &Value, &Payload) -> RBig>;
type Contribution<M> = Box<dyn Fn(&M, u32, &Payload) -> RBig>;
type Declaration<M> = Box<dyn Fn(&M, &Value) -> Option<Coin>>;

/// A mechanism with some of its parts replaced.
struct Mutant<M> {
    honest: M,
    inputs: Option<Vec<Value>>,
    probability: Option<Probability<M>>,
    sample: Option<Sample<M>>,
    coin: Option<Declaration<M>>,
    contribution: Option<Contribution<M>>,
}

impl<M: Law> Mutant<M> {
    fn of(honest: M) -> Self {
        Self { honest, inputs: None, probability: None, sample: None, coin: None, contribution: None }
    }

    fn with_inputs(self, inputs: Vec<Value>) -> Self {
        Self { inputs: Some(inputs), ..self }
    }

    fn with_probability(self, probability: impl Fn(&M, &Value, &Payload) -> RBig + 'static) -> Self {
        Self { probability: Some(Box::new(probability)), ..self }
    }

    fn with_sample(self, sample: impl Fn(&M, &Value, Source) -> Payload + 'static) -> Self {
        Self { sample: Some(Box::new(sample)), ..self }
    }

    fn with_coin(self, coin: impl Fn(&M, &Value) -> Option<Coin> + 'static) -> Self {
        Self { coin: Some(Box::new(coin)), ..self }
    }

    fn with_contribution(self, contribution: impl Fn(&M, u32, &Payload) -> RBig + 'static) -> Self {
        Self { contribution: Some(Box::new(contribution)), ..self }
    }
}

impl<M: Law> Law for Mutant<M> {
    fn inputs(&self) -> Vec<Value> {
        self.inputs.clone().unwrap_or_else(|| self.honest.inputs())
    }
    fn outputs(&self) -> Vec<Payload> {
        self.honest.outputs()
    }
    fn probability(&self, x: &Value, output: &Payload) -> RBig {
        match &self.probability {
            Some(probability) => probability(&self.honest, x, output),
            None => self.honest.probability(x, output),
        }
    }
    fn randomize<R: TryCryptoRng + ?Sized>(&self, x: &Value, rng: &mut R) -> Result<Payload, R::Error> {
        match &self.sample {
            // The generators of the kit never fail.
            Some(sample) => Ok(sample(&self.honest, x, &mut || rng.try_next_u64().unwrap_or(0))),
            None => self.honest.randomize(x, rng),
        }
    }
    fn coin(&self, x: &Value) -> Option<Coin> {
        match &self.coin {
            Some(coin) => coin(&self.honest, x),
            None => self.honest.coin(x),
        }
    }
    fn side(&self, x: &Value, output: &Payload) -> usize {
        self.honest.side(x, output)
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
    fn truth(&self, statistic: u32, x: &Value) -> RBig {
        self.honest.truth(statistic, x)
    }
    fn contribution(&self, statistic: u32, output: &Payload) -> RBig {
        match &self.contribution {
            Some(contribution) => contribution(&self.honest, statistic, output),
            None => self.honest.contribution(statistic, output),
        }
    }
    fn estimator_error(&self) -> RBig {
        self.honest.estimator_error()
    }
}

/// A generator over a word source.
struct Words<'a>(Source<'a>);

impl TryRng for Words<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0)() as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok((self.0)())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&(self.0)().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
impl TryCryptoRng for Words<'_> {}

/// What the honest sampler makes of these words.
fn honest<M: Law>(mechanism: &M, x: &Value, words: Source) -> Payload {
    let Ok(payload) = mechanism.randomize(x, &mut Words(words));
    payload
}

/// A uniform integer below `n`, as the shipped samplers draw it.
fn below(n: u32, words: Source) -> u32 {
    let Ok(index) = uniform::below(n.into(), &mut Words(words));
    index as u32
}

/// The first `length` of a uniform order of `0..n`.
fn sequence(n: u32, length: u32, words: Source) -> Vec<u32> {
    let Ok(items) = uniform::sequence(n, length, &mut Words(words));
    items
}

fn index(x: &Value) -> u32 {
    let Value::Index(x) = x else { panic!("{x:?} is a set") };
    *x
}

fn bound() -> ExpBound {
    ExpBound::new("1".parse().unwrap())
}

fn subset() -> Subset {
    Subset::new(&bound(), 5, 2)
}

fn subset_of_sets() -> Subset {
    Subset::of_sets(&bound(), 4, 2, 2)
}

/// K = 7, g = 3, r = 2.
fn cyclotomic() -> Cyclotomic {
    Cyclotomic::new(&bound(), 7, 3, 1)
}

fn window() -> Window {
    Window::new(&bound(), 5, 3, Goal::Mean)
}

fn folded() -> FoldedGeometric {
    FoldedGeometric::new("1".parse().unwrap(), 4).unwrap()
}

/// A lie, and the check that must catch it.
struct Planted {
    name: String,
    caught_by: &'static str,
    verdict: Box<dyn Fn() -> Result<(), Violation>>,
}

impl Planted {
    fn new(
        name: impl Into<String>,
        caught_by: &'static str,
        verdict: impl Fn() -> Result<(), Violation> + 'static,
    ) -> Self {
        Self { name: name.into(), caught_by, verdict: Box::new(verdict) }
    }
}

/// A lie about a mechanism of epsilon 1, before the check that everything goes through.
fn planted<M: Law + 'static>(
    name: impl Into<String>,
    caught_by: &'static str,
    mutant: impl Fn() -> Mutant<M> + 'static,
) -> Planted {
    Planted::new(name, caught_by, move || conformance::check(&mutant(), &bound(), SEED))
}

/// A lying sampler of an honest law.
fn sampler<M: Law + Clone + 'static>(
    name: impl Into<String>,
    caught_by: &'static str,
    honest: M,
    sample: impl Fn(&M, &Value, Source) -> Payload + Clone + 'static,
) -> Planted {
    planted(name, caught_by, move || Mutant::of(honest.clone()).with_sample(sample.clone()))
}

/// Every lie is caught, and by the check that is named for it.
fn assert_caught(lies: &[Planted]) {
    let mut escaped = Vec::new();
    for Planted { name, caught_by, verdict } in lies {
        match verdict() {
            Err(violation) if violation.check() == *caught_by => println!("{caught_by:12} {name}: {violation}"),
            other => escaped.push(format!("{name}: {other:?} instead of {caught_by}")),
        }
    }
    assert!(escaped.is_empty(), "{}", escaped.join("\n"));
}

#[test]
fn the_honest_mechanisms_pass_through_the_same_door() {
    fn passes<M: Law + 'static>(mechanism: M) {
        let same = Mutant::of(mechanism).with_sample(honest);
        assert_eq!(conformance::check(&same, &bound(), SEED), Ok(()));
    }
    passes(subset());
    passes(subset_of_sets());
    passes(cyclotomic());
    passes(window());
    passes(folded());
}

#[test]
fn there_are_enough_lies_and_each_is_another() {
    let mechanisms = [
        coins::lies(),
        generators::lies(),
        categories::lies(),
        sets::lies(),
        windows::lies(),
        counts::lies(),
        laws::lies(),
    ];
    let names: Vec<&str> = mechanisms.iter().flatten().map(|lie| lie.name.as_str()).collect();
    println!("{} lies about mechanisms, {} about devices", names.len(), device::LIES.len());
    assert!(names.len() >= 40 && device::LIES.len() >= 10);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    // No check is there for nothing.
    let caught_by: BTreeSet<&str> = mechanisms.iter().flatten().map(|lie| lie.caught_by).collect();
    let checks = ["coin", "independence", "inputs", "privacy", "sampler", "unbiased", "words"];
    assert_eq!(caught_by, checks.into());
    let caught_by: BTreeSet<&str> = device::LIES.iter().map(|(_, caught_by)| *caught_by).collect();
    assert_eq!(caught_by, ["domain", "draw", "fresh noise", "ledger", "once", "presence"].into());
}
