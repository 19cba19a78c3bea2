//! Habits that a machine can check.

use std::fs;
use std::process::Command;

use crate::sources::{CRATES, production, root, rust_files};

const MAX_LINES: usize = 500;
/// The front doors of crates and programs: declarations and a call.
const MAX_DOOR_LINES: usize = 120;
const NAMES_THAT_SAY_NOTHING: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "types", "misc", "manager", "handler"];

#[test]
fn files_are_short_and_doors_shorter() {
    for source in rust_files(&CRATES) {
        let lines = source.text.lines().count();
        let name = source.path.rsplit('/').next().unwrap();
        let limit = if matches!(name, "main.rs" | "lib.rs") && source.path.contains("/src/") {
            MAX_DOOR_LINES
        } else {
            MAX_LINES
        };
        assert!(lines <= limit, "{} has {lines} lines; the limit is {limit}", source.path);
    }
}

#[test]
fn files_have_names_that_say_something() {
    for source in rust_files(&CRATES) {
        let stem = source.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        assert!(!NAMES_THAT_SAY_NOTHING.contains(&stem), "{} says nothing", source.path);
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in rust_files(&CRATES) {
        assert!(source.text.starts_with("//! "), "{} has no module documentation", source.path);
    }
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    for source in rust_files(&CRATES) {
        if source.path.ends_with("system/tidy.rs") {
            continue;
        }
        for mark in ["TODO", "FIXME", "todo!(", "unimplemented!(", "allow(dead_code)", "#[ignore", "assert!(true)"] {
            assert!(!source.text.contains(mark), "{} contains {mark}", source.path);
        }
    }
}

#[test]
fn no_float_decides_a_coin() {
    let sampling = |path: &str| ["randomizer/", "collector/", "privacy/"].iter().any(|folder| path.starts_with(folder));
    for source in production().iter().filter(|source| sampling(&source.path)) {
        for float in ["random::<f", "gen::<f", "gen_bool", "random_bool", "random_ratio", "StandardUniform"] {
            assert!(!source.code().any(|line| line.contains(float)), "{} uses {float}", source.path);
        }
    }
}

#[test]
fn every_crate_has_the_licence_and_the_lints() {
    for name in CRATES {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        assert!(text.contains("license = \"Apache-2.0\""), "{name}/Cargo.toml names no licence");
        assert!(text.contains("[lints]\nworkspace = true"), "{name}/Cargo.toml does not take the workspace's lints");
        assert!(!text.contains("features = [\"full\"]"), "{name}/Cargo.toml takes everything");
    }
    assert!(fs::read_to_string(root().join("LICENSE")).unwrap().contains("Apache License"));
}

#[test]
fn no_tracked_file_names_a_machine() {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "the tests run in a git checkout");
    let names = String::from_utf8(output.stdout).unwrap();
    // Written in two parts, so that this file passes.
    let homes = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // Deleted but not yet committed, or not text.
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        for home in homes {
            assert!(!text.contains(home), "{name} contains a machine's path ({home})");
        }
    }
}
