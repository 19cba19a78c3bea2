//! Registries to measure with, approved as of today.

use std::fmt::Write;
use std::path::Path;

use chrono::{DateTime, Days, NaiveDate};
use hubbub_privacy::registry::{Files, Findings};
use hubbub_privacy::{MetricId, Registry};
use sha2::{Digest, Sha256};

/// The value list of [`large`] metrics.
const LIST: &str = "values.txt";

/// Sixty metrics of a realistic mix: mostly categories and yes or no, some counts, ranges and sets, one long list.
///
/// # Errors
/// [`Findings`] when the registry's rules refuse one of them.
pub fn mixed(now_s: i64) -> Result<Files, Findings> {
    let mut metrics = vec!["kind = \"boolean\"\n".to_owned(); 15];
    metrics.extend((0..24).map(|n| categories(5 + n * 245 / 23)));
    metrics.extend((1..=10).map(|n| format!("kind = \"count\"\nmax = {}\n", n * 25)));
    metrics.extend((1..=8).map(|n| {
        let edges: Vec<u32> = (0..=n * 5).collect();
        format!("kind = \"ordered\"\nedges = {edges:?}\ngoal = \"quantiles\"\nabsent = 0\n")
    }));
    metrics.extend([200, 500].map(|items| format!("kind = \"set\"\nvalues = {:?}\nmax_items = 16\n", labels(items))));
    metrics.push(categories(16_000));
    approved(&metrics, 1, now_s, Files::default())
}

/// Metrics of so many categories each, with a whole epsilon.
///
/// # Errors
/// [`Findings`] when the registry's rules refuse one of them.
pub fn large(metrics: u32, values: u32, epsilon: u32, now_s: i64) -> Result<Files, Findings> {
    let list: String = labels(values).into_iter().map(|label| label + "\n").collect();
    let digest: String = Sha256::digest(&list).iter().map(|byte| format!("{byte:02x}")).collect();
    let data = format!(
        "kind = \"categorical\"\nvalues_file = \"{LIST}\"\nvalues_sha256 = \"sha256:{digest}\"\nabsent = \"none\"\n\
         other = \"other\"\n"
    );
    let mut files = Files::default();
    files.values.insert(LIST.to_owned(), Ok(list.into_bytes()));
    approved(&vec![data; metrics as usize], epsilon, now_s, files)
}

/// Writes a registry's files into an empty directory.
///
/// # Errors
/// What the system says.
pub fn write(files: &Files, directory: &Path) -> std::io::Result<()> {
    let lists = files.values.iter().filter_map(|(name, list)| Some((name, list.as_ref().ok()?)));
    files.definitions.iter().chain(lists).try_for_each(|(name, bytes)| std::fs::write(directory.join(name), bytes))
}

fn categories(values: u32) -> String {
    format!("kind = \"categorical\"\nvalues = {:?}\nabsent = \"none\"\nother = \"other\"\n", labels(values))
}

fn labels(values: u32) -> Vec<String> {
    let ordinary = (0..values - 2).map(|n| format!("org.example.Value{n}"));
    ["none", "other"].map(str::to_owned).into_iter().chain(ordinary).collect()
}

/// A registry of these metrics, whose value lists are there, with reviews that cover it as it stands.
fn approved(metrics: &[String], epsilon: u32, now_s: i64, mut files: Files) -> Result<Files, Findings> {
    let today = DateTime::from_timestamp(now_s, 0).unwrap_or_default().date_naive();
    let drafts = text(metrics, epsilon, today, "draft", |_| "sha256:".to_owned());
    files.definitions.insert("load.toml".to_owned(), drafts.into_bytes());
    let drafts = Registry::parse(&files)?;
    let covers = |id| drafts.get(MetricId(id)).map(|metric| metric.covers.clone()).unwrap_or_default();
    files.definitions.insert("load.toml".to_owned(), text(metrics, epsilon, today, "active", covers).into_bytes());
    Ok(files)
}

fn text(metrics: &[String], epsilon: u32, today: NaiveDate, status: &str, covers: impl Fn(u32) -> String) -> String {
    let reviewed = today - Days::new(30);
    let lifetime = 2 * epsilon;
    let (introduced, expires) = (today - Days::new(29), today + Days::new(300));
    let mut text =
        "schema = \"hubbub-registry/1\"\nnamespace = \"org.example.Load\"\nowners = [\"load@example.org\"]\n"
            .to_owned();
    for (id, data) in (1..).zip(metrics) {
        let aggregate = match data {
            data if data.contains("\"set\"") => "union",
            data if data.contains("\"count\"") => "sum",
            data if data.contains("\"ordered\"") => "max",
            _ => "last",
        };
        let covers = covers(id);
        write!(
            text,
            r#"
[metric.metric_{id}]
id = {id}
version = 1
status = "{status}"
category = "usage"
title = "A metric under load"
description = "Once a week: what happened, or none."
question = "How many reports does a server take?"
why_needed = "A server is chosen by it."
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
ask_probability = "0.01"
max_reports = 2
lifetime_epsilon = "{lifetime}"

[metric.metric_{id}.utility]
expected_reports = 20000
target_ci95_pp = "30.0"
min_reports_to_publish = 5000

[metric.metric_{id}.lifecycle]
introduced = {introduced}
expires = {expires}
on_expiry = "stop"

[[metric.metric_{id}.review]]
kind = "initial"
url = "https://example.org/reviews/1"
decision = "approved"
reviewers = ["first", "second"]
date = {reviewed}
covers = "{covers}"
"#
        )
        .expect("a string grows");
    }
    text
}
