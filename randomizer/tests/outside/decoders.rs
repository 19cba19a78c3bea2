//! Decoders against bad bytes: a short run of the fuzz targets' properties, fed by every file of their corpus and by
//! mutations of them, and the payloads that each family must refuse. Long runs: `fuzz/README.md`.

#[path = "../../../fuzz/properties.rs"]
mod properties;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use hubbub_privacy::{Payload, Report};
use hubbub_randomizer::{Mechanism, PayloadError};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};

use properties::{PROPERTIES, Verdict, fold, plan};

/// What mutations insert besides single bytes: what parsers stumble over, and the tokens of the formats.
const TOKENS: [&str; 28] = [
    "0",
    "1",
    "-1",
    "255",
    "256",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "0.000001",
    "1e400",
    "NaN",
    "inf",
    "nan",
    "true",
    "null",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "=",
    ",",
    ".",
    "\n",
    "\u{c}",
    "\\u0000",
    "\u{661}",
];
/// The same inputs in every run; a new defect is looked for with the fuzz targets and becomes a file of the corpus.
const SEED: u64 = 3;
/// What random bytes are drawn up to: more than any token, less than what only repeats itself.
const MAX_RANDOM_BYTES: usize = 256;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// An input, shown as text with escapes.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One step from a file of the corpus to something else.
#[derive(Debug, Clone)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let token = prop::sample::select(&TOKENS[..]).prop_map(|token| token.as_bytes().to_vec());
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, vec![byte])),
        (any::<Index>(), token).prop_map(|(at, token)| Edit::Insert(at, token)),
        (any::<Index>(), 1..20usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<Index>(), 1..60usize, 1..4usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let end = |from: usize, length: usize, bytes: &[u8]| (from + length).min(bytes.len());
        match self {
            Self::Replace(at, byte) => {
                let at = place(at, bytes);
                if let Some(there) = bytes.get_mut(at) {
                    *there = *byte;
                }
            }
            Self::Insert(at, token) => {
                let at = place(at, bytes);
                bytes.splice(at..at, token.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..end(at, *length, bytes));
            }
            Self::Repeat(at, length, times) => {
                let at = place(at, bytes);
                let again = bytes[at..end(at, *length, bytes)].repeat(*times);
                bytes.splice(at..at, again);
            }
        }
    }
}

fn corpus(target: &str) -> Vec<Input> {
    let folder = fuzz_folder().join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Input(fs::read(path).unwrap())).collect()
}

/// Holds the property of `target` against its corpus, and `cases` mutations and random inputs.
fn short_run(target: &str, cases: u32) {
    let (_, property) = PROPERTIES.into_iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    let verdicts: Vec<Verdict> = corpus.iter().map(|input| property(&input.0)).collect();
    for verdict in [Verdict::Accepted, Verdict::Rejected] {
        assert!(verdicts.contains(&verdict), "no file of the corpus is {verdict:?}: the property is hardly tried");
    }
    let mutated =
        (prop::sample::select(corpus), prop::collection::vec(edit(), 1..5)).prop_map(|(Input(mut bytes), edits)| {
            edits.iter().for_each(|edit| edit.apply(&mut bytes));
            Input(bytes)
        });
    let random = prop::collection::vec(any::<u8>(), 0..MAX_RANDOM_BYTES).prop_map(Input);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(SEED),
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&prop_oneof![9 => mutated, 1 => random], |input| {
        property(&input.0);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{target}: {failure}; add the input to fuzz/corpus/{target}"));
}

#[test]
fn reports_survive_any_bytes() {
    short_run("report", 10_000);
}

#[test]
fn epsilon_and_decimals_survive_any_bytes() {
    short_run("epsilon_and_decimals", 20_000);
}

#[test]
fn registries_survive_any_bytes() {
    short_run("registry", 1_500);
}

#[test]
fn counters_headers_survive_any_bytes() {
    short_run("counters_header", 15_000);
}

#[test]
fn every_property_has_its_target_and_every_target_its_property() {
    let properties: BTreeSet<String> = PROPERTIES.into_iter().map(|(name, _)| name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        let stems = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
        // The server's own are held by the aggregator's tests.
        stems.filter(|name| !name.starts_with("server_")).collect()
    };
    assert_eq!(names("fuzz_targets"), properties);
    assert_eq!(names("corpus"), properties);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in properties {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "Cargo.toml lacks {name}");
    }
}

