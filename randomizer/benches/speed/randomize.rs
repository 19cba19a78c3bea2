//! One report: from a seeded generator in memory, and from the operating system's.

use std::hint::black_box;

use criterion::Criterion;
use hubbub_privacy::{Epsilon, Goal, Value};
use hubbub_randomizer::Mechanism;
use hubbub_randomizer::choice::Shape;
use rand::rngs::SysRng;
use rand::seq::index;
use rand::{Rng, RngExt, SeedableRng, TryRng};
use rand_chacha::ChaCha12Rng;

/// Reports per iteration, each of another value.
const REPORTS: usize = 256;
const SEED: u64 = 17;

/// What is reported, and the least words that its sampler draws.
struct Case {
    name: String,
    mechanism: Mechanism,
    values: Vec<Value>,
    words: usize,
}

impl Case {
    fn new(name: String, shape: Shape, mechanism: &str) -> Self {
        let epsilon: Epsilon = "1".parse().expect("1 is an epsilon");
        let mechanism = shape.choose(mechanism, epsilon).expect("the shape has this mechanism").mechanism;
        let words = match &mechanism {
            Mechanism::Subset(subset) if subset.is_of_sets() => {
                let (m, k) = (subset.max_items(), subset.k());
                // Which items, the coin, the size (two words at these parameters), the members, the others.
                m + 1 + 2 + m.min(k) + k
            }
            Mechanism::Subset(subset) => 1 + subset.k(),
            Mechanism::Cyclotomic(_) => 4,
            Mechanism::Window(_) => 3,
            Mechanism::FoldedGeometric(_) => 1,
        };
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        let mut value = || match shape {
            Shape::Sets { values, max_items } => {
                let mut items: Vec<u32> = index::sample(&mut rng, values as usize, max_items as usize)
                    .into_iter()
                    .map(|item| item as u32)
                    .collect();
                items.sort_unstable();
                Value::Items(items)
            }
            Shape::Categories { values } | Shape::Ordered { values, .. } => Value::Index(rng.random_range(0..values)),
            Shape::Counts { max } => Value::Index(rng.random_range(0..=max)),
        };
        let values = (0..REPORTS).map(|_| value()).collect();
        Self { name, mechanism, values, words }
    }

    /// The figure with the seeded generator, against the bare words that the sampler needs at least.
    fn seeded(&self, criterion: &mut Criterion, limit: &str) {
        let mut group = crate::group(criterion, &format!("randomize {}", self.name), REPORTS);
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        group.bench_function(crate::hubbub(limit), |bencher| {
            bencher.iter(|| {
                for value in &self.values {
                    black_box(self.mechanism.randomize(black_box(value), &mut rng)).expect("ChaCha cannot fail");
                }
            });
        });
        let words = self.words;
        group.bench_function(format!("ChaCha12, {words} words"), |bencher| {
            bencher.iter(|| {
                for _ in 0..REPORTS {
                    black_box((0..black_box(words)).fold(0, |mix, _| mix ^ rng.next_u64()));
                }
            });
        });
        // Subsets of as many of as many indices, by rand.
        if let Mechanism::Subset(subset) = &self.mechanism {
            let (width, k) = (subset.width(), subset.k());
            group.bench_function(format!("rand's index::sample, {k} of {width}"), |bencher| {
                bencher.iter(|| {
                    for _ in 0..REPORTS {
                        black_box(index::sample(&mut rng, black_box(width), k));
                    }
                });
            });
        }
        group.finish();
    }

    /// The figure with the operating system's generator, against one call that fetches the least words.
    fn system(&self, criterion: &mut Criterion, limit: &str) {
        let mut group = crate::group(criterion, &format!("randomize {}, from the system", self.name), REPORTS);
        group.bench_function(crate::hubbub(limit), |bencher| {
            bencher.iter(|| {
                for value in &self.values {
                    black_box(self.mechanism.randomize(black_box(value), &mut SysRng)).expect("the system has entropy");
                }
            });
        });
        let mut bytes = vec![0; 8 * self.words];
        group.bench_function(format!("one getrandom of {} words", self.words), |bencher| {
            bencher.iter(|| {
                for _ in 0..REPORTS {
                    SysRng.try_fill_bytes(black_box(&mut bytes)).expect("the system has entropy");
                }
            });
        });
        group.finish();
    }
}

pub fn figures(criterion: &mut Criterion) {
    // At most 150 ns a report of one index, at most 5 us from the system.
    for d in [257, 1024, 16_384, 65_536] {
        let case = Case::new(format!("cyclotomic d={d}"), Shape::Categories { values: d }, "cyclotomic");
        case.seeded(criterion, "150 ns");
        case.system(criterion, "5 us");
    }
    for d in [2, 256, 65_536] {
        let shape = Shape::Ordered { values: d, goal: Goal::Mean };
        let case = Case::new(format!("window d={d}"), shape, "window");
        case.seeded(criterion, "150 ns");
        case.system(criterion, "5 us");
    }
    for max in [1, 50, 255] {
        let case = Case::new(format!("folded_geometric C={max}"), Shape::Counts { max }, "folded_geometric");
        case.seeded(criterion, "150 ns");
        case.system(criterion, "5 us");
    }
    // At most 1 us at d = 256; the smaller domains are there for the Python peers.
    for d in [2, 16, 256] {
        let case = Case::new(format!("subset d={d}"), Shape::Categories { values: d }, "subset");
        case.seeded(criterion, "1 us");
        case.system(criterion, "5 us");
    }
    // At most 5 us from either.
    let sets = Case::new("sets d=500 m=16".to_owned(), Shape::Sets { values: 500, max_items: 16 }, "subset");
    sets.seeded(criterion, "5 us");
    sets.system(criterion, "5 us");
}
