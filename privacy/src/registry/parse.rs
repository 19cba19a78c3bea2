//! From the files of a registry to checked metrics: everything that needs neither a date nor a mechanism.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use toml::Value;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::document::{DataTable, Document, LifecycleTable, MetricTable, ReviewTable, UtilityTable};
use super::{
    Budget, Code, Finding, Findings, Lifecycle, Metric, MetricId, Origin, Registry, Review, Status, Texts, Utility,
    canonical,
};
use crate::{Decimal, Domain, Epsilon, Goal, Probability, budget};

const SCHEMA: &str = "hubbub-registry/1";
/// Counts above 255 need a mechanism whose table would no longer be checked by enumeration.
const MAX_COUNT: i64 = 255;
/// The largest domain that any mechanism of Hubbub decodes.
const MAX_VALUES: usize = 1 << 20;
/// The longest label: long enough for an application id, too short for free text.
const MAX_LABEL_BYTES: usize = 128;
/// Metrics in one registry; a device must hold and show them all.
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

/// The lines of a file's keys.
struct Lines<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The line of the longest part of `path` that exists.
    fn of(&self, path: &[&str]) -> usize {
        let mut line = 1;
        let mut table = Some(&self.root);
        for part in path {
            let Some((key, value)) = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == part)) else {
                break;
            };
            line = self.at(key.span().start);
            table = match value.get_ref() {
                DeValue::Table(inner) => Some(inner),
                _ => None,
            };
        }
        line
    }
}

/// Collects the findings of one metric.
struct Judge<'a> {
    file: &'a str,
    key: &'a str,
    name: String,
    lines: &'a Lines<'a>,
    findings: &'a mut Vec<Finding>,
}

impl Judge<'_> {
    fn find(&mut self, code: Code, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        let full: Vec<&str> = ["metric", self.key].iter().chain(path).copied().collect();
        self.findings.push(Finding {
            code,
            file: self.file.to_owned(),
            line: self.lines.of(&full),
            metric: self.name.clone(),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// An exact decimal string, or a finding.
    fn decimal(&mut self, path: &[&str], value: &Value) -> Option<Decimal> {
        let key = path.last().copied().unwrap_or_default();
        let remedy = format!("write {key} = \"1.0\", a quoted decimal with at most 6 places");
        let Value::String(text) = value else {
            let message = format!("{key} is a TOML {}, which programs round differently", value.type_str());
            self.find(Code::DecimalString, path, message, remedy);
            return None;
        };
        text.parse().map_err(|error| self.find(Code::DecimalString, path, format!("{key}: {error}"), remedy)).ok()
    }

    fn date(&mut self, path: &[&str], value: &Datetime) -> Option<NaiveDate> {
        let date = match (value.date, value.time) {
            (Some(date), None) => NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into()),
            _ => None,
        };
        if date.is_none() {
            self.find(Code::Syntax, path, format!("`{value}` is not a date"), "write a plain date such as 2026-11-01");
        }
        date
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
        return Err(whole(Code::Limit, 1, message, "a registry has at most 10,000 metrics"));
    }
    if let Err(number) = canonical::to_json(&Value::Table(table.clone())) {
        let message = format!("the number {number} has no exact form that everyone reads alike");
        let line = text.find(&number).map_or(1, |offset| lines.at(offset));
        let mut finding =
            whole(Code::DecimalString, line, message, "quote decimals, as in \"1.0\"; integers stay below 2^53");
        // Epsilons get their own, clearer finding below; anything else stops here.
        let mut own = Vec::new();
        for (key, metric) in &document.metric {
            let name = format!("{}.{key}", document.namespace);
            let mut judge = Judge { file, key, name, lines: &lines, findings: &mut own };
            parse_budget(metric, &mut judge);
        }
        if let Some(first) = own.into_iter().find(|finding| finding.code == Code::DecimalString) {
            *finding = first;
        }
        return Err(finding);
    }
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
    Ok((table, metrics))
}

fn is_name(text: &str, points: bool) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.len() <= MAX_LABEL_BYTES && if points { text.split('.').all(part) } else { part(text) }
}

