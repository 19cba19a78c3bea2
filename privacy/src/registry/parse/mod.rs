//! From the files of a registry to checked metrics: everything that needs neither a date nor a mechanism.

mod domain;
mod judge;
mod metric;

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;
use toml::de::DeTable;

use super::document::Document;
use super::{Code, Finding, Findings, Metric, MetricId, Registry, canonical};
use judge::{Judge, Lines};
use metric::parse_metric;

const SCHEMA: &str = "hubbub-registry/1";
/// The longest label: long enough for an application id, too short for free text.
const MAX_LABEL_BYTES: usize = 128;
/// Metrics in one file; a device must hold and show them all.
const MAX_METRICS: usize = 10_000;

/// The bytes of a registry, by file name.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `<namespace>.toml` files.
    pub definitions: BTreeMap<String, Vec<u8>>,
    /// Value lists by the path that a metric names, or why one could not be read.
    pub values: BTreeMap<String, Result<Vec<u8>, String>>,
}

impl Files {
    /// The value lists that the definitions name with an acceptable path, as far as they can be parsed.
    pub fn value_lists(&self) -> BTreeSet<String> {
        let documents = self
            .definitions
            .values()
            .filter_map(|bytes| toml::from_str::<Document>(std::str::from_utf8(bytes).ok()?).ok());
        documents
            .flat_map(|document| document.metric.into_values())
            .filter_map(|metric| metric.data.values_file)
            .filter(|path| is_inside(path))
            .collect()
    }
}

/// Whether a relative path stays below the registry's directory.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && !path.contains(['\\', '\0'])
}

impl Registry {
    /// Parses and checks the files.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first defect of a file that parses.
    pub fn parse(files: &Files) -> Result<Self, Findings> {
        let mut findings = Vec::new();
        let mut metrics: Vec<Metric> = Vec::new();
        let mut tables = toml::Table::new();
        for (file, bytes) in &files.definitions {
            match parse_file(file, bytes, files, &mut findings) {
                Ok((table, mut parsed)) => {
                    tables.insert(file.clone(), Value::Table(table));
                    metrics.append(&mut parsed);
                }
                Err(finding) => findings.push(*finding),
            }
        }
        check_identities(&metrics, &mut findings);
        if !findings.is_empty() {
            findings.sort_by(|a, b| (&a.file, a.line, a.code).cmp(&(&b.file, b.line, b.code)));
            return Err(Findings(findings));
        }
        let canonical = canonical::to_json(&Value::Table(tables)).expect("every file had a canonical form");
        let metrics = metrics.into_iter().map(|metric| (metric.id, metric)).collect();
        Ok(Self { metrics, digest: canonical::sha256(canonical.as_bytes()) })
    }
}

type Parsed = (toml::Table, Vec<Metric>);

fn parse_file(file: &str, bytes: &[u8], files: &Files, findings: &mut Vec<Finding>) -> Result<Parsed, Box<Finding>> {
    let whole = |code, line, message: String, remedy: &str| {
        let (file, metric, remedy) = (file.to_owned(), String::new(), remedy.to_owned());
        Box::new(Finding { code, file, line, metric, message, remedy })
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| whole(Code::Syntax, 1, format!("not UTF-8: {error}"), "save the file as UTF-8"))?;
    let syntax = |error: toml::de::Error| {
        let before = &bytes[..error.span().map_or(0, |span| span.start).min(bytes.len())];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        whole(Code::Syntax, line, error.message().to_owned(), "see the registry's format in metrics/README.md")
    };
    let document: Document = toml::from_str(text).map_err(syntax)?;
    let lines = Lines { text, root: DeTable::parse(text).map_err(syntax)?.into_inner() };
    let table: toml::Table = toml::from_str(text).map_err(syntax)?;
    if document.schema != SCHEMA {
        let message = format!("schema `{}` is not known", document.schema);
        return Err(whole(
            Code::Schema,
            lines.of(&["schema"]),
            message,
            "this program reads schema = \"hubbub-registry/1\"",
        ));
    }
    if !is_name(&document.namespace, true) {
        let message = format!("namespace `{}` is not of the form org.example.App", document.namespace);
        return Err(whole(
            Code::Syntax,
            lines.of(&["namespace"]),
            message,
            "use ASCII letters, digits, `_` and single points",
        ));
    }
    if document.metric.len() > MAX_METRICS {
        let message = format!("{} metrics in one file", document.metric.len());
        return Err(whole(Code::Limit, 1, message, "a file has at most 10,000 metrics"));
    }
    let before = findings.len();
    let mut metrics = Vec::new();
    for (key, metric) in document.metric {
        let name = format!("{}.{key}", document.namespace);
        let covers = covers_digest(&table, &key, &document.namespace);
        let mut judge = Judge { file, key: &key, name, lines: &lines, findings };
        if !is_name(&key, false) {
            judge.find(Code::Syntax, &[], format!("`{key}` is not a metric key"), "use ASCII letters, digits and `_`");
            continue;
        }
        metrics.extend(parse_metric(metric, covers, &document.owners, files, &mut judge));
    }
    // Numbers that belong into strings have had their own, clearer finding.
    if let (Err(number), true) = (canonical::to_json(&Value::Table(table.clone())), findings.len() == before) {
        let message = format!("the number {number} has no exact form that everyone reads alike");
        let line = text.find(&number).map_or(1, |offset| lines.at(offset));
        return Err(whole(
            Code::DecimalString,
            line,
            message,
            "quote decimals, as in \"1.0\"; integers stay below 2^53",
        ));
    }
    Ok((table, metrics))
}

fn is_name(text: &str, points: bool) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.len() <= MAX_LABEL_BYTES && if points { text.split('.').all(part) } else { part(text) }
}

/// The digest that binds an approval to the text that was read: the metric's table plus its namespace, without `status`
/// and `review`.
///
/// Empty for a table without a canonical form, which gets a finding.
fn covers_digest(file: &toml::Table, key: &str, namespace: &str) -> String {
    let mut table = file["metric"][key].as_table().cloned().unwrap_or_default();
    table.remove("status");
    table.remove("review");
    table.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    canonical::to_json(&Value::Table(table)).map(|json| canonical::sha256(json.as_bytes())).unwrap_or_default()
}

/// Checks what only shows over all files: ids, names and predecessors.
fn check_identities(metrics: &[Metric], findings: &mut Vec<Finding>) {
    let mut ids: BTreeMap<MetricId, &Metric> = BTreeMap::new();
    let mut names: BTreeMap<&str, &Metric> = BTreeMap::new();
    let mut find = |metric: &Metric, message: String, remedy: &str| {
        findings.push(Finding {
            code: Code::IdReuse,
            file: metric.origin.file.clone(),
            line: metric.origin.line,
            metric: metric.name.clone(),
            message,
            remedy: remedy.to_owned(),
        });
    };
    for metric in metrics {
        if let Some(first) = ids.insert(metric.id, metric) {
            let message = format!(
                "id {} already belongs to {} ({}:{})",
                metric.id, first.name, first.origin.file, first.origin.line
            );
            find(metric, message, "take an id that was never used; ids of withdrawn metrics stay taken");
        }
        if let Some(first) = names.insert(&metric.name, metric) {
            find(metric, format!("the name is already taken in {}", first.origin.file), "choose another name");
        }
    }
    for metric in metrics {
        if let Some(id) = metric.predecessor.filter(|id| *id == metric.id || !ids.contains_key(id)) {
            find(
                metric,
                format!("predecessor {id} is not another metric of this registry"),
                "name the id that this metric continues",
            );
        }
    }
}
