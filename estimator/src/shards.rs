//! Finding the counters files of all nodes and checking each against the registry before anything is added up.

use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use hubbub_privacy::{Counters, CountersHeader, Epsilon, Metric, Series};
use hubbub_randomizer::{Mechanism, Plan};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::CompressionCodec;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use crate::error::{Defect, EstimateError, Shown};

/// metric, version, period, node.
const LEVELS: usize = 4;

/// A counters file that was found but not yet opened.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    pub series: Series,
}

/// A counters file whose every row fits its metric's definition.
#[derive(Debug)]
pub struct Shard {
    pub path: PathBuf,
    pub series: Series,
    pub header: CountersHeader,
    /// The sum of its counts.
    pub total: u128,
}

/// All counters files below `directory` (or below its folder `counters/`), in the order of their paths.
///
/// Hidden files and files that are not named `*.parquet` are left alone: they are what an interrupted export leaves
/// behind. Anything else that does not follow the layout is refused, because skipping it would silently lose reports.
pub fn find(directory: &Path) -> Result<Vec<Found>, EstimateError> {
    let mut root = directory.to_owned();
    let mut metrics = metric_folders(&root)?;
    let inner = directory.join("counters");
    if metrics.is_empty() && inner.is_dir() {
        root = inner;
        metrics = metric_folders(&root)?;
    }
    let mut files = Vec::new();
    for metric in metrics {
        collect(&root.join(metric), LEVELS - 1, &mut files)?;
    }
    files.sort();
    let found: Vec<Found> = files.into_iter().map(|path| named(&root, path)).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(EstimateError::NoCounters { directory: directory.to_owned() });
    }
    Ok(found)
}

fn metric_folders(directory: &Path) -> Result<Vec<String>, EstimateError> {
    let names = entries(directory)?.into_iter().filter(|name| name.starts_with("metric="));
    Ok(names.filter(|name| directory.join(name).is_dir()).collect())
}

/// The names in a directory that are not hidden; a name that is no Unicode is nobody's export.
fn entries(directory: &Path) -> Result<Vec<String>, EstimateError> {
    let failed = |source| EstimateError::Read { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Adds the `*.parquet` files that lie at most `levels` folders below `directory`, which is as deep as the layout goes.
fn collect(directory: &Path, levels: usize, files: &mut Vec<PathBuf>) -> Result<(), EstimateError> {
    for name in entries(directory)? {
        let path = directory.join(&name);
        if path.is_dir() && levels > 1 {
            collect(&path, levels - 1, files)?;
        } else if name.ends_with(".parquet") {
            files.push(path);
        }
    }
    Ok(())
}

fn named(root: &Path, path: PathBuf) -> Result<Found, EstimateError> {
    let relative = path.strip_prefix(root).unwrap_or(&path);
    match Series::from_path(relative) {
        Ok(series) => Ok(Found { path, series }),
        Err(error) => Err(EstimateError::Refused { file: path, defect: Box::new(error.into()) }),
    }
}

/// What the registry says about the counters of a metric.
#[derive(Debug)]
pub struct Definition<'a> {
    pub metric: &'a Metric,
    pub mechanism: &'a Mechanism,
    /// The mechanism's parameters as files carry them; made once, because they hold the digest of whole tables.
    parameters: String,
    registry: &'a str,
}

impl<'a> Definition<'a> {
    /// The definition of the metric that `found` names.
    pub fn of(found: &Found, plan: &'a Plan) -> Result<Self, EstimateError> {
        let registry = plan.registry().digest();
        let name = &found.series.metric;
        let unknown = || Defect::UnknownMetric { metric: name.clone(), registry: registry.to_owned() };
        let resolved = plan.registry().by_name(name).ok_or_else(unknown);
        match resolved.and_then(|metric| plan.get(metric.id).map_err(Defect::Mechanism)) {
            Ok((metric, mechanism)) => {
                Ok(Self { metric, mechanism, parameters: mechanism.parameters_json(), registry })
            }
            Err(defect) => Err(EstimateError::Refused { file: found.path.clone(), defect: Box::new(defect) }),
        }
    }

    /// Opens a file of this metric and version, reads it from beginning to end, and compares it with the definition.
    pub fn check(&self, found: Found) -> Result<Shard, EstimateError> {
        let Found { path, series } = found;
        let opened = File::open(&path);
        let file = opened.map_err(|source| EstimateError::Read { path: path.clone(), source })?;
        // The decoder of parquet 60 panics on some damaged pages (an encoding byte that became BYTE_STREAM_SPLIT, for
        // one). The file and all that was read of it are dropped here, so nothing half done survives.
        let checked = panic::catch_unwind(AssertUnwindSafe(|| self.read(file)))
            .unwrap_or_else(|_| Err(Defect::Damaged(ParquetError::General("its pages cannot be decoded".to_owned()))));
        match checked {
            Ok((header, total)) => Ok(Shard { path, series, header, total }),
            Err(defect) => Err(EstimateError::Refused { file: path, defect: Box::new(defect) }),
        }
    }

    fn read(&self, file: File) -> Result<(CountersHeader, u128), Defect> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Defect::Damaged)?;
        let pairs = reader.metadata().file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
        let pairs = pairs.iter().filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?)));
        let header = CountersHeader::from_pairs(pairs)?;
        self.compare(&header)?;
        let counters = read_counts(reader, header.reports, self.mechanism.counters())?;
        let total = counters.counts.iter().map(|&count| u128::from(count)).sum();
        if !self.mechanism.accounts_for(&counters) {
            return Err(Defect::Totals { total, reports: header.reports });
        }
        Ok((header, total))
    }

    /// A differing registry digest alone is no defect: other metrics change too. What decides is this metric's law.
    fn compare(&self, header: &CountersHeader) -> Result<(), Defect> {
        let (id, epsilon, family) = (self.metric.id, self.metric.privacy.epsilon, self.mechanism.family());
        let (what, found, defined) = if header.metric_id != id {
            ("metric id", header.metric_id.to_string(), id.to_string())
        } else if header.epsilon.parse::<Epsilon>() != Ok(epsilon) {
            ("epsilon", header.epsilon.clone(), epsilon.to_string())
        } else if header.family != family {
            ("family", header.family.clone(), family.to_owned())
        } else if header.parameters != self.parameters {
            ("mechanism", header.parameters.clone(), self.parameters.clone())
        } else {
            return Ok(());
        };
        let (registry, counted_under) = (self.registry.to_owned(), header.registry_digest.clone());
        Err(Defect::Definition { what, found, defined, registry, counted_under })
    }
}

