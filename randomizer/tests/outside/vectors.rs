//! Vectors from the independent Python reference in `tests/reference`: thresholds, laws and samples bit for bit, and
//! payloads that must be refused.

use std::collections::BTreeMap;
use std::path::Path;

use dashu_ratio::RBig;
use hubbub_privacy::{Epsilon, Goal, Payload, Value};
use hubbub_randomizer::choice::Shape;
use hubbub_randomizer::conformance::{Law, ScriptedRng};
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Mechanism, Subset, Window};
use serde::Deserialize;

#[derive(Deserialize)]
struct File<Case> {
    cases: Vec<Case>,
}

/// A true value: an index, or the items of a set.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Truth {
    Index(u32),
    Items(Vec<u32>),
}

#[derive(Deserialize)]
struct Sample {
    value: Truth,
    words: Vec<String>,
    payload: Payload,
}

#[derive(Deserialize)]
struct Refused {
    payload: serde_json::Value,
    why: String,
}

#[derive(Deserialize)]
struct SubsetCase {
    epsilon: String,
    d: u32,
    k: u32,
    /// The best k, where the family serves more than randomized response.
    auto_k: Option<usize>,
    threshold: String,
    pi1: String,
    ratio: String,
    pi0: String,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct SetsCase {
    epsilon: String,
    d: u32,
    m: u32,
    k: u32,
    auto: bool,
    threshold: String,
    pi1: String,
    pi0: String,
    ratio: String,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct CyclotomicCase {
    epsilon: String,
    d: u32,
    e: u32,
    c: u32,
    auto: bool,
    #[serde(rename = "K")]
    prime: u32,
    g: u32,
    r: u32,
    threshold: String,
    pi1: String,
    pi0: String,
    ratio: String,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct WindowCase {
    epsilon: String,
    d: u32,
    w: u32,
    /// The goal whose best window this is, if any.
    goal: Option<String>,
    threshold: String,
    a: String,
    b: String,
    ratio: String,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct ChoiceCase {
    kind: String,
    d: u32,
    m: Option<u32>,
    goal: Option<String>,
    epsilon: String,
    family: String,
    parameters: BTreeMap<String, serde_json::Value>,
    counters: usize,
    #[serde(rename = "V")]
    variance: String,
}

#[derive(Deserialize)]
struct FoldedCase {
    epsilon: String,
    max: u32,
    alpha: String,
    digest: String,
    ratio: String,
    first_row: Vec<String>,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
}

fn load<Case: for<'de> Deserialize<'de>>(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str::<File<Case>>(&text).unwrap().cases
}

fn check_samples(mechanism: &Mechanism, samples: &[Sample], refused: &[Refused]) {
    assert!(!samples.is_empty() && !refused.is_empty());
    for sample in samples {
        let words = sample.words.iter().map(|word| u64::from_str_radix(&word[2..], 16).unwrap());
        let mut rng = ScriptedRng::new(words);
        let value = match &sample.value {
            Truth::Index(index) => Value::Index(*index),
            Truth::Items(items) => Value::Items(items.clone()),
        };
        let payload = mechanism.randomize(&value, &mut rng);
        assert_eq!(payload.as_ref(), Ok(&sample.payload), "value {value:?}, words {:?}", sample.words);
        assert_eq!(rng.words_left(), 0, "exactly the words of the vector are drawn");
        assert_eq!(mechanism.check(&sample.payload), Ok(()));
    }
    for Refused { payload, why } in refused {
        let accepted =
            serde_json::from_value::<Payload>(payload.clone()).is_ok_and(|payload| mechanism.check(&payload).is_ok());
        assert!(!accepted, "{why} was accepted: {payload}");
    }
}

/// The float nearest to a fraction of any length.
fn float(fraction: &str) -> f64 {
    fraction.parse::<RBig>().unwrap().to_f64().value()
}

fn assert_close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-15_f64.max(1e-11 * theirs.abs()), "{ours} {theirs}");
}

fn goal(name: Option<&str>) -> Goal {
    match name {
        Some("mean") | None => Goal::Mean,
        Some("quantiles") => Goal::Quantiles,
        Some(other) => panic!("no goal: {other}"),
    }
}

#[test]
fn subset_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<SubsetCase> = load("subset.json");
    assert!(cases.len() >= 30);
    for case in &cases {
        let bound = ExpBound::new(case.epsilon.parse().unwrap());
        if let Some(best) = case.auto_k {
            assert_eq!(Subset::optimal(&bound, case.d).k(), best, "d {}, epsilon {}", case.d, case.epsilon);
        }
        let subset = Subset::new(&bound, case.d, case.k);
        assert_eq!(subset.law().threshold().to_string(), case.threshold);
        assert_eq!(fraction(&subset.law().ratio()), case.ratio);
        assert_eq!(fraction(subset.support().exact_pi1()), case.pi1);
        assert_eq!(fraction(subset.support().exact_pi0()), case.pi0);
        check_samples(&Mechanism::Subset(subset), &case.samples, &case.refused);
    }
}

#[test]
fn subset_for_sets_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<SetsCase> = load("sets.json");
    assert!(cases.len() >= 40);
    for case in &cases {
        let bound = ExpBound::new(case.epsilon.parse().unwrap());
        let best = Subset::optimal_of_sets(&bound, case.d, case.m);
        assert_eq!(best.k() == case.k as usize, case.auto, "d {}, m {}, epsilon {}", case.d, case.m, case.epsilon);
        let subset = Subset::of_sets(&bound, case.d, case.m, case.k);
        assert_eq!(subset.law().threshold().to_string(), case.threshold);
        assert_eq!(fraction(&subset.law().ratio()), case.ratio);
        assert_eq!(fraction(subset.support().exact_pi1()), case.pi1);
        assert_eq!(fraction(subset.support().exact_pi0()), case.pi0);
        check_samples(&Mechanism::Subset(subset), &case.samples, &case.refused);
    }
}

