//! Sums of reports, while the counters fit the cache.

use std::hint::black_box;

use criterion::Criterion;
use hubbub_privacy::{Counters, Epsilon, Goal, Payload, Value};
use hubbub_randomizer::Mechanism;
use hubbub_randomizer::choice::Shape;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

const REPORTS: usize = 4096;
const SEED: u64 = 23;

pub fn figures(criterion: &mut Criterion) {
    // At least 100 million index reports a second on one core.
    let ordered = Shape::Ordered { values: 256, goal: Goal::Mean };
    figure(criterion, "fold window d=256", "10 ns", ordered, |x| Value::Index(x % 256));
    // A pair of indices is no single index, but the same counter at last.
    let categories = Shape::Categories { values: 1024 };
    figure(criterion, "fold cyclotomic d=1024", "100 ns", categories, |x| Value::Index(x % 1024));
    // At most 100 ns.
    let sets = Shape::Sets { values: 500, max_items: 16 };
    figure(criterion, "fold sets d=500 m=16", "100 ns", sets, |x| Value::Items(vec![x % 250, 250 + x % 250]));
}

fn figure(criterion: &mut Criterion, name: &str, limit: &str, shape: Shape, value: impl Fn(u32) -> Value) {
    let epsilon: Epsilon = "1".parse().expect("1 is an epsilon");
    let mechanism = shape.choose("auto", epsilon).expect("every shape has a mechanism").mechanism;
    let mut rng = ChaCha12Rng::seed_from_u64(SEED);
    let report = |x| mechanism.randomize(&value(x), &mut rng).expect("ChaCha cannot fail");
    let reports: Vec<Payload> = (0..REPORTS as u32).map(report).collect();
    let mut group = crate::group(criterion, name, REPORTS);
    let mut counters = Counters::new(mechanism.counters());
    group.bench_function(crate::hubbub(limit), |bencher| {
        bencher.iter(|| {
            for report in &reports {
                mechanism.fold(black_box(report), &mut counters).expect("the mechanism made it");
            }
        });
    });
    // The same counters without reading or checking reports.
    let indices: Vec<Vec<u32>> = reports.iter().map(|report| counted(&mechanism, report)).collect();
    let per_report = indices[0].len();
    let flat: Vec<u32> = indices.concat();
    let mut counts = vec![0u64; mechanism.counters()];
    group.bench_function(format!("bare increments, {per_report} a report"), |bencher| {
        bencher.iter(|| {
            for &index in &flat {
                counts[black_box(index) as usize] += 1;
            }
        });
    });
    group.finish();
}

/// The counters that a report adds to.
fn counted(mechanism: &Mechanism, report: &Payload) -> Vec<u32> {
    let mut counters = Counters::new(mechanism.counters());
    mechanism.fold(report, &mut counters).expect("the mechanism made it");
    (0..).zip(counters.counts).filter(|(_, count)| *count > 0).map(|(index, _)| index).collect()
}
