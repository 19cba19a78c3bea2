//! From what a probe or an application says to what the tally may keep of it.

use std::fmt;

use hubbub_privacy::registry::Aggregate;
use hubbub_privacy::{Domain, Value};
use thiserror::Error;

/// Who said it: the machine's own probes, or an application of one of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A probe.
    Machine,
    /// A caller on the bus, by the uid that the bus vouches for.
    User(u32),
}

/// What an application offers, by the type it chose on the bus.
#[derive(Clone, PartialEq, Eq)]
pub enum Offer {
    /// `b`.
    Boolean(bool),
    /// `s`.
    Label(String),
    /// Any integer type.
    Number(i64),
    /// `as`.
    Labels(Vec<String>),
    /// Something else: its signature.
    Other(String),
}

/// One event, mapped into its metric's domain: all that is ever stored of it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Entry {
    /// A value, as the tally writes it.
    Text(String),
    /// A quantity to add or compare.
    Number(i64),
    /// The items of a set.
    Items(Vec<String>),
}

/// The variant on the bus is not of the metric's kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a {kind} metric takes {expected}, not {found}")]
pub struct WrongType {
    kind: &'static str,
    expected: &'static str,
    found: String,
}

impl Offer {
    /// The type, never the value: it goes into messages.
    fn kind(&self) -> String {
        match self {
            Self::Boolean(_) => "a boolean (b)".to_owned(),
            Self::Label(_) => "a string (s)".to_owned(),
            Self::Number(_) => "an integer".to_owned(),
            Self::Labels(_) => "an array of strings (as)".to_owned(),
            Self::Other(signature) => format!("type {signature}"),
        }
    }
}

/// Whether a week of such values can become one value in that way.
pub fn fits(domain: &Domain, aggregate: Aggregate) -> bool {
    match aggregate {
        Aggregate::Last | Aggregate::MostCommon | Aggregate::SampleOne => true,
        Aggregate::Max | Aggregate::Sum | Aggregate::Count => {
            matches!(domain, Domain::Count { .. } | Domain::Ordered { .. })
        }
        Aggregate::Any => matches!(domain, Domain::Boolean),
        Aggregate::Union => matches!(domain, Domain::Set { .. }),
    }
}

/// Maps an offer into the domain: unlisted labels become `other`, unlisted items are dropped, numbers lose whatever the
/// domain does not tell apart.
///
/// # Errors
/// [`WrongType`] when the offer is of another kind; it names types only.
pub fn admit(domain: &Domain, aggregate: Aggregate, offer: &Offer) -> Result<Entry, WrongType> {
    let wrong = |expected| WrongType { kind: domain.kind(), expected, found: offer.kind() };
    let entry = match (domain, offer) {
        (Domain::Boolean, Offer::Boolean(truth)) => Entry::Text(truth.to_string()),
        (Domain::Boolean, _) => return Err(wrong("a boolean (b)")),
        (Domain::Categorical { .. }, Offer::Label(label)) => {
            let value = domain.categorical(label).map_err(|_| wrong("a listed label (s)"))?;
            Entry::Text(domain.show(&value))
        }
        (Domain::Categorical { .. }, _) => return Err(wrong("a string (s)")),
        (Domain::Set { values, .. }, Offer::Labels(labels)) => {
            let value = domain.set(labels.iter().map(String::as_str)).map_err(|_| wrong("an array of strings (as)"))?;
            match (aggregate, value) {
                (Aggregate::Union, Value::Items(items)) => {
                    Entry::Items(items.iter().filter_map(|&item| values.get(item as usize)).cloned().collect())
                }
                (_, value) => Entry::Text(text_of(domain, &value)),
            }
        }
        (Domain::Set { .. }, _) => return Err(wrong("an array of strings (as)")),
        (Domain::Count { .. } | Domain::Ordered { .. }, Offer::Number(number)) => {
            number_entry(domain, aggregate, *number)
        }
        (Domain::Count { .. } | Domain::Ordered { .. }, _) => return Err(wrong("an integer")),
    };
    Ok(entry)
}

fn number_entry(domain: &Domain, aggregate: Aggregate, number: i64) -> Entry {
    match aggregate {
        Aggregate::Count => Entry::Number(1),
        // Only the sum is told apart in the end, so its parts stay as they are; a count cannot be negative.
        Aggregate::Sum if matches!(domain, Domain::Count { .. }) => Entry::Number(number.max(0)),
        Aggregate::Sum => Entry::Number(number),
        _ => {
            let coarse = domain.number(number).map_or(number, |value| representative(domain, &value));
            if aggregate == Aggregate::Max { Entry::Number(coarse) } else { Entry::Text(coarse.to_string()) }
        }
    }
}

