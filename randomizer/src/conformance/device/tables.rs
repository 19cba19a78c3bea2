//! The registries that devices are checked with: approved, small, each made for one scene.

use std::fmt::Write;

use hubbub_privacy::registry::Files;
use hubbub_privacy::{Epsilon, Registry};

/// Boolean.
pub const FLAG: &str = "kind = \"boolean\"";
/// Categories with an absent and an other.
pub const PANEL: &str = "kind = \"categorical\"\nvalues = [\"none\", \"other\", \"network\", \"display\"]\n\
                         absent = \"none\"\nother = \"other\"";
/// A small count.
pub const COUNT: &str = "kind = \"count\"\nmax = 3";

/// A metric of a scene.
#[derive(Clone, Copy)]
pub struct Row {
    pub id: u32,
    pub version: u32,
    pub predecessor: Option<u32>,
    pub data: &'static str,
    pub epsilon: &'static str,
    pub ask_probability: &'static str,
    pub max_reports: u32,
}

impl Row {
    /// Version 1, asked every week.
    pub const fn new(id: u32, data: &'static str, epsilon: &'static str, max_reports: u32) -> Self {
        Self { id, version: 1, predecessor: None, data, epsilon, ask_probability: "1.0", max_reports }
    }
}

/// An approved registry of these metrics.
pub fn registry(rows: &[Row]) -> Registry {
    let drafts = parse(&render(rows, |_| None));
    let covers = |id: u32| drafts.get(hubbub_privacy::MetricId(id)).map(|metric| metric.covers.clone());
    parse(&render(rows, covers))
}

fn parse(text: &str) -> Registry {
    let definitions = [("check.toml".to_owned(), text.as_bytes().to_vec())].into();
    Registry::parse(&Files { definitions, ..Files::default() }).expect("the registries of this file are well formed")
}

/// `covers` gives the digest of an approval; without one a metric is a draft.
fn render(rows: &[Row], covers: impl Fn(u32) -> Option<String>) -> String {
    let mut out =
        "schema = \"hubbub-registry/1\"\nnamespace = \"check\"\nowners = [\"owner@example.org\"]\n".to_owned();
    for Row { id, version, predecessor, data, epsilon, ask_probability, max_reports } in rows {
        let covers = covers(*id);
        let status = if covers.is_some() { "active" } else { "draft" };
        let predecessor = predecessor.map_or_else(String::new, |id| format!("predecessor = {id}\n"));
        let lifetime = epsilon.parse::<Epsilon>().expect("rows hold decimals").times(*max_reports);
        let review = covers.map_or_else(String::new, |covers| {
            format!(
                "[[metric.m{id}.review]]\nkind = \"initial\"\nurl = \"https://example.org/reviews/{id}\"\n\
                 decision = \"approved\"\nreviewers = [\"first\", \"second\"]\ndate = 2026-11-02\ncovers = \"{covers}\"\n"
            )
        });
        write!(
            out,
            r#"
[metric.m{id}]
id = {id}
version = {version}
status = "{status}"
category = "usage"
{predecessor}title = "Metric {id} of a check"
description = "Checks only."
question = "Does the device keep its promises?"
why_needed = "Checks need it."
alternatives_considered = "None."
never_collects = "Anything."
[metric.m{id}.data]
{data}
[metric.m{id}.collect]
source = "dbus"
aggregate = "last"
[metric.m{id}.privacy]
epsilon = "{epsilon}"
mechanism = "auto"
ask_probability = "{ask_probability}"
max_reports = {max_reports}
lifetime_epsilon = "{lifetime}"
[metric.m{id}.utility]
expected_reports = 20000
target_ci95_pp = "30.0"
min_reports_to_publish = 5000
[metric.m{id}.lifecycle]
introduced = 2026-11-01
expires = 2099-12-31
on_expiry = "stop"
{review}"#
        )
        .expect("a string can be written to");
    }
    out
}