fn read_counts(
    reader: ParquetRecordBatchReaderBuilder<File>,
    reports: u64,
    expected: usize,
) -> Result<Counters, Defect> {
    let fields = reader.schema().fields();
    let is = |position: usize, name: &str| {
        fields.get(position).is_some_and(|field| field.name() == name && *field.data_type() == DataType::Int64)
    };
    if fields.len() != 2 || !is(0, "index") || !is(1, "count") {
        let found: Vec<String> =
            fields.iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        return Err(Defect::Schema { found: found.join(", ") });
    }
    let rows = reader.metadata().file_metadata().num_rows();
    if usize::try_from(rows) != Ok(expected) {
        return Err(Defect::Rows { found: rows, expected });
    }
    if let Some(codec) = unreadable_codec(reader.metadata()) {
        return Err(Defect::Codec(codec));
    }
    let mut counters = Counters { reports, counts: Vec::with_capacity(expected) };
    for batch in reader.build().map_err(Defect::Damaged)? {
        let batch = batch.map_err(|error| Defect::Damaged(ParquetError::from(error)))?;
        append(&batch, &mut counters)?;
    }
    if counters.counts.len() != expected {
        return Err(Defect::Rows { found: counters.counts.len() as i64, expected });
    }
    Ok(counters)
}

/// A codec in the file that the features of `parquet` in this workspace leave out; its decoder would call such a file
/// as faulty as a damaged one.
fn unreadable_codec(metadata: &ParquetMetaData) -> Option<CompressionCodec> {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    columns.map(ColumnChunkMetaData::compression_codec).find(|codec| match codec {
        CompressionCodec::UNCOMPRESSED | CompressionCodec::SNAPPY | CompressionCodec::ZSTD => false,
        CompressionCodec::GZIP
        | CompressionCodec::LZO
        | CompressionCodec::BROTLI
        | CompressionCodec::LZ4
        | CompressionCodec::LZ4_RAW => true,
    })
}

fn append(batch: &RecordBatch, counters: &mut Counters) -> Result<(), Defect> {
    let (indices, counts) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let cell = |column: &arrow::array::Int64Array| column.is_valid(row).then(|| column.value(row));
        let (index, found, count) = (counters.counts.len(), cell(indices), cell(counts));
        if found != Some(index as i64) {
            return Err(Defect::Index { row: index, found: Shown(found) });
        }
        // No mechanism lets one report count twice at the same index.
        let possible = count.and_then(|count| u64::try_from(count).ok()).filter(|&count| count <= counters.reports);
        let Some(possible) = possible else {
            return Err(Defect::Count { index, count: Shown(count), reports: counters.reports });
        };
        counters.counts.push(possible);
    }
    Ok(())
}