#[test]
fn cyclotomic_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<CyclotomicCase> = load("cyclotomic.json");
    assert!(cases.len() >= 30);
    for case in &cases {
        let bound = ExpBound::new(case.epsilon.parse().unwrap());
        let cyclotomic = Cyclotomic::new(&bound, case.d, case.e, case.c);
        if case.auto {
            let best = Cyclotomic::optimal(&bound, case.d).unwrap();
            assert_eq!((best.parts(), best.cosets()), (case.e, case.c), "d {}, epsilon {}", case.d, case.epsilon);
        }
        assert_eq!((cyclotomic.prime(), cyclotomic.inside()), (case.prime, case.r));
        assert_eq!(cyclotomic.law().threshold().to_string(), case.threshold);
        assert_eq!(fraction(&cyclotomic.law().ratio()), case.ratio);
        assert_eq!(fraction(cyclotomic.support().exact_pi1()), case.pi1);
        assert_eq!(fraction(cyclotomic.support().exact_pi0()), case.pi0);
        let mechanism = Mechanism::Cyclotomic(cyclotomic);
        assert_eq!(mechanism.parameters()["g"], case.g);
        check_samples(&mechanism, &case.samples, &case.refused);
    }
}

#[test]
fn window_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<WindowCase> = load("window.json");
    assert!(cases.len() >= 80);
    for case in &cases {
        let epsilon: Epsilon = case.epsilon.parse().unwrap();
        let (bound, goal) = (ExpBound::new(epsilon), goal(case.goal.as_deref()));
        if case.goal.is_some() {
            let best = Window::optimal(&bound, epsilon, case.d, goal);
            assert_eq!(best.width(), case.w, "d {}, epsilon {epsilon}, {goal:?}", case.d);
        }
        let window = Window::new(&bound, case.d, case.w, goal);
        assert_eq!(window.law().threshold().to_string(), case.threshold);
        assert_eq!(fraction(&window.law().ratio()), case.ratio);
        let (a, b) = (float(&case.a), float(&case.b));
        for y in [0, 1, case.d + case.w - 2] {
            assert_close(window.unbiased(y), (f64::from(y) - b) / a);
        }
        check_samples(&Mechanism::Window(window), &case.samples, &case.refused);
    }
}

#[test]
fn auto_chooses_what_the_reference_chooses() {
    let cases: Vec<ChoiceCase> = load("choices.json");
    assert!(cases.len() >= 300);
    for case in &cases {
        let values = case.d;
        let shape = match case.kind.as_str() {
            "boolean" | "categorical" => Shape::Categories { values },
            "set" => Shape::Sets { values, max_items: case.m.unwrap() },
            "ordered" => Shape::Ordered { values, goal: goal(case.goal.as_deref()) },
            "count" => Shape::Counts { max: values - 1 },
            other => panic!("no kind: {other}"),
        };
        let chosen = shape.choose("auto", case.epsilon.parse().unwrap()).unwrap();
        let what = format!("{shape:?}, epsilon {}", case.epsilon);
        assert_eq!(chosen.mechanism.family(), case.family, "{what}");
        assert_eq!(chosen.mechanism.parameters(), case.parameters, "{what}");
        assert_eq!(chosen.mechanism.counters(), case.counters, "{what}");
        assert_close(chosen.variance.to_f64().value(), case.variance.parse().unwrap());
    }
}

#[test]
fn folded_geometric_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<FoldedCase> = load("folded_geometric.json");
    assert!(cases.len() >= 20);
    for case in &cases {
        let epsilon: Epsilon = case.epsilon.parse().unwrap();
        let folded = FoldedGeometric::new(epsilon, case.max).unwrap();
        let first_row = (0..=case.max).map(|y| {
            let p = Law::probability(&folded, &Value::Index(0), &Payload::Number(y));
            (p * RBig::from(dashu_int::UBig::ONE << 64)).to_string()
        });
        assert!(first_row.eq(case.first_row.iter().cloned()), "epsilon {epsilon}, C {}", case.max);
        assert_eq!(fraction(&folded.worst_case().0), case.ratio);
        let mechanism = Mechanism::FoldedGeometric(folded);
        let parameters = mechanism.parameters();
        assert_eq!(parameters["alpha_2_64"], case.alpha.as_str());
        assert_eq!(parameters["weights_sha256"], case.digest.as_str());
        check_samples(&mechanism, &case.samples, &case.refused);
    }
}

fn fraction(value: &RBig) -> String {
    format!("{}/{}", value.numerator(), value.denominator())
}