/// The digest that binds an approval to the text that was read: the metric's table plus its namespace, without `status`
/// and `review`.
fn covers_digest(file: &toml::Table, key: &str, namespace: &str) -> String {
    let mut table = file["metric"][key].as_table().cloned().unwrap_or_default();
    table.remove("status");
    table.remove("review");
    table.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    let canonical = canonical::to_json(&Value::Table(table)).expect("the whole file has a canonical form");
    canonical::sha256(canonical.as_bytes())
}

fn parse_metric(
    table: MetricTable,
    covers: String,
    owners: &[String],
    files: &Files,
    judge: &mut Judge,
) -> Option<Metric> {
    let before = judge.findings.len();
    let domain = parse_domain(&table.data, table.status, files, judge);
    let privacy = parse_budget(&table, judge);
    let utility = table.utility.as_ref().and_then(|utility| parse_utility(utility, judge));
    let lifecycle = table.lifecycle.as_ref().and_then(|lifecycle| parse_lifecycle(lifecycle, judge));
    let reviews = table.review.iter().filter_map(|review| parse_review(review, judge)).collect();
    if table.version == 0 {
        judge.find(Code::Syntax, &["version"], "version 0", "versions start at 1");
    }
    if table.status != Status::Draft {
        require_complete(&table, judge);
    }
    let origin = Origin {
        file: judge.file.to_owned(),
        line: judge.lines.of(&["metric", judge.key]),
        owners: owners.to_vec(),
        declared_lifetime: match &table.privacy.lifetime_epsilon {
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        },
    };
    if judge.findings.len() > before {
        return None;
    }
    Some(Metric {
        id: MetricId(table.id),
        name: judge.name.clone(),
        version: table.version,
        status: table.status,
        category: table.category,
        predecessor: table.predecessor.map(MetricId),
        texts: Texts {
            title: table.title,
            description: table.description,
            question: table.question,
            why_needed: table.why_needed,
            alternatives_considered: table.alternatives_considered,
            never_collects: table.never_collects,
        },
        domain: domain?,
        collect: table.collect,
        privacy: privacy?,
        utility,
        lifecycle,
        reviews,
        covers,
        origin,
    })
}

fn require_complete(table: &MetricTable, judge: &mut Judge) {
    let required = [
        ("category", table.category.is_some()),
        ("title", !table.title.is_empty()),
        ("description", !table.description.is_empty()),
        ("question", !table.question.is_empty()),
        ("why_needed", !table.why_needed.is_empty()),
        ("alternatives_considered", !table.alternatives_considered.is_empty()),
        ("never_collects", !table.never_collects.is_empty()),
        ("collect", table.collect.is_some()),
        ("utility", table.utility.is_some()),
        ("lifecycle", table.lifecycle.is_some()),
        ("privacy.ask_probability", table.privacy.ask_probability.is_some()),
        ("privacy.max_reports", table.privacy.max_reports.is_some()),
        ("privacy.lifetime_epsilon", table.privacy.lifetime_epsilon.is_some()),
    ];
    for (key, _) in required.into_iter().filter(|(_, present)| !present) {
        judge.find(Code::Incomplete, &[], format!("`{key}` is missing"), "add it, or set status = \"draft\"");
    }
}

fn parse_budget(table: &MetricTable, judge: &mut Judge) -> Option<Budget> {
    let privacy = &table.privacy;
    let epsilon = judge.decimal(&["privacy", "epsilon"], &privacy.epsilon)?;
    let epsilon = Epsilon::from_millionths(epsilon.millionths());
    if epsilon == Epsilon::ZERO {
        judge.find(Code::Ceiling, &["privacy", "epsilon"], "epsilon 0 reports nothing", "choose an epsilon above 0");
        return None;
    }
    if epsilon > budget::PER_REPORT {
        let message = format!("epsilon {epsilon} is above the compiled ceiling of {} per report", budget::PER_REPORT);
        judge.find(Code::Ceiling, &["privacy", "epsilon"], message, "lower it; no registry can raise the ceiling");
    }
    let ask_probability = match &privacy.ask_probability {
        None => Probability::ONE,
        Some(value) => {
            let path = ["privacy", "ask_probability"];
            let decimal = judge.decimal(&path, value)?;
            let probability = Probability::new(decimal);
            if probability.is_none() {
                judge.find(
                    Code::DecimalString,
                    &path,
                    format!("ask_probability {decimal} is above 1"),
                    "write a probability",
                );
            }
            probability?
        }
    };
    let max_reports = privacy.max_reports.unwrap_or(1);
    if max_reports == 0 {
        judge.find(
            Code::Ceiling,
            &["privacy", "max_reports"],
            "max_reports 0 asks nothing",
            "use 1 or more, or withdraw it",
        );
    }
    let path = ["privacy", "lifetime_epsilon"];
    let lifetime = epsilon.times(max_reports);
    if lifetime > budget::PER_METRIC {
        let message = format!(
            "{max_reports} reports of epsilon {epsilon} make {lifetime}, above the ceiling of {} per metric",
            budget::PER_METRIC
        );
        judge.find(Code::Ceiling, &["privacy", "max_reports"], message, "lower epsilon or max_reports");
    }
    if let Some(value) = &privacy.lifetime_epsilon {
        let declared = judge.decimal(&path, value)?;
        if declared.millionths() != lifetime.millionths() {
            let message =
                format!("lifetime_epsilon is {declared}, but epsilon {epsilon} x {max_reports} reports is {lifetime}");
            judge.find(Code::LifetimeEpsilon, &path, message, format!("write lifetime_epsilon = \"{lifetime}\""));
        }
    }
    Some(Budget { epsilon, mechanism: privacy.mechanism.clone(), ask_probability, max_reports })
}

