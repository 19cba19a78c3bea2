//! From counters to the shares of all values.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use hubbub_privacy::{Counters, Epsilon, Value};
use hubbub_randomizer::choice::Shape;
use hubbub_randomizer::{Cyclotomic, Mechanism};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use realfft::RealFftPlanner;

/// Enough that most counters of the smaller domain are met; the time does not depend on their sizes.
const REPORTS: u32 = 1 << 18;
const SEED: u64 = 29;
/// The fewest that criterion takes: one decoding of 2^20 values is long enough for the clock.
const SAMPLES: usize = 10;

pub fn figures(criterion: &mut Criterion) {
    // At most 10 ms up to epsilon 2, 60 ms at epsilon 4.
    figure(criterion, 16_384, "1", "10 ms");
    figure(criterion, 16_384, "2", "10 ms");
    figure(criterion, 16_384, "4", "60 ms");
    // At most 2 s.
    figure(criterion, 1 << 20, "1", "2 s");
}

fn figure(criterion: &mut Criterion, d: u32, epsilon: &str, limit: &str) {
    let exact: Epsilon = epsilon.parse().expect("the figures name epsilons");
    let chosen = Shape::Categories { values: d }.choose("cyclotomic", exact).expect("the family serves this domain");
    let Mechanism::Cyclotomic(family) = &chosen.mechanism else { panic!("cyclotomic was asked for") };
    let counters = counters(&chosen.mechanism, d);
    let mut group = crate::group(criterion, &format!("decode cyclotomic d={d} epsilon={epsilon}"), 1);
    if d > 65_536 {
        group.sample_size(SAMPLES);
    }
    group.bench_function(crate::hubbub(limit), |bencher| bencher.iter(|| black_box(family.shares(&counters))));
    transforms(&mut group, family);
    group.finish();
}

/// The least that any decoding by Fourier transform does: one transform of each part, of the next power of two.
fn transforms(group: &mut BenchmarkGroup<'_, WallTime>, family: &Cyclotomic) {
    let size = (family.prime() as usize).next_power_of_two();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(size);
    let (mut input, mut output) = (transform.make_input_vec(), transform.make_output_vec());
    let mut scratch = transform.make_scratch_vec();
    group.bench_function(format!("realfft, {} of {size}", family.parts()), |bencher| {
        bencher.iter(|| {
            for _ in 0..family.parts() {
                input.fill(1.0);
                transform.process_with_scratch(&mut input, &mut output, &mut scratch).expect("its own vectors");
                black_box(&output);
            }
        });
    });
}

/// The sums of reports of a population in which the first values are the most frequent.
fn counters(mechanism: &Mechanism, d: u32) -> Counters {
    let mut rng = ChaCha12Rng::seed_from_u64(SEED);
    let mut counters = Counters::new(mechanism.counters());
    for device in 0..REPORTS {
        let value = Value::Index((device % d).min(device / 3 % d));
        let report = mechanism.randomize(&value, &mut rng).expect("ChaCha cannot fail");
        mechanism.fold(&report, &mut counters).expect("the mechanism made it");
    }
    counters
}
