//! How long a report, a sum, an estimate and a registry take, each beside peers in the same run.
//!
//! A group is one figure. Its function `hubbub` carries the most that it may take; every other function is a peer that does
//! less or the same by other means. `make bench` turns the samples into one table, with the fastest sample of each: other
//! work on the machine slows a sample down and never speeds it up.

mod decode;
mod fold;
mod load;
mod randomize;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};

/// Many samples, each shorter than what a busy machine usually leaves to one process without interruption.
const SAMPLES: usize = 200;
const WARM_UP: Duration = Duration::from_millis(100);
const MEASUREMENT: Duration = Duration::from_millis(400);
/// The table shows neither criterion's confidence intervals nor changes since the last run.
const RESAMPLES: usize = 1001;

fn main() {
    let criterion = Criterion::default().sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    let mut criterion = criterion.nresamples(RESAMPLES).configure_from_args();
    randomize::figures(&mut criterion);
    fold::figures(&mut criterion);
    decode::figures(&mut criterion);
    load::figures(&mut criterion);
    criterion.final_summary();
}

/// A figure whose elements are so many.
fn group<'a>(criterion: &'a mut Criterion, name: &str, elements: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(elements as u64));
    group
}

/// Our side of a figure, with the most that one element of it may take, such as "150 ns".
fn hubbub(limit: &str) -> BenchmarkId {
    BenchmarkId::new("hubbub", limit)
}
