//! Vectors from the independent Python reference in `tests/reference`: thresholds, laws and samples bit for bit, and
//! payloads that must be refused.

use std::path::Path;

use hubbub_privacy::{Epsilon, Payload, Value};
use hubbub_randomizer::conformance::{Law, ScriptedRng};
use hubbub_randomizer::{ExpBound, FoldedGeometric, Mechanism, Subset};
use serde::Deserialize;

#[derive(Deserialize)]
struct File<Case> {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Sample {
    value: u32,
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
    auto_k: usize,
    threshold: String,
    pi1: String,
    ratio: String,
    pi0: String,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
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
        let payload = mechanism.randomize(&Value::Index(sample.value), &mut rng);
        assert_eq!(payload.as_ref(), Ok(&sample.payload), "value {}, words {:?}", sample.value, sample.words);
        assert_eq!(rng.words_left(), 0, "exactly the words of the vector are drawn");
        assert_eq!(mechanism.check(&sample.payload), Ok(()));
    }
    for Refused { payload, why } in refused {
        let accepted =
            serde_json::from_value::<Payload>(payload.clone()).is_ok_and(|payload| mechanism.check(&payload).is_ok());
        assert!(!accepted, "{why} was accepted: {payload}");
    }
}

fn assert_fraction(ours: f64, theirs: &str) {
    let (numerator, denominator) = theirs.split_once('/').unwrap();
    let theirs = numerator.parse::<f64>().unwrap() / denominator.parse::<f64>().unwrap();
    assert!((ours - theirs).abs() < 1e-15, "{ours} {theirs}");
}

#[test]
fn subset_agrees_with_the_reference_bit_for_bit() {
    let cases: Vec<SubsetCase> = load("subset.json");
    assert!(cases.len() >= 30);
    for case in &cases {
        let bound = ExpBound::new(case.epsilon.parse().unwrap());
        assert_eq!(Subset::optimal(&bound, case.d).k(), case.auto_k, "d {}, epsilon {}", case.d, case.epsilon);
        let subset = Subset::new(&bound, case.d, case.k);
        assert_eq!(subset.law().threshold().to_string(), case.threshold);
        assert_eq!(fraction(&subset.law().ratio()), case.ratio);
        assert_fraction(subset.pi1(), &case.pi1);
        assert_fraction(subset.pi0(), &case.pi0);
        check_samples(&Mechanism::Subset(subset), &case.samples, &case.refused);
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
            let p = Law::probability(&folded, 0, &Payload::Number(y));
            (p * dashu_ratio::RBig::from(dashu_int::UBig::ONE << 64)).to_string()
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

fn fraction(value: &dashu_ratio::RBig) -> String {
    format!("{}/{}", value.numerator(), value.denominator())
}
