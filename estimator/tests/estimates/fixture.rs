//! A registry in memory and counters files on disk, good or spoilt on purpose.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use hubbub_estimator::{EstimateError, Request, Row, Summary, estimate};
use hubbub_privacy::registry::Files;
use hubbub_privacy::{Counters, CountersHeader, Registry, Series};
use hubbub_randomizer::{Mechanism, Plan};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, CompressionCodec, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// ln 3 to six places, so that a boolean's report is true with chance 3/4 (to a millionth).
const REGISTRY: &str = r#"
schema = "hubbub-registry/1"
namespace = "test"

[metric.flag]
id = 1
version = 3
status = "draft"
[metric.flag.data]
kind = "boolean"
[metric.flag.privacy]
epsilon = "1.098612"

[metric.browser]
id = 2
version = 1
status = "draft"
category = "usage"
[metric.browser.data]
kind = "categorical"
values = ["none", "a", "b", "c", "d", "e", "f", "other"]
absent = "none"
other = "other"
[metric.browser.privacy]
epsilon = "1.0"
[metric.browser.utility]
expected_reports = 1000
target_ci95_pp = "5.0"
min_reports_to_publish = 500

[metric.crashes]
id = 3
version = 1
status = "draft"
[metric.crashes.data]
kind = "count"
max = 10
[metric.crashes.privacy]
epsilon = "1.0"
mechanism = "folded_geometric"
"#;

/// The registry's plan.
pub fn plan() -> Plan {
    plan_of(REGISTRY)
}

/// The plan of the registry with every `from` in its text replaced by `to`.
pub fn changed_plan(from: &str, to: &str) -> Plan {
    assert!(REGISTRY.contains(from), "the registry has no `{from}`");
    plan_of(&REGISTRY.replace(from, to))
}

fn plan_of(text: &str) -> Plan {
    let mut files = Files::default();
    files.definitions.insert("test.toml".to_owned(), text.as_bytes().to_vec());
    Plan::new(Registry::parse(&files).unwrap())
}

/// Everything that a counters file consists of.
pub struct Draft {
    pub path: PathBuf,
    pub header: CountersHeader,
    pub columns: Vec<(&'static str, ArrayRef)>,
    pub compression: Compression,
}

impl Draft {
    /// The file that a node would export.
    pub fn new(plan: &Plan, metric: &str, period: &str, node: &str, counters: &Counters) -> Self {
        let (metric, mechanism) = plan.by_name(metric).unwrap();
        let series = Series {
            metric: metric.name.clone(),
            version: metric.version,
            period: period.parse().unwrap(),
            node: node.to_owned(),
        };
        let header = CountersHeader {
            metric_id: metric.id,
            reports: counters.reports,
            dropped_remainder: 2,
            registry_digest: plan.registry().digest().to_owned(),
            family: mechanism.family().to_owned(),
            parameters: mechanism.parameters_json(),
            epsilon: metric.privacy.epsilon.to_string(),
            commit_group: 32,
        };
        let mut draft = Self {
            path: series.path(),
            header,
            columns: Vec::new(),
            compression: Compression::ZSTD(ZstdLevel::default()),
        };
        draft.set_counts(counters.counts.iter().map(|&count| i64::try_from(count).unwrap()).collect());
        draft
    }

    /// Rows 0, 1, 2, ... with these counts.
    pub fn set_counts(&mut self, counts: Vec<i64>) {
        let indices: Vec<i64> = (0..).take(counts.len()).collect();
        self.columns =
            vec![("index", Arc::new(Int64Array::from(indices))), ("count", Arc::new(Int64Array::from(counts)))];
    }

    /// Writes it below `directory` with all its metadata but the keys in `without`.
    pub fn write_without(&self, directory: &Path, without: &[&str]) -> PathBuf {
        let path = directory.join(&self.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let batch = RecordBatch::try_from_iter(self.columns.clone()).unwrap();
        let pairs = self.header.to_pairs().into_iter().filter(|(key, _)| !without.contains(&key.as_str()));
        let properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_key_value_metadata(Some(pairs.map(|(key, value)| KeyValue::new(key, value)).collect()))
            .build();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }

    /// Writes it below `directory`.
    pub fn write(&self, directory: &Path) -> PathBuf {
        self.write_without(directory, &[])
    }
}

/// Adds a second footer to a Parquet file, which then counts: the same but for the codec that it names for `column`.
pub fn claim_codec(path: &Path, column: usize, codec: CompressionCodec) {
    let metadata = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let metadata = metadata.metadata().as_ref().clone();
    let [group] = metadata.row_groups() else { panic!("one row group, not {}", metadata.num_row_groups()) };
    let mut columns = group.columns().to_vec();
    columns[column] = columns[column].clone().into_builder().set_compression_codec(codec).build().unwrap();
    let group = group.clone().into_builder().set_column_metadata(columns).build().unwrap();
    let metadata = metadata.into_builder().set_row_groups(vec![group]).build();
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    ParquetMetaDataWriter::new(&mut file, &metadata).finish().unwrap();
}

/// An empty place for counters and estimates.
pub struct Place {
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { directory: TempDir::new().unwrap() };
        fs::create_dir(place.counters()).unwrap();
        place
    }

    pub fn counters(&self) -> PathBuf {
        self.directory.path().join("in")
    }

    pub fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// Puts down the counters of one node and week.
    pub fn add(&self, plan: &Plan, metric: &str, period: &str, node: &str, counters: &Counters) -> PathBuf {
        Draft::new(plan, metric, period, node, counters).write(&self.counters())
    }

    pub fn estimate(&self, plan: &Plan) -> Result<Summary, EstimateError> {
        self.estimate_pooled(plan, None)
    }

    pub fn estimate_pooled(&self, plan: &Plan, pool: Option<(&str, &str)>) -> Result<Summary, EstimateError> {
        let pool = pool.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
        let (counters, out) = (self.counters(), self.out());
        estimate(&Request { plan, counters: &counters, out: &out, pool }, &mut |_| ())
    }

    pub fn rows(&self, plan: &Plan) -> Vec<Row> {
        self.estimate(plan).unwrap().rows
    }
}

/// `reports` reports whose counts are as they come, for tests that do not look at the figures.
pub fn any_counters(plan: &Plan, metric: &str, reports: u64) -> Counters {
    let (_, mechanism) = plan.by_name(metric).unwrap();
    let per_report = match mechanism {
        Mechanism::Subset(subset) => subset.k() as u64,
        Mechanism::Cyclotomic(_) | Mechanism::Window(_) | Mechanism::FoldedGeometric(_) => 1,
    };
    let mut counters = Counters { reports, counts: vec![0; mechanism.counters()] };
    let size = counters.counts.len();
    for unit in 0..reports * per_report {
        counters.counts[(unit % size as u64) as usize] += 1;
    }
    counters
}
