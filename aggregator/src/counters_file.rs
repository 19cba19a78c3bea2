//! A counters file: the sums of one series as Parquet, the same bytes every time.

use std::io::{BufWriter, Write};
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

use crate::replace_file::{create_directories, create_temporary, directory, put_in_place};

/// Counters handed to the Parquet writer at once.
const BATCH: usize = 1 << 16;

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
    let rows = [Ok((0, counters.counts.as_slice()))];
    write_rows(dir, series, header, counters.counts.len(), rows)
}

/// The same for `size` counters that come in rows: the index of a row's first counter, and the counters. Rows ascend and
/// do not overlap; what lies between them is zero. Memory is bounded by a row and a few batches.
///
/// # Errors
/// [`WriteError`] naming the file, or the first error among the rows.
pub fn write_rows<R: AsRef<[u64]>, E: From<WriteError>>(
    dir: &Path,
    series: &Series,
    header: &CountersHeader,
    size: usize,
    rows: impl IntoIterator<Item = Result<(usize, R), E>>,
) -> Result<PathBuf, E> {
    let path = dir.join(series.path());
    let io = |source| WriteError::Io { path: path.clone(), source };
    create_directories(directory(&path)).map_err(io)?;
    let (temporary, file) = create_temporary(&path).map_err(io)?;
    let parquet = |source| WriteError::Parquet { path: path.clone(), source };
    let metadata = header.to_pairs().into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata))
        .build();
    let column = |name| Field::new(name, DataType::Int64, false);
    let schema = Arc::new(Schema::new(vec![column("index"), column("count")]));
    let writer = ArrowWriter::try_new(BufWriter::new(&file), schema.clone(), Some(properties)).map_err(parquet)?;
    let mut batches = Batches { path: &path, schema, writer, counts: Vec::with_capacity(BATCH), written: 0 };
    for row in rows {
        let (first, counts) = row?;
        batches.zeros_up_to(first)?;
        for &count in counts.as_ref() {
            batches.push(count)?;
        }
    }
    batches.zeros_up_to(size)?;
    batches.finish()?;
    put_in_place(&file, &temporary, &path).map_err(io)?;
    Ok(path)
}

/// Counters on their way into a file, in batches of the same size however they come: the file's bytes depend on the
/// counters alone.
struct Batches<'a, W: Write + Send> {
    path: &'a Path,
    schema: Arc<Schema>,
    writer: ArrowWriter<W>,
    counts: Vec<i64>,
    written: usize,
}

impl<W: Write + Send> Batches<'_, W> {
    fn push(&mut self, count: u64) -> Result<(), WriteError> {
        let count =
            i64::try_from(count).map_err(|_| WriteError::CountTooLarge { path: self.path.to_owned(), count })?;
        self.counts.push(count);
        if self.counts.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn zeros_up_to(&mut self, index: usize) -> Result<(), WriteError> {
        while self.written + self.counts.len() < index {
            self.push(0)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let first = self.written as i64;
        let indices = Int64Array::from_iter_values((first..).take(self.counts.len()));
        self.written += self.counts.len();
        let counts = Int64Array::from(std::mem::replace(&mut self.counts, Vec::with_capacity(BATCH)));
        let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(indices), Arc::new(counts)])
            .map_err(|source| WriteError::Columns { path: self.path.to_owned(), source })?;
        self.writer.write(&batch).map_err(|source| WriteError::Parquet { path: self.path.to_owned(), source })
    }

    fn finish(mut self) -> Result<(), WriteError> {
        self.flush()?;
        let parquet = |source| WriteError::Parquet { path: self.path.to_owned(), source };
        let mut out = self.writer.into_inner().map_err(parquet)?;
        out.flush().map_err(|source| WriteError::Io { path: self.path.to_owned(), source })
    }
}