/// Outputs of a mechanism, and payloads that it must refuse with the reason.
fn payloads(mechanism: &Mechanism) -> (Vec<Payload>, Vec<(Payload, PayloadError)>) {
    use Payload::{List, Number};
    use PayloadError::{Length, Order, Range, Shape};
    let beyond = |size: usize| [size as u32, u32::MAX].map(|index| (index, Range { index, size }));
    match mechanism {
        Mechanism::Subset(subset) => {
            let (width, k) = (subset.width() as u32, subset.k() as u32);
            let (first, last): (Vec<u32>, Vec<u32>) = ((0..k).collect(), (width - k..width).collect());
            let shape = Shape { expected: "an array of indices" };
            let length = |found| Length { expected: k as usize, found };
            let mut refused = vec![
                (Number(0), shape),
                (List(Vec::new()), length(0)),
                (List(first[1..].to_vec()), length(k as usize - 1)),
                (List((0..=k).collect()), length(k as usize + 1)),
            ];
            for (index, error) in beyond(width as usize) {
                refused.push((List([&first[..k as usize - 1], &[index]].concat()), error));
            }
            if k > 1 {
                let mut repeated = first.clone();
                repeated[1] = repeated[0];
                refused.push((List(repeated), Order));
                refused.push((List(first.iter().rev().copied().collect()), Order));
            }
            (vec![List(first), List(last)], refused)
        }
        Mechanism::Cyclotomic(cyclotomic) => {
            let (parts, prime) = (cyclotomic.parts(), cyclotomic.prime());
            let length = |found| Length { expected: 2, found };
            let mut refused = vec![
                (Number(0), Shape { expected: "an array of a coordinate and an index" }),
                (List(Vec::new()), length(0)),
                (List(vec![0]), length(1)),
                (List(vec![0, 1, 2]), length(3)),
            ];
            refused.extend(beyond(parts as usize).map(|(j, error)| (List(vec![j, 0]), error)));
            refused.extend(beyond(prime as usize).map(|(y, error)| (List(vec![0, y]), error)));
            // A coordinate and an index are no set: their order means nothing, and they may be equal.
            (vec![List(vec![0, 0]), List(vec![1, 0]), List(vec![parts - 1, prime - 1])], refused)
        }
        Mechanism::Window(_) | Mechanism::FoldedGeometric(_) => {
            let counters = mechanism.counters();
            let shape = Shape { expected: "a number" };
            let mut refused = vec![(List(vec![0]), shape.clone()), (List(Vec::new()), shape)];
            refused.extend(beyond(counters).map(|(index, error)| (Number(index), error)));
            (vec![Number(0), Number(counters as u32 - 1)], refused)
        }
    }
}

#[test]
fn every_family_refuses_its_bad_payloads_and_takes_a_report_of_the_corpus() {
    let corpus = corpus("report");
    let reports: Vec<Report> = corpus.iter().filter_map(|input| Report::decode(&input.0).ok()).collect();
    let mut families = BTreeSet::new();
    for metric in plan().registry().metrics() {
        let (_, mechanism) = plan().get(metric.id).unwrap();
        families.insert(mechanism.family());
        let (accepted, refused) = payloads(mechanism);
        for payload in accepted {
            assert_eq!(fold(mechanism, &payload), Verdict::Accepted, "{}: {payload:?}", metric.name);
        }
        for (payload, error) in refused {
            assert_eq!(fold(mechanism, &payload), Verdict::Rejected, "{}: {payload:?}", metric.name);
            assert_eq!(mechanism.check(&payload), Err(error), "{}: {payload:?}", metric.name);
        }
        assert!(
            reports.iter().any(|report| mechanism.check(&report.payload).is_ok()),
            "no report of the corpus is one of {}'s: {}",
            metric.name,
            mechanism.parameters_json()
        );
    }
    assert_eq!(families, BTreeSet::from(["cyclotomic", "folded_geometric", "subset", "window"]));
}
