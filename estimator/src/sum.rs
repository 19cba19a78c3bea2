//! Adding the counters of all nodes (and, when pooling, of several weeks) with Polars.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use polars::io::HiveOptions;
use polars::prelude::{LazyFrame, PlRefPath, PolarsError, PolarsResult, ScanArgsParquet, col};

/// The sums of `size` counters over all `files`, from one lazy scan: Polars streams the files, and only the sums stay in
/// memory. The files must have been checked; indices outside `0..size` are ignored, and the caller compares totals.
pub fn sum<'a>(files: impl Iterator<Item = &'a PathBuf>, size: usize) -> PolarsResult<Vec<u64>> {
    let paths: Vec<PlRefPath> = files.map(|file| PlRefPath::try_from_path(file)).collect::<PolarsResult<_>>()?;
    // The paths are exact names: neither patterns nor sources of more columns.
    let options = ScanArgsParquet {
        glob: false,
        hive_options: HiveOptions::new_disabled(),
        low_memory: true,
        cache: false,
        ..ScanArgsParquet::default()
    };
    let query =
        LazyFrame::scan_parquet_files(paths.into(), options)?.group_by([col("index")]).agg([col("count").sum()]);
    // Polars panics on some damaged files that the check could read; its threads end with the query.
    let collected = panic::catch_unwind(AssertUnwindSafe(|| query.collect()));
    let frame = collected.unwrap_or_else(|_| Err(PolarsError::ComputeError("the reader panicked".into())))?;
    let mut sums = vec![0; size];
    for (index, count) in frame.column("index")?.i64()?.iter().zip(frame.column("count")?.i64()?.iter()) {
        let slot = index.and_then(|index| sums.get_mut(usize::try_from(index).ok()?));
        if let (Some(slot), Some(count)) = (slot, count.and_then(|count| u64::try_from(count).ok())) {
            *slot = count;
        }
    }
    Ok(sums)
}
