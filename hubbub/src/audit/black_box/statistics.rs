//! Exact statements about frequencies, valid for every number of draws.

use statrs::distribution::{Beta, ContinuousCDF};

/// What a bound is computed to, relatively; far finer than any draws could tell.
const PRECISION: f64 = 1e-14;

/// How often an event came in independent draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frequency {
    /// The draws in which it came.
    pub hits: u64,
    /// All draws.
    pub draws: u64,
}

impl Frequency {
    /// The part of the draws in which it came; 0 of none.
    pub fn observed(self) -> f64 {
        if self.draws == 0 { 0.0 } else { self.hits as f64 / self.draws as f64 }
    }

    /// The Clopper-Pearson lower bound: above the true probability in at most `level` of all experiments.
    pub fn at_least(self, level: f64) -> f64 {
        if self.hits == 0 {
            return 0.0;
        }
        let misses = self.draws - self.hits;
        let tail = Beta::new(self.hits as f64, misses as f64 + 1.0).expect("both are finite and at least 1");
        // By bisection of the distribution function: the quantile function of statrs never ends for some of the shapes that
        // occur here. The function is exact to six digits wherever it is below a tenth, up to a thousand million draws.
        let (mut low, mut high) = (0.0, self.observed());
        while high - low > PRECISION * high {
            let middle = f64::midpoint(low, high);
            *(if tail.cdf(middle) < level { &mut low } else { &mut high }) = middle;
        }
        low
    }

    /// The Clopper-Pearson upper bound: below the true probability in at most `level` of all experiments.
    pub fn at_most(self, level: f64) -> f64 {
        // By symmetry, because a quantile near 1 would lose the digits that matter.
        1.0 - Self { hits: self.draws - self.hits, draws: self.draws }.at_least(level)
    }

    /// The two-sided Clopper-Pearson interval: it misses the true probability in at most `level` of all experiments.
    pub fn interval(self, level: f64) -> (f64, f64) {
        (self.at_least(level / 2.0), self.at_most(level / 2.0))
    }

    /// n KL(observed, law): the logarithm of how unlikely so large a deviation is at least (Chernoff). It ranks deviations.
    pub fn evidence(self, law: f64) -> f64 {
        let part = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
        let q = self.observed();
        self.draws as f64 * (part(q, law) + part(1.0 - q, 1.0 - law))
    }

    /// Score bounds at `z` standard deviations: good enough to choose by, and cheap.
    pub fn score_bounds(self, z: f64) -> (f64, f64) {
        let n = self.draws.max(1) as f64;
        let (q, z2) = (self.observed(), z * z);
        let middle = q + z2 / (2.0 * n);
        let spread = z * (q * (1.0 - q) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
    }
}

impl std::ops::Add for Frequency {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, draws: self.draws + other.draws }
    }
}

/// A frequency that the law predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison<T> {
    /// What was counted.
    pub subject: T,
    /// How often it came.
    pub frequency: Frequency,
    /// Its probability by the law.
    pub law: f64,
}

impl<T> Comparison<T> {
    /// The same with another subject.
    pub fn map<U>(self, subject: impl FnOnce(T) -> U) -> Comparison<U> {
        let Self { subject: old, frequency, law } = self;
        Comparison { subject: subject(old), frequency, law }
    }
}

/// A comparison with what the draws say about the true probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation<T> {
    /// What was counted.
    pub subject: T,
    /// How often it came.
    pub frequency: Frequency,
    /// Its probability by the law.
    pub law: f64,
    /// The Clopper-Pearson interval of the true probability.
    pub interval: (f64, f64),
}

impl<T> Deviation<T> {
    /// Whether the law's probability lies outside the interval: more than chance.
    pub fn contradicts(&self) -> bool {
        self.law < self.interval.0 || self.law > self.interval.1
    }

    /// The same with another subject.
    pub fn map<U>(self, subject: impl FnOnce(T) -> U) -> Deviation<U> {
        let Self { subject: old, frequency, law, interval } = self;
        Deviation { subject: subject(old), frequency, law, interval }
    }
}

/// Many comparisons, of which an honest program fails any with probability at most `level` times their number.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking<T> {
    /// How many comparisons were made.
    pub tests: usize,
    /// The level of each.
    pub level: f64,
    /// The largest deviations, the largest first.
    pub largest: Vec<Deviation<T>>,
}

