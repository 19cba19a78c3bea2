//! Writing estimates as Parquet that every reader understands and that two runs write alike.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::error::EstimateError;
use crate::row::Row;

/// The version of the estimates format.
pub const FORMAT: &str = "hubbub-estimates/1";

/// Writes `rows` and `metadata` to `path`, completely or not at all: under a hidden name beside it first, then renamed.
pub fn write(path: &Path, rows: &[Row], metadata: &[(&str, String)]) -> Result<(), EstimateError> {
    let io = |deed, path: &Path| {
        let path = path.to_owned();
        move |source| EstimateError::Place { deed, path, source }
    };
    let bytes = encode(rows, metadata).map_err(|source| EstimateError::Write { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The process id keeps two runs into one directory from writing into each other's file.
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    fs::create_dir_all(folder).map_err(io("creating estimates directory", folder))?;
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path))
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(io("writing estimates file", path));
    if written.is_err() && partial.exists() {
        fs::remove_file(&partial).map_err(io("removing unfinished file", &partial))?;
    }
    written
}

fn encode(rows: &[Row], metadata: &[(&str, String)]) -> Result<Vec<u8>, ParquetError> {
    let batch = batch(rows)?;
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(pairs))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// The columns, in the order of the file. Whole numbers are all int64: readers that join files of mixed integer widths
/// break otherwise.
fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = [
        text(rows, "metric", |row| Some(&row.metric)),
        whole(rows, "metric_id", |row| Some(row.metric_id.into())),
        whole(rows, "metric_version", |row| Some(row.metric_version.into())),
        text(rows, "category", |row| row.category),
        date(rows, "period_start", |row| row.period_start),
        date(rows, "period_end", |row| row.period_end),
        text(rows, "statistic", |row| Some(row.statistic.name())),
        whole(rows, "value_index", |row| row.value_index.map(u64::from)),
        text(rows, "value", |row| row.value.as_deref()),
        whole(rows, "reports", |row| Some(row.reports)),
        whole(rows, "noisy_count", |row| row.noisy_count),
        float(rows, "estimate", |row| Some(row.estimate)),
        float(rows, "std_error", |row| row.std_error),
        float(rows, "noise_std_error", |row| row.noise_std_error),
        float(rows, "ci95_low", |row| row.ci95_low),
        float(rows, "ci95_high", |row| row.ci95_high),
        float(rows, "consistent", |row| row.consistent),
        text(rows, "mechanism", |row| Some(row.mechanism)),
        float(rows, "epsilon", |row| Some(row.epsilon)),
        float(rows, "pi1", |row| row.pi1),
        float(rows, "pi0", |row| row.pi0),
        float(rows, "poisoning_shift_1pct", |row| row.poisoning_shift_1pct),
        flag(rows, "suppressed", |row| row.suppressed),
        text(rows, "suppression_reason", |row| row.suppression_reason.as_deref()),
    ]
    .into_iter()
    .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

type Column = (Field, ArrayRef);

fn text<'a>(rows: &'a [Row], name: &str, cell: impl Fn(&'a Row) -> Option<&'a str>) -> Column {
    (Field::new(name, DataType::Utf8, true), Arc::new(rows.iter().map(cell).collect::<StringArray>()))
}

fn whole(rows: &[Row], name: &str, cell: impl Fn(&Row) -> Option<u64>) -> Column {
    // Reports are limited to what an i64 holds before anything is decoded, and no counter exceeds them.
    let cells = rows.iter().map(|row| cell(row).and_then(|number| i64::try_from(number).ok()));
    (Field::new(name, DataType::Int64, true), Arc::new(cells.collect::<Int64Array>()))
}

fn float(rows: &[Row], name: &str, cell: impl Fn(&Row) -> Option<f64>) -> Column {
    (Field::new(name, DataType::Float64, true), Arc::new(rows.iter().map(cell).collect::<Float64Array>()))
}

fn flag(rows: &[Row], name: &str, cell: impl Fn(&Row) -> bool) -> Column {
    (
        Field::new(name, DataType::Boolean, true),
        Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<BooleanArray>()),
    )
}

fn date(rows: &[Row], name: &str, cell: impl Fn(&Row) -> NaiveDate) -> Column {
    let days = |date: NaiveDate| date.signed_duration_since(NaiveDate::default()).num_days();
    let cells = rows.iter().map(|row| i32::try_from(days(cell(row))).ok());
    (Field::new(name, DataType::Date32, true), Arc::new(cells.collect::<Date32Array>()))
}