fn parse_utility(table: &UtilityTable, judge: &mut Judge) -> Option<Utility> {
    let target_ci95_pp = judge.decimal(&["utility", "target_ci95_pp"], &table.target_ci95_pp)?;
    let UtilityTable { expected_reports, min_reports_to_publish, .. } = *table;
    Some(Utility { expected_reports, target_ci95_pp, min_reports_to_publish })
}

fn parse_lifecycle(table: &LifecycleTable, judge: &mut Judge) -> Option<Lifecycle> {
    let introduced = judge.date(&["lifecycle", "introduced"], &table.introduced);
    let expires = judge.date(&["lifecycle", "expires"], &table.expires);
    Some(Lifecycle { introduced: introduced?, expires: expires? })
}

fn parse_review(table: &ReviewTable, judge: &mut Judge) -> Option<Review> {
    Some(Review {
        url: table.url.clone(),
        approved: table.decision == "approved",
        reviewers: table.reviewers.clone(),
        date: judge.date(&["review"], &table.date)?,
        covers: table.covers.clone(),
    })
}

fn parse_domain(data: &DataTable, status: Status, files: &Files, judge: &mut Judge) -> Option<Domain> {
    let path = ["data"];
    let allowed: &[&str] = match data.kind.as_str() {
        "boolean" => &[],
        "categorical" => &["values", "values_file", "values_sha256", "absent", "other"],
        "ordered" => &["edges", "goal", "absent"],
        "count" => &["max"],
        "set" => &["values", "values_file", "values_sha256", "max_items"],
        kind => {
            let message = format!("kind `{kind}` does not exist");
            judge.find(Code::Domain, &["data", "kind"], message, "use boolean, categorical, ordered, count or set");
            return None;
        }
    };
    if let Some(key) = data.keys().into_iter().find(|key| !allowed.contains(key)) {
        let message = format!("`{key}` does not belong to kind {}", data.kind);
        judge.find(Code::Domain, &["data", key], message, "remove it");
        return None;
    }
    match data.kind.as_str() {
        "boolean" => Some(Domain::Boolean),
        "count" => match data.max {
            Some(max @ 1..=MAX_COUNT) => Some(Domain::Count { max: max as u32 }),
            _ => {
                judge.find(
                    Code::Domain,
                    &["data", "max"],
                    "a count needs `max` between 1 and 255",
                    "write max = 50, say",
                );
                None
            }
        },
        "categorical" => {
            let values = parse_values(data, files, judge)?;
            let mut index = |key: &str, label: Option<&str>| -> Result<Option<u32>, ()> {
                let Some(label) = label else {
                    if status == Status::Draft {
                        return Ok(None);
                    }
                    judge.find(
                        Code::AbsentOther,
                        &path,
                        format!("`{key}` is missing"),
                        format!("name the value that stands for \"{key}\""),
                    );
                    return Err(());
                };
                let found = values.iter().position(|value| value == label).map(|index| index as u32);
                if found.is_none() {
                    judge.find(
                        Code::AbsentOther,
                        &["data", key],
                        format!("{key} = \"{label}\" is not in the value list"),
                        "add it to the list, or name one of its values",
                    );
                    return Err(());
                }
                Ok(found)
            };
            let absent_label = match &data.absent {
                Some(Value::String(label)) => Some(label.as_str()),
                Some(_) => Some(""),
                None => None,
            };
            let (absent, other) = (index("absent", absent_label), index("other", data.other.as_deref()));
            let (absent, other) = (absent.ok()?, other.ok()?);
            Some(Domain::Categorical { values, absent, other })
        }
        "set" => {
            let values = parse_values(data, files, judge)?;
            let max_items = data
                .max_items
                .and_then(|max| u32::try_from(max).ok())
                .filter(|max| *max >= 1 && *max as usize <= values.len());
            if max_items.is_none() {
                judge.find(
                    Code::Domain,
                    &path,
                    "a set needs `max_items` between 1 and the number of its values",
                    "write max_items = 5, say",
                );
            }
            Some(Domain::Set { values, max_items: max_items? })
        }
        _ => parse_ordered(data, judge),
    }
}

