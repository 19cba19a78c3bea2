//! A counters file: the sums of one series as Parquet, the same bytes every time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use hubbub_privacy::{Counters, CountersHeader, Series};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use thiserror::Error;

use crate::replace_file::{create_directories, directory, replace};

/// Why a counters file could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The disk or its permissions.
    #[error("writing counters {}: {source}; check that the directory is writable and has room", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A sum above 2^63.
    #[error("writing counters {}: a count of {count} does not fit a column of int64", path.display())]
    CountTooLarge {
        /// The file.
        path: PathBuf,
        /// The sum.
        count: u64,
    },
    /// Arrow refused the columns.
    #[error("writing counters {}: {source}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: ArrowError,
    },
    /// Parquet refused the columns.
    #[error("writing counters {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: ParquetError,
    },
}

/// Writes the counters of `series` below the counters directory `dir` and gives the file's path.
///
/// Columns `index` and `count` (int64, never null), all indices in ascending order, zeros included; the metadata is
/// `header`. The file appears whole, under its name, or not at all; the same input gives the same bytes.
///
/// # Errors
/// [`WriteError`] naming the file.
pub fn write(dir: &Path, series: &Series, header: &CountersHeader, counters: &Counters) -> Result<PathBuf, WriteError> {
    let path = dir.join(series.path());
    let bytes = encode(&path, header, counters)?;
    let io = |source| WriteError::Io { path: path.clone(), source };
    create_directories(directory(&path)).map_err(io)?;
    replace(&path, &bytes).map_err(io)?;
    Ok(path)
}

fn encode(path: &Path, header: &CountersHeader, counters: &Counters) -> Result<Vec<u8>, WriteError> {
    let parquet = |source| WriteError::Parquet { path: path.to_owned(), source };
    let signed =
        |&count: &u64| i64::try_from(count).map_err(|_| WriteError::CountTooLarge { path: path.to_owned(), count });
    let counts: Vec<i64> = counters.counts.iter().map(signed).collect::<Result<_, _>>()?;
    let indices = Int64Array::from_iter_values((0..).take(counts.len()));
    let column = |name| Field::new(name, DataType::Int64, false);
    let schema = Arc::new(Schema::new(vec![column("index"), column("count")]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(indices), Arc::new(Int64Array::from(counts))])
        .map_err(|source| WriteError::Columns { path: path.to_owned(), source })?;
    let metadata = header.to_pairs().into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).map_err(parquet)?;
    writer.write(&batch).map_err(parquet)?;
    writer.close().map_err(parquet)?;
    Ok(bytes)
}
