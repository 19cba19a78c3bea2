//! Any bytes from a peer or a disk: a short run of the fuzz targets' properties, fed by every file of their corpus and by
//! mutations of them. Long runs: `fuzz/README.md`.

#[path = "../../../fuzz/server_properties.rs"]
mod server_properties;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use server_properties::{PROPERTIES, Verdict};

/// What mutations insert besides single bytes: what parsers stumble over.
const TOKENS: [&[u8]; 20] = [
    b"0",
    b"-1",
    b"18446744073709551615",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b" ",
    b": ",
    b"\"",
    b"[",
    b"{",
    b"\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x0c\x00\x00\x09\x01",
    b"\x0c\x00\x00\x40\x80",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 9\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
];
/// The same inputs in every run; a new defect is looked for with the fuzz targets and becomes a file of the corpus.
const SEED: u64 = 4;
/// An input whose panic is reported is shown up to here.
const MAX_SHOWN: usize = 2_000;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(1..20)).min(bytes.len());
    match rng.random_range(0..5) {
        0 if at < bytes.len() => bytes[at] = rng.random(),
        1 => {
            let token = TOKENS[rng.random_range(0..TOKENS.len())];
            bytes.splice(at..at, token.iter().copied());
        }
        2 => {
            bytes.drain(at..end);
        }
        3 => {
            let again = bytes[at..end].repeat(rng.random_range(1..4));
            bytes.splice(at..at, again);
        }
        _ => bytes.truncate(at),
    }
}

fn short_run(target: &str, cases: usize) {
    let (_, property) = PROPERTIES.into_iter().find(|(name, _)| *name == target).unwrap();
    let files = fs::read_dir(fuzz_folder().join("corpus").join(target)).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let holds = |bytes: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| property(bytes))).unwrap_or_else(|panic| {
            println!(
                "{target}: add to fuzz/corpus/{target}: b\"{}\"",
                bytes[..bytes.len().min(MAX_SHOWN)].escape_ascii()
            );
            resume_unwind(panic)
        })
    };
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let verdicts: Vec<Verdict> = corpus.iter().map(|input| holds(input)).collect();
    for verdict in [Verdict::Accepted, Verdict::Rejected] {
        assert!(verdicts.contains(&verdict), "no file of the corpus is {verdict:?}: the property is hardly tried");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for _ in 0..cases {
        let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
        for _ in 0..rng.random_range(1..5) {
            mutate(&mut bytes, &mut rng);
        }
        holds(&bytes);
    }
}

#[test]
fn connections_survive_any_bytes() {
    short_run("server_request", 5_000);
}

#[test]
fn bodies_survive_any_bytes() {
    short_run("server_payload", 20_000);
}

#[test]
fn stores_survive_any_records_and_any_damage() {
    short_run("server_store", 1_500);
}

#[test]
fn every_property_has_its_target_and_every_target_its_property() {
    let properties: BTreeSet<String> = PROPERTIES.into_iter().map(|(name, _)| name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        let stems = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
        stems.filter(|name| name.starts_with("server_")).collect()
    };
    assert_eq!(names("fuzz_targets"), properties);
    assert_eq!(names("corpus"), properties);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in properties {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "Cargo.toml lacks {name}");
    }
}
