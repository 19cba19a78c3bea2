//! Counters: all that the server keeps of a metric's reports in one period, and how their files describe themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::{MetricId, Period};

/// The sums of one metric, version and period: they add, and nothing else is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// n, the reports folded in.
    pub reports: u64,
    /// One counter per index, as the metric's mechanism defines them.
    pub counts: Vec<u64>,
}

impl Counters {
    /// No reports yet, over `size` indices.
    pub fn new(size: usize) -> Self {
        Self { reports: 0, counts: vec![0; size] }
    }

    /// Adds the sums of `other` (which must have as many counters).
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.counts.len(), other.counts.len(), "counters of different mechanisms never meet");
        self.reports += other.reports;
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }
}

/// What a counters file speaks about, as its path says: `metric=<name>/version=<v>/period=<p>/node=<n>.parquet`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The metric's full name.
    pub metric: String,
    /// The version of its definition.
    pub version: u32,
    /// The week.
    pub period: Period,
    /// The server node that counted, or `offline`.
    pub node: String,
}

/// Why a path is not that of a counters file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not of the form metric=<name>/version=<v>/period=<p>/node=<n>.parquet")]
pub struct SeriesPathError(PathBuf);

impl Series {
    /// The path below the counters directory.
    pub fn path(&self) -> PathBuf {
        let Self { metric, version, period, node } = self;
        format!("metric={metric}/version={version}/period={period}/node={node}.parquet").into()
    }

    /// The inverse of [`Series::path`], for a path relative to the counters directory. Another spelling, such as
    /// `version=01`, is refused: it would be a second file of the same series.
    ///
    /// # Errors
    /// [`SeriesPathError`] with the path.
    pub fn from_path(path: &Path) -> Result<Self, SeriesPathError> {
        let parse = || {
            let mut parts = path.to_str()?.split('/');
            let mut field = |key: &str| parts.next()?.strip_prefix(key);
            let metric = field("metric=")?.to_owned();
            let version = field("version=")?.parse().ok()?;
            let period = field("period=")?.parse().ok()?;
            let node = field("node=")?.strip_suffix(".parquet")?.to_owned();
            (parts.next().is_none() && !node.is_empty()).then_some(Self { metric, version, period, node })
        };
        parse().filter(|series| series.path() == path).ok_or_else(|| SeriesPathError(path.to_owned()))
    }
}

/// The version of the counters format that this program writes.
const FORMAT: &str = "hubbub-counters/1";

/// The key-value metadata of a counters file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountersHeader {
    /// The metric's permanent id.
    pub metric_id: MetricId,
    /// n, the reports in the file's counts.
    pub reports: u64,
    /// Reports that were dropped at the end of the period because fewer than B were left (or 0 when unknown).
    pub dropped_remainder: u64,
    /// The digest of the registry that the node ran with.
    pub registry_digest: String,
    /// The mechanism's family.
    pub family: String,
    /// The mechanism's parameters, as canonical JSON.
    pub parameters: String,
    /// The declared epsilon, an exact decimal.
    pub epsilon: String,
    /// B, the least number of reports that were committed together; 1 for counters folded offline.
    pub commit_group: u64,
}

/// Why metadata does not describe counters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// A key is missing.
    #[error("the metadata key `{0}` is missing")]
    Missing(&'static str),
    /// A value is not what its key promises.
    #[error("the metadata key `{key}` holds `{value}`")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

impl CountersHeader {
    /// The pairs to write, in a fixed order.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        [
            ("format", FORMAT.to_owned()),
            ("metric_id", self.metric_id.0.to_string()),
            ("reports", self.reports.to_string()),
            ("dropped_remainder", self.dropped_remainder.to_string()),
            ("registry_digest", self.registry_digest.clone()),
            ("family", self.family.clone()),
            ("parameters", self.parameters.clone()),
            ("epsilon", self.epsilon.clone()),
            ("commit_group", self.commit_group.to_string()),
        ]
        .map(|(key, value)| (format!("hubbub.{key}"), value))
        .to_vec()
    }

    /// Reads the pairs of a file; keys of others are ignored.
    ///
    /// # Errors
    /// [`HeaderError`] naming the key.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let pairs: BTreeMap<&str, &str> = pairs.into_iter().collect();
        let text = |key: &'static str| pairs.get(key).copied().ok_or(HeaderError::Missing(key));
        fn number<T: FromStr>(key: &'static str, value: &str) -> Result<T, HeaderError> {
            value.parse().map_err(|_| HeaderError::Invalid { key, value: value.to_owned() })
        }
        let format = text("hubbub.format")?;
        if format != FORMAT {
            return Err(HeaderError::Invalid { key: "hubbub.format", value: format.to_owned() });
        }
        Ok(Self {
            metric_id: MetricId(number("hubbub.metric_id", text("hubbub.metric_id")?)?),
            reports: number("hubbub.reports", text("hubbub.reports")?)?,
            dropped_remainder: number("hubbub.dropped_remainder", text("hubbub.dropped_remainder")?)?,
            registry_digest: text("hubbub.registry_digest")?.to_owned(),
            family: text("hubbub.family")?.to_owned(),
            parameters: text("hubbub.parameters")?.to_owned(),
            epsilon: text("hubbub.epsilon")?.to_owned(),
            commit_group: number("hubbub.commit_group", text("hubbub.commit_group")?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip_and_others_are_refused() {
        let series = Series {
            metric: "org.gnome.Settings.panel_opened".into(),
            version: 2,
            period: "2026-W47".parse().unwrap(),
            node: "a".into(),
        };
        assert_eq!(Series::from_path(&series.path()), Ok(series));
        for path in [
            "metric=x/version=1/period=2026-W47/node=.parquet",
            "metric=x/version=1/node=a.parquet",
            "a/b/c/d",
            "metric=x/version=1/period=2026-W47/node=a.parquet/x",
            "metric=x/version=01/period=2026-W47/node=a.parquet",
        ] {
            assert!(Series::from_path(Path::new(path)).is_err(), "{path} was accepted");
        }
    }

    #[test]
    fn headers_round_trip_and_name_what_is_missing() {
        let header = CountersHeader {
            metric_id: MetricId(17),
            reports: 320,
            dropped_remainder: 3,
            registry_digest: "sha256:00".into(),
            family: "subset".into(),
            parameters: "{\"d\":5}".into(),
            epsilon: "1.0".into(),
            commit_group: 32,
        };
        let pairs = header.to_pairs();
        let borrowed = || pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(CountersHeader::from_pairs(borrowed()), Ok(header));
        let without = borrowed().filter(|(key, _)| *key != "hubbub.reports");
        assert_eq!(CountersHeader::from_pairs(without), Err(HeaderError::Missing("hubbub.reports")));
    }

    #[test]
    fn counters_are_a_commutative_monoid() {
        let sum = |parts: &[&Counters]| {
            let mut sum = Counters::new(2);
            parts.iter().for_each(|part| sum.add(part));
            sum
        };
        let (a, b, c) = (
            Counters { reports: 1, counts: vec![1, 0] },
            Counters { reports: 2, counts: vec![1, 2] },
            Counters::new(2),
        );
        assert_eq!(sum(&[&a, &b, &c]), sum(&[&c, &b, &a]));
        assert_eq!(sum(&[&sum(&[&a, &b]), &c]), sum(&[&a, &sum(&[&b, &c])]));
        assert_eq!(sum(&[&a, &c]), a);
    }
}
