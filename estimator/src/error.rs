//! What can keep counters from becoming estimates, and how to mend it.

use std::io;
use std::path::PathBuf;

use hubbub_privacy::{Exit, HeaderError, Period, SeriesPathError};
use hubbub_randomizer::PlanError;
use parquet::basic::CompressionCodec;
use parquet::errors::ParquetError;
use polars::prelude::PolarsError;
use thiserror::Error;

/// Why no estimates were made. Nothing has been written then, unless writing itself failed.
#[derive(Debug, Error)]
pub enum EstimateError {
    /// There is nothing to estimate.
    #[error(
        "no counters found in {}; expected metric=<name>/version=<v>/period=<p>/node=<n>.parquet there or in its \
         folder counters/, as `hubbub-aggregator export` and `hubbub fold` write them",
        directory.display()
    )]
    NoCounters {
        /// Where they were looked for.
        directory: PathBuf,
    },
    /// There are counters, but none of the weeks that were to be pooled.
    #[error("no counters of {from}..{to} found in {}; name a range that its period=<p> folders cover", directory.display())]
    NothingToPool {
        /// Where they were looked for.
        directory: PathBuf,
        /// The first week.
        from: Period,
        /// The last week.
        to: Period,
    },
    /// A range of weeks that ends before it starts.
    #[error("pooling {from}..{to}: the range ends before it starts; write the earlier week first")]
    PoolRange {
        /// The first week.
        from: Period,
        /// The last week.
        to: Period,
    },
    /// There are counters, but all are of versions that the registry does not define.
    #[error("nothing to estimate in {}: {}", directory.display(), lines(skipped))]
    OtherVersionsOnly {
        /// Where they were found.
        directory: PathBuf,
        /// Every metric and version found.
        skipped: Vec<OtherVersion>,
    },
    /// A counters file that must not be used.
    #[error("counters file {}: {defect}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        defect: Box<Defect>,
    },
    /// The reports of all files together are more than any crowd can have sent.
    #[error("counters of {metric} for {period}: their reports add up to more than 2^63; a file among them is forged")]
    Overflow {
        /// The metric's name.
        metric: String,
        /// The period or range.
        period: String,
    },
    /// A file's content changed between its check and its use.
    #[error("counters of {metric} for {period} changed while they were read; run it again when the export is done")]
    Changed {
        /// The metric's name.
        metric: String,
        /// The period or range.
        period: String,
    },
    /// Polars could not add up files that it can read one by one.
    #[error("summing the counters of {metric} for {period}: {source}; free memory or open files and run it again")]
    Sum {
        /// The metric's name.
        metric: String,
        /// The period or range.
        period: String,
        /// What Polars said.
        source: PolarsError,
    },
    /// Counters cannot be read from where they should be.
    #[error(
        "reading counters {}: {source}; name a directory that `hubbub-aggregator export` or `hubbub fold` wrote and \
         that you may read",
        path.display()
    )]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The estimates' directory or a file in it cannot be written.
    #[error("{deed} {}: {source}; name a directory that you may write and that has room", path.display())]
    Place {
        /// What was being done.
        deed: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Estimates cannot be written as Parquet.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: ParquetError,
    },
}

impl EstimateError {
    /// The exit code of a program that stops here: the input is to blame, or a disk or the machine.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoCounters { .. }
            | Self::NothingToPool { .. }
            | Self::PoolRange { .. }
            | Self::OtherVersionsOnly { .. }
            | Self::Refused { .. }
            | Self::Overflow { .. } => Exit::BadInput,
            Self::Changed { .. } | Self::Sum { .. } | Self::Read { .. } | Self::Place { .. } | Self::Write { .. } => {
                Exit::InputOutput
            }
        }
    }
}

/// What is wrong with one counters file.
#[derive(Debug, Error)]
pub enum Defect {
    /// The path does not say what the file is about, or says it in a second spelling, so that one node could count twice.
    #[error("{0}; move it away or give it the name it was exported with")]
    Path(#[from] SeriesPathError),
    /// The registry has no metric of that name.
    #[error("registry {registry} has no metric {metric}; give --registry the registry it was counted under")]
    UnknownMetric {
        /// The metric's name.
        metric: String,
        /// The registry's digest.
        registry: String,
    },
    /// The registry's metric has no mechanism in this program.
    #[error("{0}")]
    Mechanism(PlanError),
    /// Not a Parquet file from beginning to end.
    #[error("not a whole Parquet file ({0}); it was cut short or damaged: export it again")]
    Damaged(ParquetError),
    /// Compressed in a way that this program is built without.
    #[error("it is compressed with {0}, which this program cannot read; write it with zstd, snappy or no compression")]
    Codec(CompressionCodec),
    /// Damaged in a way that only the second reader noticed.
    #[error("Polars cannot read it ({0}); it was damaged: export it again")]
    Unsummable(PolarsError),
    /// The metadata is incomplete.
    #[error("{0}; only what `hubbub-aggregator export` or `hubbub fold` wrote can be estimated: export it again")]
    Header(#[from] HeaderError),
    /// Other columns.
    #[error("its columns are ({found}), not (index: Int64, count: Int64); export it again")]
    Schema {
        /// Names and types as they are.
        found: String,
    },
    /// The file was counted under another definition.
    #[error(
        "its {what} is {found}, but registry {registry} says {defined}; give --registry the registry it was counted \
         under ({counted_under})"
    )]
    Definition {
        /// The part of the definition.
        what: &'static str,
        /// As the file has it.
        found: String,
        /// As the registry has it.
        defined: String,
        /// The registry's digest.
        registry: String,
        /// The digest that the file names.
        counted_under: String,
    },
    /// Not one row per counter.
    #[error("it has {found} rows, but the mechanism has {expected} counters; export it again")]
    Rows {
        /// Rows in the file.
        found: i64,
        /// Counters of the mechanism.
        expected: usize,
    },
    /// Rows that are not the indices 0, 1, 2, ... in order.
    #[error("row {row} has index {found}; indices must be 0, 1, 2, ... each once: export it again")]
    Index {
        /// The row, from 0.
        row: usize,
        /// What stands there; nothing for null.
        found: Shown,
    },
    /// A counter that cannot come from the file's reports.
    #[error("index {index} has count {count}, which {reports} reports cannot give; export it again")]
    Count {
        /// The index.
        index: usize,
        /// Its count; nothing for null.
        count: Shown,
        /// The reports that the metadata names.
        reports: u64,
    },
    /// Sums that do not belong to the number of reports.
    #[error("its counts add up to {total}, which {reports} reports cannot give; export it again")]
    Totals {
        /// The sum of all counts.
        total: u128,
        /// The reports that the metadata names.
        reports: u64,
    },
}

/// A cell as messages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown(pub Option<i64>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// Counters files of a metric that are not of the version that the registry defines, so that they were not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherVersion {
    /// The metric's name.
    pub metric: String,
    /// The files' version.
    pub found: u32,
    /// How many files there are, of all periods and nodes that were asked for.
    pub files: usize,
    /// The registry's version.
    pub defined: u32,
    /// The registry's digest.
    pub registry: String,
}

impl std::fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { metric, found, files, defined, registry } = self;
        let noun = if *files == 1 { "file" } else { "files" };
        write!(
            f,
            "registry {registry} has version {defined} of {metric}; skipped {files} counters {noun} of version \
             {found}, because versions are never merged: estimate them with the registry of that version"
        )
    }
}

fn lines(skipped: &[OtherVersion]) -> String {
    let lines: Vec<String> = skipped.iter().map(OtherVersion::to_string).collect();
    lines.join("; ")
}
