//! Small approved registries, made in memory: the digests of their approvals are computed, not written down.

use std::fmt::Write;

use hubbub_privacy::Registry;
use hubbub_privacy::registry::Files;

/// A metric of a test's registry.
#[derive(Clone, Copy)]
pub struct Spec {
    /// The key, below the namespace `test`.
    pub key: &'static str,
    /// One of the five.
    pub category: &'static str,
    /// The lines of the `data` table.
    pub data: &'static str,
    /// A probe, or `dbus`.
    pub source: &'static str,
    /// How a week becomes one value.
    pub aggregate: &'static str,
    /// Of one report.
    pub epsilon: &'static str,
    /// What randomizes it.
    pub mechanism: &'static str,
    /// Chance a week.
    pub ask_probability: &'static str,
    /// For life.
    pub max_reports: u32,
    /// The last day.
    pub expires: &'static str,
}

const fn spec(
    key: &'static str,
    category: &'static str,
    data: &'static str,
    source: &'static str,
    aggregate: &'static str,
) -> Spec {
    let (epsilon, mechanism, ask_probability, max_reports, expires) = ("0.25", "auto", "1.0", 12, "2027-10-31");
    Spec { key, category, data, source, aggregate, epsilon, mechanism, ask_probability, max_reports, expires }
}

const VENDORS: &str = "kind = \"categorical\"\nvalues = [\"unknown\", \"other\", \"intel\", \"amd\", \"arm\"]\n\
                       absent = \"unknown\"\nother = \"other\"";
const PANELS: &str = "kind = \"categorical\"\nvalues = [\"none\", \"other\", \"network\", \"bluetooth\", \"display\"]\n\
                      absent = \"none\"\nother = \"other\"";

/// One metric of each kind and source; all are asked every week.
pub const STANDARD: [Spec; 6] = [
    spec("cpu_vendor", "hardware", VENDORS, "cpu.vendor", "last"),
    spec("oom_kills", "problems", "kind = \"count\"\nmax = 20", "vm.oom_kills", "sum"),
    spec("panel", "usage", PANELS, "dbus", "sample_one"),
    spec("crashes", "problems", "kind = \"count\"\nmax = 200", "dbus", "sum"),
    spec("dark", "settings", "kind = \"boolean\"", "dbus", "last"),
    spec("session", "settings", PANELS, "dbus", "most_common"),
];

/// The text of an approved registry.
pub fn text(specs: &[Spec]) -> String {
    let draft = render(specs, |_| None);
    let files = Files { definitions: [("test.toml".to_owned(), draft.into_bytes())].into(), ..Files::default() };
    let registry = Registry::parse(&files).expect("the registry is well formed");
    render(specs, |key| Some(registry.by_name(&format!("test.{key}")).expect("it was just written").covers.clone()))
}

/// `covers` gives the digest of an approval; without one the metric is a draft.
fn render(specs: &[Spec], covers: impl Fn(&str) -> Option<String>) -> String {
    let mut out = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\nowners = [\"owner@example.org\"]\n".to_owned();
    for (id, spec) in (1..).zip(specs) {
        let Spec { key, category, data, source, aggregate, epsilon, mechanism, ask_probability, max_reports, expires } =
            spec;
        let epsilon_millionths = epsilon.parse::<hubbub_privacy::Epsilon>().unwrap();
        let lifetime = epsilon_millionths.times(*max_reports);
        let covers = covers(key);
        let status = if covers.is_some() { "active" } else { "draft" };
        write!(
            out,
            r#"
[metric.{key}]
id = {id}
version = 1
status = "{status}"
category = "{category}"
title = "The {key} of a test"
description = "Tests only."
question = "Does the {key} arrive?"
why_needed = "Tests need it."
alternatives_considered = "None."
never_collects = "Anything else."
[metric.{key}.data]
{data}
[metric.{key}.collect]
source = "{source}"
aggregate = "{aggregate}"
[metric.{key}.privacy]
epsilon = "{epsilon}"
mechanism = "{mechanism}"
ask_probability = "{ask_probability}"
max_reports = {max_reports}
lifetime_epsilon = "{lifetime}"
[metric.{key}.utility]
expected_reports = 20000
target_ci95_pp = "30.0"
min_reports_to_publish = 5000
[metric.{key}.lifecycle]
introduced = 2026-11-01
expires = {expires}
on_expiry = "stop"
"#
        )
        .unwrap();
        if let Some(covers) = covers {
            write!(
                out,
                r#"[[metric.{key}.review]]
kind = "initial"
url = "https://example.org/reviews/{id}"
decision = "approved"
reviewers = ["privacy-reviewer", "data-steward"]
date = 2026-11-02
covers = "{covers}"
"#
            )
            .unwrap();
        }
    }
    out
}
