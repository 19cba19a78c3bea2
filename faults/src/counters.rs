//! Counters files, read with the parquet crate alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use hubbub_privacy::CountersHeader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Header and counts of a counters file; checks its columns.
pub fn read_counters(path: &Path) -> (CountersHeader, Vec<i64>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let pairs: BTreeMap<String, String> = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap())).collect();
    let header = CountersHeader::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap();
    let columns: Vec<(String, DataType, bool)> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()))
        .collect();
    let column = |name: &str| (name.to_owned(), DataType::Int64, false);
    assert_eq!(columns, [column("index"), column("count")]);
    let mut counts = Vec::new();
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        for (index, count) in batch
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .iter()
            .zip(batch.column(1).as_primitive::<Int64Type>().values())
        {
            assert_eq!(*index, counts.len() as i64);
            counts.push(*count);
        }
        assert_eq!(batch.column(1).null_count(), 0);
    }
    (header, counts)
}
