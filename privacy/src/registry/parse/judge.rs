//! Where a file's keys stand, and the findings about one metric.

use chrono::NaiveDate;
use toml::Value;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::super::{Code, Finding};
use crate::Decimal;

/// The lines of a file's keys.
pub struct Lines<'a> {
    pub text: &'a str,
    pub root: DeTable<'a>,
}

impl Lines<'_> {
    pub fn at(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The line of the longest part of `path` that exists.
    pub fn of(&self, path: &[&str]) -> usize {
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
pub struct Judge<'a> {
    pub file: &'a str,
    pub key: &'a str,
    pub name: String,
    pub lines: &'a Lines<'a>,
    pub findings: &'a mut Vec<Finding>,
}

impl Judge<'_> {
    pub fn find(&mut self, code: Code, path: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
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
    pub fn decimal(&mut self, path: &[&str], value: &Value) -> Option<Decimal> {
        let key = path.last().copied().unwrap_or_default();
        let remedy = format!("write {key} = \"1.0\", a quoted decimal with at most 6 places");
        let Value::String(text) = value else {
            let message = format!("{key} is a TOML {}, which programs round differently", value.type_str());
            self.find(Code::DecimalString, path, message, remedy);
            return None;
        };
        text.parse().map_err(|error| self.find(Code::DecimalString, path, format!("{key}: {error}"), remedy)).ok()
    }

    pub fn date(&mut self, path: &[&str], value: &Datetime) -> Option<NaiveDate> {
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