fn parse_ordered(data: &DataTable, judge: &mut Judge) -> Option<Domain> {
    let edges = data.edges.clone().unwrap_or_default();
    if edges.len() < 3 || edges.len() > MAX_VALUES || !edges.is_sorted_by(|a, b| a < b) {
        judge.find(
            Code::Domain,
            &["data", "edges"],
            "an ordered metric needs at least 3 ascending `edges`",
            "write edges = [0, 1, 2, 4, 8], say",
        );
        return None;
    }
    let goal = match data.goal.as_deref() {
        Some("mean") => Goal::Mean,
        Some("quantiles") => Goal::Quantiles,
        _ => {
            judge.find(
                Code::Domain,
                &["data", "goal"],
                "an ordered metric needs a goal",
                "write goal = \"mean\" or goal = \"quantiles\"",
            );
            return None;
        }
    };
    let Some(Value::Integer(absent)) = data.absent else {
        judge.find(
            Code::AbsentOther,
            &["data", "absent"],
            "an ordered metric needs `absent`, an integer",
            "name the value reported when nothing happened",
        );
        return None;
    };
    let absent = crate::domain::bucket(&edges, absent);
    Some(Domain::Ordered { edges, goal, absent })
}

fn parse_values(data: &DataTable, files: &Files, judge: &mut Judge) -> Option<Vec<String>> {
    let path = ["data", "values"];
    let mut refuse = |message: String, remedy: &str| {
        judge.find(Code::Values, &path, message, remedy);
        None
    };
    let values = match (&data.values, &data.values_file) {
        (Some(values), None) => values.clone(),
        (None, Some(file)) => {
            let bytes = match files.values.get(file) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    return refuse(format!("reading {file}: {error}"), "put the list beside the registry's files");
                }
                None => {
                    return refuse(
                        format!("values_file `{file}` is not a path below the registry"),
                        "use a relative path without `..`",
                    );
                }
            };
            let digest = canonical::sha256(bytes);
            let declared = data.values_sha256.as_deref().unwrap_or("");
            if declared.trim_start_matches("sha256:") != digest.trim_start_matches("sha256:") {
                return refuse(
                    format!("{file} has the digest {digest}, not `{declared}`"),
                    "review the list, then set values_sha256 to its digest",
                );
            }
            match std::str::from_utf8(bytes) {
                Ok(text) => text.lines().map(str::to_owned).collect(),
                Err(error) => return refuse(format!("{file} is not UTF-8: {error}"), "save the list as UTF-8"),
            }
        }
        _ => return refuse("exactly one of `values` and `values_file` is needed".to_owned(), "keep one"),
    };
    if values.len() < 2 || values.len() > MAX_VALUES {
        return refuse(format!("{} values", values.len()), "a list has 2 to 2^20 values");
    }
    let mut seen = BTreeSet::new();
    for value in &values {
        if value.is_empty()
            || value.len() > MAX_LABEL_BYTES
            || value.chars().any(char::is_control)
            || value.trim() != value
        {
            return refuse(
                format!("the value {value:?} is not a label"),
                "labels have 1 to 128 bytes, no control characters and no space around them",
            );
        }
        if !seen.insert(value) {
            return refuse(format!("the value `{value}` stands there twice"), "remove one");
        }
    }
    Some(values)
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
