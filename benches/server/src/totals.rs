//! What counters files add up to.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use hubbub_privacy::CountersHeader;
use parquet::file::reader::{FileReader, SerializedFileReader};

/// The totals of all counters files below a directory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Reports in their counters.
    pub reports: u64,
    /// Counters, zeros included.
    pub counters: i64,
}

impl Totals {
    /// Reads every file below `directory`.
    ///
    /// # Errors
    /// When one of them is no counters file or cannot be read.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut totals = Self::default();
        totals.add(directory)?;
        Ok(totals)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.add(&entry?.path())?;
            }
            return Ok(());
        }
        let reader =
            SerializedFileReader::new(File::open(path)?).with_context(|| format!("reading {}", path.display()))?;
        let metadata = reader.metadata().file_metadata();
        let pairs = metadata.key_value_metadata().into_iter().flatten();
        let pairs = pairs.filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?)));
        let header = CountersHeader::from_pairs(pairs).with_context(|| format!("reading {}", path.display()))?;
        self.files += 1;
        self.reports += header.reports;
        self.counters += metadata.num_rows();
        Ok(())
    }
}
