//! What a metric can answer: the finite set of values that a randomizer maps onto itself.

use thiserror::Error;

/// What an ordered metric is asked for; the mechanism is chosen accordingly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The mean over the population.
    Mean,
    /// Median, percentiles and distribution.
    Quantiles,
}

/// The values that a metric may take. Indices run from 0 and never change their meaning within a metric version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// 0 = false (absent), 1 = true.
    Boolean,
    /// One of a list of labels.
    Categorical {
        /// The labels, in the order of the registry.
        values: Vec<String>,
        /// The label reported when nothing happened; only a draft may lack it.
        absent: Option<u32>,
        /// The label that stands for everything unlisted; only a draft may lack it.
        other: Option<u32>,
    },
    /// One of `edges.len() - 1` buckets of integers; bucket `i` holds `edges[i] <= v < edges[i + 1]`, and values outside
    /// go to the first or last bucket.
    Ordered {
        /// Ascending integer edges, one more than there are buckets.
        edges: Vec<i64>,
        /// What the metric is asked for.
        goal: Goal,
        /// The bucket reported when nothing happened.
        absent: u32,
    },
    /// A number clamped to `0..=max`; absent is 0.
    Count {
        /// The largest count that is told apart, at most 255.
        max: u32,
    },
    /// At most `max_items` of a list of labels; absent is the empty set, unlisted items are dropped.
    Set {
        /// The labels, in the order of the registry.
        values: Vec<String>,
        /// The largest set that is reported whole.
        max_items: u32,
    },
}

/// A value inside a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The index of a label or bucket, or a count.
    Index(u32),
    /// The indices of a set's items, ascending.
    Items(Vec<u32>),
}

/// Why a text is not a value of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// A boolean that is neither.
    #[error("`{0}` is not `true` or `false`")]
    NotBoolean(String),
    /// A count or an ordered value that is no integer.
    #[error("`{0}` is not an integer")]
    NotInteger(String),
    /// A set that is no JSON array of strings.
    #[error("`{0}` is not a JSON array of strings")]
    NotArray(String),
    /// An unlisted label, in a draft that names no `other`.
    #[error("`{0}` is not in the value list, and the metric names no `other`")]
    Unlisted(String),
    /// Nothing, in a draft that names no `absent`.
    #[error("an empty line means absent, and the metric names no `absent`")]
    NoAbsent,
}

impl Domain {
    /// The kind as the registry writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Categorical { .. } => "categorical",
            Self::Ordered { .. } => "ordered",
            Self::Count { .. } => "count",
            Self::Set { .. } => "set",
        }
    }

    /// d, the number of indices.
    pub fn size(&self) -> usize {
        match self {
            Self::Boolean => 2,
            Self::Categorical { values, .. } | Self::Set { values, .. } => values.len(),
            Self::Ordered { edges, .. } => edges.len() - 1,
            Self::Count { max } => *max as usize + 1,
        }
    }

    /// The text of an index, as analysts read it.
    pub fn label(&self, index: u32) -> String {
        match self {
            Self::Boolean => if index == 0 { "false" } else { "true" }.to_owned(),
            Self::Categorical { values, .. } | Self::Set { values, .. } => {
                values.get(index as usize).cloned().unwrap_or_else(|| format!("#{index}"))
            }
            Self::Ordered { edges, .. } => match edges.get(index as usize..index as usize + 2) {
                Some([low, high]) => format!("{low}..{high}"),
                _ => format!("#{index}"),
            },
            Self::Count { .. } => index.to_string(),
        }
    }

    /// The text of a value, as its owner reads it: [`Domain::parse`] accepts it again. A bucket is shown by its lower edge.
    pub fn show(&self, value: &Value) -> String {
        match value {
            Value::Index(index) => match self {
                Self::Ordered { edges, .. } => edges.get(*index as usize).map_or_else(String::new, i64::to_string),
                _ => self.label(*index),
            },
            Value::Items(items) => {
                let labels: Vec<String> = items.iter().map(|&item| self.label(item)).collect();
                serde_json::to_string(&labels).expect("strings serialize")
            }
        }
    }

    /// The value that says that nothing happened.
    ///
    /// # Errors
    /// [`ValueError::NoAbsent`] for a draft that names none.
    pub fn absent(&self) -> Result<Value, ValueError> {
        match self {
            Self::Boolean | Self::Count { .. } => Ok(Value::Index(0)),
            Self::Categorical { absent, .. } => absent.map(Value::Index).ok_or(ValueError::NoAbsent),
            Self::Ordered { absent, .. } => Ok(Value::Index(*absent)),
            Self::Set { .. } => Ok(Value::Items(Vec::new())),
        }
    }

    /// The value of a label; an unlisted label becomes `other`.
    ///
    /// # Errors
    /// [`ValueError::Unlisted`] for a draft that names no `other`, or a domain without labels.
    pub fn categorical(&self, label: &str) -> Result<Value, ValueError> {
        let unlisted = || ValueError::Unlisted(label.to_owned());
        let Self::Categorical { values, other, .. } = self else { return Err(unlisted()) };
        let listed = values.iter().position(|value| value == label).map(|index| index as u32);
        listed.or(*other).map(Value::Index).ok_or_else(unlisted)
    }

    /// The value of a number: clamped for a count, put into its bucket for an ordered domain.
    ///
    /// # Errors
    /// [`ValueError::NotInteger`] when the domain holds no numbers.
    pub fn number(&self, number: i64) -> Result<Value, ValueError> {
        match self {
            Self::Count { max } => Ok(Value::Index(number.clamp(0, i64::from(*max)) as u32)),
            Self::Ordered { edges, .. } => Ok(Value::Index(bucket(edges, number))),
            _ => Err(ValueError::NotInteger(number.to_string())),
        }
    }

    /// The set of the listed items among `labels`.
    ///
    /// # Errors
    /// [`ValueError::NotArray`] when the domain holds no sets.
    pub fn set<'a>(&self, labels: impl IntoIterator<Item = &'a str>) -> Result<Value, ValueError> {
        let Self::Set { values, .. } = self else { return Err(ValueError::NotArray(String::new())) };
        let mut items: Vec<u32> =
            labels.into_iter().filter_map(|label| values.iter().position(|v| v == label)).map(|i| i as u32).collect();
        items.sort_unstable();
        items.dedup();
        Ok(Value::Items(items))
    }

    /// The value of one line of text, as the filters read it: `true` or `false`, a label, an integer, or a JSON array;
    /// an empty line is absent.
    ///
    /// # Errors
    /// A [`ValueError`] that says what was expected.
    pub fn parse(&self, line: &str) -> Result<Value, ValueError> {
        if line.is_empty() {
            return self.absent();
        }
        match self {
            Self::Boolean => match line {
                "true" => Ok(Value::Index(1)),
                "false" => Ok(Value::Index(0)),
                _ => Err(ValueError::NotBoolean(line.to_owned())),
            },
            Self::Categorical { .. } => self.categorical(line),
            Self::Count { .. } | Self::Ordered { .. } => self.number(saturating_integer(line)?),
            Self::Set { .. } => {
                let labels: Vec<String> =
                    serde_json::from_str(line).map_err(|_| ValueError::NotArray(line.to_owned()))?;
                self.set(labels.iter().map(String::as_str))
            }
        }
    }
}

