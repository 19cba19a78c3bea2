//! What this machine says about itself: one file per source, each a pure function of a root directory.
//!
//! A probe that finds nothing reads as nothing; it never fails the daemon.

mod cpu_threads;
mod cpu_vendor;
mod disk_used;
mod language;
mod memory_total;
mod oom_kills;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use hubbub_privacy::Private;
use procfs::FromBufRead;

/// Files below `/proc` and `/etc` that probes read have some kilobytes; a cpuinfo of 1,000 processors has 1.5 MB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a probe read, not yet mapped into a metric's domain.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Reading {
    /// A name.
    Label(String),
    /// A quantity.
    Number(i64),
    /// A total since the machine started, of which only the growth counts.
    Total(Total),
}

/// A counter of the kernel.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Total {
    /// The id of this start of the machine: after the next one the counter begins at 0 again.
    pub boot: String,
    /// The counter.
    pub count: u64,
}

impl Total {
    /// What was added since `before`, the reading before; a first reading only marks where counting begins.
    pub fn since(&self, before: Option<&Self>) -> u64 {
        match before {
            None => 0,
            Some(before) if before.boot == self.boot => self.count.saturating_sub(before.count),
            Some(_) => self.count,
        }
    }
}

/// A source that the registry may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `cpu.vendor`: the maker of the processor.
    CpuVendor,
    /// `cpu.threads`: hardware threads.
    CpuThreads,
    /// `memory.total_gib`: memory in GiB.
    MemoryTotal,
    /// `disk.used_pct`: how full the file system of the root is.
    DiskUsed,
    /// `locale.language`: the language of the system's locale.
    Language,
    /// `vm.oom_kills`: programs stopped because memory ran out.
    OomKills,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::CpuVendor, Self::CpuThreads, Self::MemoryTotal, Self::DiskUsed, Self::Language, Self::OomKills];

    /// Its name in the registry.
    pub const fn source(self) -> &'static str {
        match self {
            Self::CpuVendor => "cpu.vendor",
            Self::CpuThreads => "cpu.threads",
            Self::MemoryTotal => "memory.total_gib",
            Self::DiskUsed => "disk.used_pct",
            Self::Language => "locale.language",
            Self::OomKills => "vm.oom_kills",
        }
    }

    /// The probe of that name.
    pub fn of_source(source: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|probe| probe.source() == source)
    }

    /// Reads it below `root`.
    pub fn read(self, root: &Path) -> Option<Private<Reading>> {
        let reading = match self {
            Self::CpuVendor => cpu_vendor::read(root).map(Reading::Label),
            Self::CpuThreads => cpu_threads::read(root).map(Reading::Number),
            Self::MemoryTotal => memory_total::read(root).map(Reading::Number),
            Self::DiskUsed => disk_used::read(root).map(Reading::Number),
            Self::Language => language::read(root).map(Reading::Label),
            Self::OomKills => oom_kills::read(root).map(Reading::Total),
        };
        reading.map(Private::new)
    }
}

/// A file below the root, parsed by procfs; nothing when it is missing or is not what procfs expects.
fn parse<T: FromBufRead>(root: &Path, path: &str) -> Option<T> {
    let file = File::open(root.join(path)).ok()?;
    T::from_buf_read(BufReader::new(file.take(MAX_FILE_BYTES))).ok()
}

/// A text file below the root.
fn text(root: &Path, path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(root.join(path)).ok()?.take(MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
