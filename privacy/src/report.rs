//! The report: the first type on the route that can be written to a disk or a wire.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{MetricId, Period};

/// The length every upload is padded to with spaces, so that all look alike. A mechanism whose longest report does not
/// fit uses the next multiple, for all its reports.
pub const REPORT_BODY_BYTES: usize = 512;

/// The version of the report format.
pub const REPORT_FORMAT: u32 = 1;

/// 128 random bits drawn for one report only, so that the server can count it once; forgotten afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(pub [u8; 16]);

impl fmt::Display for ReportId {
    /// 22 characters of base64url without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for ReportId {
    /// Redacted: an id never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportId(…)")
    }
}

/// What a mechanism's output looks like on the wire; its meaning is the mechanism's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// An output index.
    Number(u32),
    /// The indices of a subset, ascending, or a coordinate and an index.
    List(Vec<u32>),
}

impl<'de> Deserialize<'de> for Payload {
    /// What a derived reader of the same form would take. That one copies every number before it knows the form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrList)
    }
}

struct NumberOrList;

impl<'de> Visitor<'de> for NumberOrList {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`report` must be a whole number or an array of whole numbers")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Payload, E> {
        let number = u32::try_from(number);
        number.map(Payload::Number).map_err(|_| E::custom("`report` has a number beyond 32 bits"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Payload, A::Error> {
        let mut indices = Vec::new();
        while let Some(index) = list.next_element()? {
            indices.push(index);
        }
        Ok(Payload::List(indices))
    }
}

/// A randomized answer, safe to show to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The metric's permanent id.
    pub metric: MetricId,
    /// The version of the metric's definition.
    pub version: u32,
    /// The week it speaks about.
    pub period: Period,
    /// Its single-use id.
    pub id: ReportId,
    /// The mechanism's output.
    pub payload: Payload,
}

/// Why bytes are not a report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MalformedReport {
    /// Not the JSON object that protocol version 1 describes.
    #[error("not a report: {0}")]
    Json(String),
    /// Not a JSON object at all.
    #[error("not a report: a report is a JSON object, {{\"v\":1,...}}")]
    NotAnObject,
    /// A format version that this program does not speak.
    #[error("report format {0} is not supported; this program speaks version {REPORT_FORMAT}")]
    Format(u32),
    /// A period that is no ISO week.
    #[error("`period`: {0}")]
    Period(#[from] crate::PeriodError),
    /// An id that is not 128 bits of base64url.
    #[error("`id` is not 22 characters of base64url")]
    Id,
}

/// The JSON object, field by field.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    v: u32,
    metric: u32,
    version: u32,
    #[serde(borrow)]
    period: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    report: Payload,
}

impl Report {
    /// The compact JSON object, without padding.
    pub fn encode(&self) -> String {
        let wire = Wire {
            v: REPORT_FORMAT,
            metric: self.metric.0,
            version: self.version,
            period: self.period.to_string().into(),
            id: self.id.to_string().into(),
            report: self.payload.clone(),
        };
        serde_json::to_string(&wire).expect("numbers and strings serialize")
    }

    /// The bytes of an upload: the object, padded with spaces to `length` bytes.
    pub fn encode_padded(&self, length: usize) -> String {
        format!("{:<length$}", self.encode())
    }

    /// Reads an object with any padding of white space around it.
    ///
    /// # Errors
    /// [`MalformedReport`]; unknown, missing and repeated fields are refused, and so is anything after the object.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedReport> {
        // Derived readers take an array of the fields for the object, too.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(MalformedReport::NotAnObject);
        }
        let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|error| MalformedReport::Json(error.to_string()))?;
        if wire.v != REPORT_FORMAT {
            return Err(MalformedReport::Format(wire.v));
        }
        let mut id = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(wire.id.as_ref(), &mut id).map_err(|_| MalformedReport::Id)?;
        if length != id.len() {
            return Err(MalformedReport::Id);
        }
        Ok(Self {
            metric: MetricId(wire.metric),
            version: wire.version,
            period: wire.period.parse()?,
            id: ReportId(id),
            payload: wire.report,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            metric: MetricId(17),
            version: 2,
            period: "2026-W47".parse().unwrap(),
            id: ReportId([0xfb; 16]),
            payload: Payload::List(vec![3, 17, 41]),
        }
    }

    #[test]
    fn the_wire_form_is_the_documented_one() {
        let text =
            r#"{"v":1,"metric":17,"version":2,"period":"2026-W47","id":"-_v7-_v7-_v7-_v7-_v7-w","report":[3,17,41]}"#;
        assert_eq!(report().encode(), text);
        assert_eq!(report().encode_padded(REPORT_BODY_BYTES).len(), 512);
        assert_eq!(Report::decode(report().encode_padded(REPORT_BODY_BYTES).as_bytes()), Ok(report()));
    }

    #[test]
    fn whatever_is_not_exactly_a_report_is_refused() {
        let good = report().encode();
        for (bad, why) in [
            (good.replace("\"v\":1", "\"v\":2"), "another format"),
            (good.replace("\"v\":1,", ""), "a missing field"),
            (good.replace("\"v\":1", "\"v\":1,\"extra\":0"), "an unknown field"),
            (good.replace("\"v\":1", "\"v\":1,\"v\":1"), "a repeated field"),
            (good.replace("17,\"version", "-17,\"version"), "a negative metric"),
            (good.replace("17,\"version", "17.0,\"version"), "a float"),
            (good.replace("W47", "W54"), "a week that does not exist"),
            (good.replace("7-w", "7-x"), "trailing bits in the id"),
            (good.replace("7-w", "7-w=="), "a padded id"),
            (good.replace("-_v7-w", ""), "a short id"),
            (good.replace("[3,17,41]", "\"3\""), "a text payload"),
            (good.replace("[3,17,41]", "[3,-1]"), "a negative index"),
            (good.replace("[3,17,41]", "4294967296"), "an index that does not fit"),
            (good.clone() + "x", "trailing bytes"),
            (good.clone() + &good, "two objects"),
            (good[..40].to_owned(), "a truncated object"),
            (r#"[1,17,2,"2026-W47","-_v7-_v7-_v7-_v7-_v7-w",[3]]"#.to_owned(), "the fields as an array"),
            (String::new(), "nothing"),
        ] {
            assert!(Report::decode(bad.as_bytes()).is_err(), "{why} was accepted: {bad}");
        }
    }
}