/// The bucket of `number`; numbers outside the edges go to the ends.
pub(crate) fn bucket(edges: &[i64], number: i64) -> u32 {
    let below = edges.partition_point(|&edge| edge <= number);
    below.saturating_sub(1).min(edges.len().saturating_sub(2)) as u32
}

/// An integer of any length; what does not fit counts as the nearest that does (domains clamp anyway).
fn saturating_integer(text: &str) -> Result<i64, ValueError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueError::NotInteger(text.to_owned()));
    }
    Ok(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels() -> Domain {
        let values = ["none", "network", "other"].map(str::to_owned).to_vec();
        Domain::Categorical { values, absent: Some(0), other: Some(2) }
    }

    #[test]
    fn lines_become_values() {
        let ordered = Domain::Ordered { edges: vec![0, 1, 2, 4, 8], goal: Goal::Mean, absent: 0 };
        let set = Domain::Set { values: vec!["a".into(), "b".into()], max_items: 2 };
        for (domain, line, value) in [
            (Domain::Boolean, "true", Value::Index(1)),
            (Domain::Boolean, "", Value::Index(0)),
            (panels(), "network", Value::Index(1)),
            (panels(), "wifi", Value::Index(2)),
            (panels(), "", Value::Index(0)),
            (Domain::Count { max: 50 }, "51", Value::Index(50)),
            (Domain::Count { max: 50 }, "-3", Value::Index(0)),
            (Domain::Count { max: 50 }, "99999999999999999999999", Value::Index(50)),
            (ordered.clone(), "-1", Value::Index(0)),
            (ordered.clone(), "3", Value::Index(2)),
            (ordered.clone(), "4", Value::Index(3)),
            (ordered, "1000", Value::Index(3)),
            (set.clone(), r#"["b","nobody","a","b"]"#, Value::Items(vec![0, 1])),
            (set, "", Value::Items(vec![])),
        ] {
            assert_eq!(domain.parse(&domain.show(&value)), Ok(value.clone()), "{} {value:?}", domain.kind());
            assert_eq!(domain.parse(line), Ok(value), "{} {line:?}", domain.kind());
        }
    }

    #[test]
    fn lines_of_the_wrong_type_are_refused() {
        for (domain, line) in [
            (Domain::Boolean, "yes"),
            (Domain::Boolean, "True"),
            (Domain::Count { max: 5 }, "3.5"),
            (Domain::Count { max: 5 }, "-"),
            (Domain::Count { max: 5 }, "many"),
            (Domain::Set { values: vec![], max_items: 1 }, "a,b"),
        ] {
            assert!(domain.parse(line).is_err(), "{} accepted {line:?}", domain.kind());
        }
        let draft = Domain::Categorical { values: vec!["a".into()], absent: None, other: None };
        assert_eq!(draft.parse(""), Err(ValueError::NoAbsent));
        assert_eq!(draft.parse("b"), Err(ValueError::Unlisted("b".into())));
    }
}
