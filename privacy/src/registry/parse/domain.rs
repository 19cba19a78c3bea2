//! One metric's domain: the values it may take.

use std::collections::BTreeSet;

use toml::Value;

use super::super::document::DataTable;
use super::super::{Code, Status, canonical};
use super::{Files, MAX_LABEL_BYTES, judge::Judge};
use crate::{Domain, Goal};

/// Counts above 255 need a mechanism whose table would no longer be checked by enumeration.
const MAX_COUNT: i64 = 255;
/// The largest domain that any mechanism of Hubbub decodes.
const MAX_VALUES: usize = 1 << 20;

pub fn parse_domain(data: &DataTable, status: Status, files: &Files, judge: &mut Judge) -> Option<Domain> {
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
            if absent.is_some() && absent == other {
                let message = "absent and other are the same value, so nobody can tell them apart";
                judge.find(Code::AbsentOther, &["data", "other"], message, "name two values");
                return None;
            }
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
