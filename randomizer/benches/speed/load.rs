//! A registry as a device loads it: files, checks, and the mechanism of every metric.

use std::fmt::Write;
use std::hint::black_box;

use criterion::Criterion;
use hubbub_privacy::Registry;
use hubbub_privacy::registry::Files;
use hubbub_randomizer::Plan;
use sha2::{Digest, Sha256};

pub fn figures(criterion: &mut Criterion) {
    let files = registry();
    let mut group = crate::group(criterion, "load 60 metrics", 1);
    // At most 100 ms.
    group.bench_function(crate::hubbub("100 ms"), |bencher| {
        bencher.iter(|| {
            let registry = Registry::parse(black_box(&files)).expect("the registry is in order");
            black_box(Plan::new(registry))
        });
    });
    group.bench_function("toml alone", |bencher| {
        bencher.iter(|| {
            for text in files.definitions.values() {
                let text = std::str::from_utf8(text).expect("it was written as UTF-8");
                black_box(toml::from_str::<toml::Table>(black_box(text)).expect("the registry is in order"));
            }
        });
    });
    group.finish();
}

/// Sixty metrics of a realistic mix, with the epsilons that registries use.
fn registry() -> Files {
    let mut files = Files::default();
    let mut text = String::from(
        "schema = \"hubbub-registry/1\"\nnamespace = \"org.example.Mix\"\nowners = [\"maintainers@example.org\"]\n",
    );
    let mut id = 0;
    let mut add = |text: &mut String, data: &str, aggregate: &str| {
        id += 1;
        let epsilon = ["1", "0.5", "2", "1.5"][id % 4];
        metric(text, id, data, aggregate, epsilon);
    };
    for n in 0..30u32 {
        add(&mut text, &format!("kind = \"categorical\"\nvalues = {:?}\n{ENDS}", labels(3 + n * 197 / 29)), "last");
    }
    for values in [300, 700, 1200, 2500, 5000] {
        let list = labels(values).join("\n") + "\n";
        let name = format!("values/{values}.txt");
        let digest: String = Sha256::digest(&list).iter().map(|byte| format!("{byte:02x}")).collect();
        files.values.insert(name.clone(), Ok(list.into_bytes()));
        let data = format!("kind = \"categorical\"\nvalues_file = \"{name}\"\nvalues_sha256 = \"{digest}\"\n{ENDS}");
        add(&mut text, &data, "last");
    }
    for n in 1..=10 {
        add(&mut text, &format!("kind = \"count\"\nmax = {}\n", n * 255 / 10), "sum");
    }
    for n in 1..=10 {
        let edges: Vec<u32> = (0..=n * 5).collect();
        let goal = if n % 2 == 0 { "mean" } else { "quantiles" };
        add(&mut text, &format!("kind = \"ordered\"\nedges = {edges:?}\ngoal = \"{goal}\"\nabsent = 0\n"), "max");
    }
    for _ in 0..5 {
        add(&mut text, &format!("kind = \"set\"\nvalues = {:?}\nmax_items = 16\n", labels(500)), "union");
    }
    files.definitions.insert("mix.toml".to_owned(), text.into_bytes());
    files
}

const ENDS: &str = "absent = \"none\"\nother = \"other\"\n";

fn labels(values: u32) -> Vec<String> {
    let ordinary = (0..values - 2).map(|n| format!("org.example.Value{n}"));
    ["none", "other"].map(str::to_owned).into_iter().chain(ordinary).collect()
}

fn metric(text: &mut String, id: usize, data: &str, aggregate: &str, epsilon: &str) {
    write!(
        text,
        r#"
[metric.metric_{id}]
id = {id}
version = 1
status = "active"
category = "usage"
title = "One of sixty metrics"
description = "Once a week: what happened, or none."
question = "How long does a registry take to load?"
why_needed = "A device loads it at every start."
alternatives_considered = "A guess."
never_collects = "Anything."

[metric.metric_{id}.data]
{data}
[metric.metric_{id}.collect]
source = "dbus"
aggregate = "{aggregate}"

[metric.metric_{id}.privacy]
epsilon = "{epsilon}"
mechanism = "auto"
ask_probability = "0.05"
max_reports = 2
lifetime_epsilon = "{lifetime}"

[metric.metric_{id}.utility]
expected_reports = 20000
target_ci95_pp = "30.0"
min_reports_to_publish = 5000

[metric.metric_{id}.lifecycle]
introduced = 2026-11-01
expires = 2027-10-28
on_expiry = "stop"

[[metric.metric_{id}.review]]
kind = "initial"
url = "https://example.org/reviews/1"
decision = "approved"
reviewers = ["first", "second"]
date = 2026-10-28
covers = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
"#,
        lifetime = 2.0 * epsilon.parse::<f64>().expect("an epsilon is a number"),
    )
    .expect("a string grows");
}
