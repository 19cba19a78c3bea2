//! The project's own files, as other tests read them.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders that hold the project's Rust code.
pub const CRATES: [&str; 8] =
    ["privacy", "randomizer", "collector", "aggregator", "estimator", "hubbub", "faults", "tests"];

/// The top of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A source file with its path from the top.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// The lines of production code: everything before the unit tests, without comments.
    pub fn code(&self) -> impl Iterator<Item = &str> {
        let production = self.text.split("\n#[cfg(test)]\nmod ").next().unwrap();
        production.lines().filter(|line| !line.trim_start().starts_with("//"))
    }
}

/// All Rust files below the given folders.
pub fn rust_files(folders: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut |path| {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                sources.push(Source { path: relative, text: fs::read_to_string(path).unwrap() });
            }
        });
    }
    assert!(!sources.is_empty(), "no Rust files in {folders:?}");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The production code of the crates: their `src` folders without test modules. Harness and tests ship to nobody.
pub fn production() -> Vec<Source> {
    let folders: Vec<String> =
        CRATES.iter().filter(|name| !["faults", "tests"].contains(name)).map(|name| format!("{name}/src")).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    rust_files(&folders).into_iter().filter(|source| !is_test(&source.path)).collect()
}

fn collect(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, each);
        } else {
            each(&path);
        }
    }
}