/// The number that stands for a value of a domain of numbers: a bucket's lower edge.
fn representative(domain: &Domain, value: &Value) -> i64 {
    match (domain, value) {
        (Domain::Ordered { edges, .. }, Value::Index(index)) => edges.get(*index as usize).copied().unwrap_or_default(),
        (_, Value::Index(index)) => i64::from(*index),
        (_, Value::Items(_)) => 0,
    }
}

/// A value as the tally and the log write it: [`Domain::parse`] reads it back, buckets included.
pub fn text_of(domain: &Domain, value: &Value) -> String {
    match domain {
        Domain::Ordered { .. } => representative(domain, value).to_string(),
        _ => domain.show(value),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("machine"),
            Self::User(uid) => write!(f, "user {uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Goal;

    use super::*;

    fn panels() -> Domain {
        let values = ["none", "other", "network"].map(str::to_owned).to_vec();
        Domain::Categorical { values, absent: Some(0), other: Some(1) }
    }

    fn ages() -> Domain {
        Domain::Ordered { edges: vec![0, 10, 100, 1000], goal: Goal::Mean, absent: 0 }
    }

    fn apps() -> Domain {
        Domain::Set { values: ["a", "b"].map(str::to_owned).to_vec(), max_items: 2 }
    }

    #[test]
    fn offers_lose_what_the_domain_does_not_tell_apart() {
        let text = |text: &str| Entry::Text(text.to_owned());
        let labels = |labels: &[&str]| Offer::Labels(labels.iter().map(|&label| label.to_owned()).collect());
        let count = Domain::Count { max: 50 };
        for (domain, aggregate, offer, entry) in [
            (Domain::Boolean, Aggregate::Any, Offer::Boolean(true), text("true")),
            (panels(), Aggregate::Last, Offer::Label("network".into()), text("network")),
            (panels(), Aggregate::Last, Offer::Label("my secret disk".into()), text("other")),
            (count.clone(), Aggregate::Last, Offer::Number(5000), text("50")),
            (count.clone(), Aggregate::Max, Offer::Number(-7), Entry::Number(0)),
            (count.clone(), Aggregate::Sum, Offer::Number(-7), Entry::Number(0)),
            (count.clone(), Aggregate::Sum, Offer::Number(5000), Entry::Number(5000)),
            (count, Aggregate::Count, Offer::Number(5000), Entry::Number(1)),
            (ages(), Aggregate::Last, Offer::Number(57), text("10")),
            (ages(), Aggregate::Max, Offer::Number(i64::MAX), Entry::Number(100)),
            (apps(), Aggregate::Union, labels(&["b", "game", "a"]), Entry::Items(vec!["a".into(), "b".into()])),
            (apps(), Aggregate::Last, labels(&["b", "game"]), text("[\"b\"]")),
        ] {
            assert_eq!(admit(&domain, aggregate, &offer), Ok(entry), "{} {aggregate:?}", domain.kind());
        }
    }

    #[test]
    fn offers_of_another_type_are_refused_without_their_value() {
        for (domain, offer) in [
            (Domain::Boolean, Offer::Label("secret".into())),
            (Domain::Boolean, Offer::Number(1)),
            (panels(), Offer::Number(1)),
            (panels(), Offer::Labels(vec!["secret".into()])),
            (Domain::Count { max: 5 }, Offer::Label("secret".into())),
            (Domain::Count { max: 5 }, Offer::Other("d".into())),
            (ages(), Offer::Boolean(true)),
            (apps(), Offer::Label("secret".into())),
        ] {
            let message = admit(&domain, Aggregate::Last, &offer).unwrap_err().to_string();
            assert!(!message.contains("secret") && message.contains(domain.kind()), "{message}");
        }
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        for (domain, value) in [
            (Domain::Boolean, Value::Index(1)),
            (panels(), Value::Index(2)),
            (ages(), Value::Index(1)),
            (Domain::Count { max: 9 }, Value::Index(9)),
            (apps(), Value::Items(vec![0, 1])),
        ] {
            assert_eq!(domain.parse(&text_of(&domain, &value)), Ok(value), "{}", domain.kind());
        }
    }

    #[test]
    fn aggregates_that_make_no_sense_are_told_apart() {
        assert!(fits(&Domain::Boolean, Aggregate::Any) && !fits(&Domain::Boolean, Aggregate::Sum));
        assert!(fits(&panels(), Aggregate::SampleOne) && !fits(&panels(), Aggregate::Max));
        assert!(fits(&apps(), Aggregate::Union) && !fits(&ages(), Aggregate::Union));
    }
}
