//! A registry file as serde reads it, before anything is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::value::Datetime;

use super::{Category, Collect, Status};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub schema: String,
    pub namespace: String,
    #[serde(default)]
    pub owners: Vec<String>,
    #[serde(default)]
    pub metric: BTreeMap<String, MetricTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricTable {
    pub id: u32,
    pub version: u32,
    pub status: Status,
    pub category: Option<Category>,
    pub predecessor: Option<u32>,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub question: String,
    #[serde(default)]
    pub why_needed: String,
    #[serde(default)]
    pub alternatives_considered: String,
    #[serde(default)]
    pub never_collects: String,
    pub data: DataTable,
    pub collect: Option<Collect>,
    pub privacy: PrivacyTable,
    pub utility: Option<UtilityTable>,
    pub lifecycle: Option<LifecycleTable>,
    #[serde(default)]
    pub review: Vec<ReviewTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataTable {
    pub kind: String,
    pub values: Option<Vec<String>>,
    pub values_file: Option<String>,
    pub values_sha256: Option<String>,
    pub absent: Option<toml::Value>,
    pub other: Option<String>,
    pub edges: Option<Vec<i64>>,
    pub goal: Option<String>,
    pub max: Option<i64>,
    pub max_items: Option<i64>,
}

impl DataTable {
    /// The keys that are present, `kind` aside.
    pub fn keys(&self) -> Vec<&'static str> {
        [
            ("values", self.values.is_some()),
            ("values_file", self.values_file.is_some()),
            ("values_sha256", self.values_sha256.is_some()),
            ("absent", self.absent.is_some()),
            ("other", self.other.is_some()),
            ("edges", self.edges.is_some()),
            ("goal", self.goal.is_some()),
            ("max", self.max.is_some()),
            ("max_items", self.max_items.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, present)| present.then_some(key))
        .collect()
    }
}

/// Figures are read as any TOML value, so that a number in place of a string gets a finding of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyTable {
    pub epsilon: toml::Value,
    #[serde(default = "auto")]
    pub mechanism: String,
    pub ask_probability: Option<toml::Value>,
    pub max_reports: Option<u32>,
    pub lifetime_epsilon: Option<toml::Value>,
}

fn auto() -> String {
    "auto".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UtilityTable {
    pub expected_reports: u64,
    pub target_ci95_pp: toml::Value,
    pub min_reports_to_publish: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleTable {
    pub introduced: Datetime,
    pub expires: Datetime,
    #[serde(rename = "on_expiry")]
    pub _on_expiry: OnExpiry,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    Stop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewTable {
    #[serde(rename = "kind")]
    pub _kind: ReviewKind,
    pub url: String,
    pub decision: String,
    pub reviewers: Vec<String>,
    pub date: Datetime,
    pub covers: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewKind {
    Initial,
    Renewal,
    Change,
}
