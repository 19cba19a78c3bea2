//! The layering of ARCHITECTURE.md, from `cargo metadata`: arrows point left only, and heavy dependencies stay where they
//! belong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::Value;

use crate::sources::{production, root};

/// Which of our crates each crate may use.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("hubbub-privacy", &[]),
    ("hubbub-randomizer", &["hubbub-privacy"]),
    ("hubbub-collector", &["hubbub-privacy", "hubbub-randomizer"]),
    ("hubbub-aggregator", &["hubbub-privacy", "hubbub-randomizer"]),
    ("hubbub-estimator", &["hubbub-privacy", "hubbub-randomizer"]),
    ("hubbub", &["hubbub-privacy", "hubbub-randomizer", "hubbub-aggregator", "hubbub-estimator"]),
    ("hubbub-faults", &["hubbub-privacy"]),
    ("hubbub-bench-server", &["hubbub-privacy", "hubbub-randomizer"]),
    ("hubbub-tests", &[]),
];

/// What a desktop must neither build nor carry.
const NEVER_ON_A_DESKTOP: [&str; 5] = ["polars", "arrow", "parquet", "redb", "opendp"];

/// Packages that only these crates may name, and nobody's tree may hold through another.
const OWNERS: [(&str, &[&str]); 5] = [
    ("zbus", &["hubbub-collector"]),
    ("rusqlite", &["hubbub-collector"]),
    ("redb", &["hubbub-aggregator"]),
    ("polars", &["hubbub-estimator"]),
    ("opendp", &["hubbub"]),
];

struct Graph {
    names: BTreeMap<String, String>,
    /// Normal and build dependencies; development dependencies ship to nobody.
    edges: BTreeMap<String, Vec<String>>,
    direct: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
            .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let mut edges = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let ships = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            let dependencies = list(&node["deps"]);
            let dependencies = dependencies.iter().filter(ships).map(|dependency| text(&dependency["pkg"])).collect();
            edges.insert(text(&node["id"]), dependencies);
        }
        let mut graph = Self { names, edges, direct: BTreeMap::new() };
        for member in list(&metadata["workspace_members"]) {
            let id = text(&member);
            let direct = graph.edges[&id].iter().map(|dependency| graph.names[dependency].clone()).collect();
            graph.direct.insert(graph.names[&id].clone(), direct);
        }
        graph
    }

    /// Everything that a crate ships.
    fn tree(&self, name: &str) -> BTreeSet<String> {
        let start = self.names.iter().find(|(id, found)| *found == name && id.contains("path+file")).unwrap().0;
        let mut seen = BTreeSet::from([start.clone()]);
        let mut queue = VecDeque::from([start.clone()]);
        while let Some(id) = queue.pop_front() {
            for dependency in &self.edges[&id] {
                if seen.insert(dependency.clone()) {
                    queue.push_back(dependency.clone());
                }
            }
        }
        seen.iter().map(|id| self.names[id].clone()).collect()
    }
}

#[test]
fn arrows_point_left_only() {
    let graph = Graph::read();
    let ours: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(graph.direct.keys().map(String::as_str).collect::<BTreeSet<_>>(), ours);
    for (name, allowed) in ALLOWED {
        for dependency in graph.direct[name].iter().filter(|dependency| ours.contains(dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn a_desktop_carries_no_analysis_and_no_server_store() {
    let tree = Graph::read().tree("hubbub-collector");
    let carried = tree
        .iter()
        .filter(|name| NEVER_ON_A_DESKTOP.iter().any(|heavy| *name == heavy || name.starts_with(&format!("{heavy}-"))));
    assert_eq!(carried.collect::<Vec<_>>(), Vec::<&String>::new(), "hubbub-collector carries them");
}

#[test]
fn heavy_dependencies_stay_in_their_crate() {
    let graph = Graph::read();
    for (package, owners) in OWNERS {
        for (name, direct) in &graph.direct {
            assert!(
                !direct.contains(package) || owners.contains(&name.as_str()),
                "{name} must not depend on {package}"
            );
        }
    }
}

#[test]
fn the_system_generator_is_opened_only_in_binaries() {
    let is_binary = |path: &str| path.starts_with("collector/src/bin/") || path.starts_with("hubbub/src/");
    for source in production().iter().filter(|source| !is_binary(&source.path)) {
        for name in ["SysRng", "OsRng", "ThreadRng", "thread_rng", "rand::rng()", "getrandom"] {
            assert!(
                !source.code().any(|line| line.contains(name)),
                "{} opens {name}; take a generator as argument",
                source.path
            );
        }
    }
}

#[test]
fn the_vocabulary_does_no_input_or_output_but_reading_a_registry() {
    for source in production()
        .iter()
        .filter(|source| source.path.starts_with("privacy/") || source.path.starts_with("randomizer/"))
    {
        for name in ["std::fs", "std::net", "std::io", "std::time", "tokio", "println!", "SystemTime"] {
            let allowed = source.path == "privacy/src/registry/read.rs" && name != "std::net" && name != "tokio";
            assert!(allowed || !source.code().any(|line| line.contains(name)), "{} uses {name}", source.path);
        }
    }
}