impl<T> Ranking<T> {
    /// Ranks all comparisons and keeps the `keep` largest deviations; `error` is the chance of a false alarm among all.
    pub fn of(comparisons: impl Iterator<Item = Comparison<T>>, error: f64, keep: usize) -> Self {
        let judged = comparisons.filter(|comparison| comparison.frequency.draws > 0);
        let mut ranked: Vec<(f64, Comparison<T>)> = judged
            .map(|mut comparison| {
                // Sums of rounded probabilities may pass 0 or 1 by an ulp.
                comparison.law = comparison.law.clamp(0.0, 1.0);
                (comparison.frequency.evidence(comparison.law), comparison)
            })
            .collect();
        let tests = ranked.len();
        let level = error / tests.max(1) as f64;
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let deviation = |Comparison { subject, frequency, law }| {
            let interval = frequency.interval(level);
            Deviation { subject, frequency, law, interval }
        };
        let largest = ranked.into_iter().take(keep).map(|(_, comparison)| deviation(comparison)).collect();
        Self { tests, level, largest }
    }

    /// Whether any deviation is more than chance.
    pub fn contradicts(&self) -> bool {
        self.largest.iter().any(Deviation::contradicts)
    }
}

#[cfg(test)]
mod tests {
    use statrs::function::gamma::ln_gamma;

    use super::*;

    /// P(at least `hits` of `draws`) by adding up the binomial law.
    fn tail(hits: u64, draws: u64, p: f64) -> f64 {
        let (h, n) = (hits as f64, draws as f64);
        let choose = ln_gamma(n + 1.0) - ln_gamma(h + 1.0) - ln_gamma(n - h + 1.0);
        let mut term = (choose + h * p.ln() + (n - h) * (-p).ln_1p()).exp();
        let (mut sum, mut i) = (0.0, h);
        while i <= n && term > sum * 1e-17 {
            sum += term;
            term *= (n - i) / (i + 1.0) * p / (1.0 - p);
            i += 1.0;
        }
        sum
    }

    #[test]
    fn bounds_are_where_the_binomial_tail_is_the_level() {
        for draws in [10, 1_000, 125_000, 20_000_000] {
            for part in [0.0, 0.000_01, 0.001, 0.2689, 0.5, 0.7311, 0.98, 1.0] {
                let hits = ((draws as f64 * part) as u64).max(1);
                for level in [1e-2, 1e-5, 1e-9, 1e-12] {
                    let frequency = Frequency { hits, draws };
                    let low = frequency.at_least(level);
                    let found = if low > 0.0 { tail(hits, draws, low) } else { 0.0 };
                    assert!((found / level - 1.0).abs() < 1e-4, "{hits}/{draws} at {level}: {low} has {found}");
                    let mirrored = Frequency { hits: draws - hits, draws }.at_most(level);
                    assert!((1.0 - mirrored - low).abs() < 1e-12, "{mirrored} mirrors {low}");
                }
            }
        }
    }

    #[test]
    fn nothing_seen_says_little() {
        let none = Frequency { hits: 0, draws: 1000 };
        assert_eq!(none.interval(1e-3).0, 0.0);
        // 1 - (level)^(1/n)
        assert!((none.at_most(1e-3) - (1.0 - 1e-3f64.powf(1e-3))).abs() < 1e-12);
        assert_eq!(Frequency { hits: 5, draws: 5 }.at_most(1e-3), 1.0);
        assert_eq!(Frequency::default().interval(1e-3), (0.0, 1.0));
    }

    #[test]
    fn the_largest_deviation_decides() {
        let comparison = |subject, hits, law| Comparison { subject, frequency: Frequency { hits, draws: 10_000 }, law };
        let honest = [comparison("a", 5_050, 0.5), comparison("b", 0, 0.0), comparison("c", 10_000, 1.0 + 1e-16)];
        let ranking = Ranking::of(honest.into_iter(), 1e-3, 2);
        assert_eq!((ranking.tests, ranking.largest.len(), ranking.largest[0].subject), (3, 2, "a"));
        assert!(!ranking.contradicts());
        for (hits, law) in [(5_300, 0.5), (4_700, 0.5), (1, 0.0), (9_999, 1.0), (20, 1e-4)] {
            let faulty = honest.into_iter().chain([comparison("faulty", hits, law)]);
            let ranking = Ranking::of(faulty, 1e-3, 1);
            assert!(ranking.contradicts() && ranking.largest[0].subject == "faulty", "{hits} for {law}");
        }
    }

    #[test]
    fn score_bounds_hold_the_frequency() {
        for (hits, draws) in [(0, 10), (10, 10), (300, 1000)] {
            let frequency = Frequency { hits, draws };
            let (low, high) = frequency.score_bounds(3.0);
            let slack = 1e-12;
            assert!(low <= frequency.observed() + slack && frequency.observed() <= high + slack && low < high);
        }
    }
}
