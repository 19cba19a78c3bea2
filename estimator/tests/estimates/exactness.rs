//! Figures computed by hand, and the exact law folded without sampling.

use hubbub_estimator::{Row, Statistic};
use hubbub_privacy::Counters;
use hubbub_randomizer::Mechanism;

use crate::fixture::{Place, any_counters, plan};

fn near(found: Option<f64>, expected: f64, tolerance: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < tolerance)
}

#[test]
fn a_boolean_by_hand() {
    // pi1 = 3/4, pi0 = 1/4; 70 of 100 reports say true.
    let (plan, place) = (plan(), Place::new());
    place.add(&plan, "test.flag", "2026-W46", "a", &Counters { reports: 100, counts: vec![30, 70] });
    let rows = place.rows(&plan);
    let [no, yes] = &rows[..] else { panic!("a boolean has two rows, not {}", rows.len()) };
    let is = |found: Option<f64>, expected: f64| near(found, expected, 2e-6);
    assert!(is(Some(no.estimate), 0.1) && is(Some(yes.estimate), 0.9));
    assert!(is(no.std_error, 0.091_651_5) && is(yes.std_error, 0.091_651_5)); // sqrt(0.7 x 0.3 / 100) / 0.5
    assert!(is(no.noise_std_error, 0.086_602_5) && is(yes.noise_std_error, 0.086_602_5)); // sqrt(3/16 / 100) / 0.5
    // Wilson for 70 of 100: (0.7 + z^2/200 -+ z sqrt(0.0021 + z^2/40000)) / (1 + z^2/100).
    assert!(is(yes.ci95_low, (0.604_151_5 - 0.25) / 0.5) && is(yes.ci95_high, (0.781_051_1 - 0.25) / 0.5));
    assert!(is(no.ci95_low, (0.218_948_9 - 0.25) / 0.5) && is(no.ci95_high, (0.395_848_5 - 0.25) / 0.5));
    assert!(is(no.consistent, 0.1) && is(yes.consistent, 0.9));
    assert!(is(yes.pi1, 0.75) && is(yes.pi0, 0.25));
    assert!(is(yes.poisoning_shift_1pct, 0.015)); // one forged report counts as 0.75 / 0.5 devices
    assert_eq!((no.value_index, no.value.as_deref(), no.noisy_count), (Some(0), Some("false"), Some(30)));
    assert_eq!((yes.value_index, yes.value.as_deref(), yes.noisy_count), (Some(1), Some("true"), Some(70)));
    assert_eq!((yes.metric.as_str(), yes.metric_id, yes.metric_version, yes.category), ("test.flag", 1, 3, None));
    assert_eq!((yes.period_start.to_string(), yes.period_end.to_string()), ("2026-11-09".into(), "2026-11-16".into()));
    assert_eq!((yes.statistic, yes.reports, yes.mechanism, yes.epsilon), (Statistic::Share, 100, "subset", 1.098_612));
}

#[test]
fn impossible_shares_become_possible_in_one_column_only() {
    // mu = 0.1 is less than pi0: the unbiased share is (0.1 - 0.25) / 0.5 = -0.3.
    let (plan, place) = (plan(), Place::new());
    place.add(&plan, "test.flag", "2026-W46", "a", &Counters { reports: 100, counts: vec![10, 90] });
    let rows = place.rows(&plan);
    let (no, yes) = (&rows[0], &rows[1]);
    assert!(near(Some(no.estimate), -0.3, 2e-6) && near(Some(yes.estimate), 1.3, 2e-6));
    assert_eq!((no.consistent, yes.consistent), (Some(0.0), Some(1.0)));
    assert!(no.ci95_high.unwrap() < 0.0, "the interval is not clipped");
    // f is clamped to 0 and 1 for the noise: both values give pi (1 - pi) = 3/16.
    assert!(near(no.noise_std_error, 0.086_602_5, 2e-6) && near(yes.noise_std_error, 0.086_602_5, 2e-6));
}

#[test]
fn the_noise_of_impossible_shares_is_that_of_the_nearest_possible_ones() {
    let (plan, place) = (plan(), Place::new());
    let (_, mechanism) = plan.by_name("test.browser").unwrap();
    let Mechanism::Subset(subset) = mechanism else { panic!("categories are subsets") };
    // All reports hold the same k values: shares far above 1 and far below 0.
    let counts = (0..8).map(|index| if index < subset.k() { 400 } else { 0 }).collect();
    place.add(&plan, "test.browser", "2026-W46", "a", &Counters { reports: 400, counts });
    for row in place.rows(&plan) {
        let (pi1, pi0) = (row.pi1.unwrap(), row.pi0.unwrap());
        let pi = if row.noisy_count == Some(400) { pi1 } else { pi0 };
        assert!(!(0.0..=1.0).contains(&row.estimate));
        assert!(near(row.noise_std_error, (pi * (1.0 - pi) / 400.0).sqrt() / (pi1 - pi0), 1e-12), "{:?}", row.value);
    }
}

/// n reports that follow the exact law of devices of which the part `truth[x]` has the value x; n is so large that
/// rounding to whole reports is far below the tolerance.
fn expected(mechanism: &Mechanism, truth: &[f64], n: u64) -> Counters {
    let (chances, per_report): (Vec<f64>, u64) = match mechanism {
        Mechanism::Subset(subset) => {
            let (pi1, pi0) = (subset.pi1(), subset.pi0());
            (truth.iter().map(|f| f * pi1 + (1.0 - f) * pi0).collect(), subset.k() as u64)
        }
        Mechanism::Cyclotomic(_) | Mechanism::Window(_) => panic!("no test asks for it"),
        Mechanism::FoldedGeometric(folded) => {
            let chance = |y| (0..).zip(truth).map(|(x, f)| f * folded.chance(x, y)).sum();
            ((0..=folded.max()).map(chance).collect(), 1)
        }
    };
    let mut counts: Vec<u64> = chances.iter().map(|chance| (chance * n as f64).round() as u64).collect();
    let sum: u64 = counts.iter().sum();
    counts[0] = counts[0] + n * per_report - sum;
    Counters { reports: n, counts }
}

const MANY: u64 = 1_000_000_000_000_000;

#[test]
fn shares_are_unbiased() {
    let (plan, place) = (plan(), Place::new());
    let truth = [0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02, 0.0];
    let (_, mechanism) = plan.by_name("test.browser").unwrap();
    place.add(&plan, "test.browser", "2026-W46", "a", &expected(mechanism, &truth, MANY));
    let rows = place.rows(&plan);
    assert_eq!(rows.len(), truth.len());
    for (row, truth) in rows.iter().zip(truth) {
        assert!((row.estimate - truth).abs() < 1e-9, "{:?}: {} is not {truth}", row.value, row.estimate);
        assert!(near(row.consistent, truth, 1e-9));
    }
}

#[test]
fn means_and_totals_are_unbiased_and_so_is_their_noise() {
    let (plan, place) = (plan(), Place::new());
    let truth = [0.5, 0.2, 0.1, 0.08, 0.05, 0.03, 0.01, 0.01, 0.01, 0.0, 0.01];
    let mean: f64 = (0..).zip(truth).map(|(x, f)| f64::from(x) * f).sum();
    let (_, mechanism) = plan.by_name("test.crashes").unwrap();
    let Mechanism::FoldedGeometric(folded) = mechanism else { panic!("counts are folded geometric") };
    place.add(&plan, "test.crashes", "2026-W46", "a", &expected(mechanism, &truth, MANY));
    let rows = place.rows(&plan);
    let [of_mean, of_total] = &rows[..] else { panic!("a count has two rows, not {}", rows.len()) };

    let n = MANY as f64;
    let g = folded.unbiased(f64::from);
    let moments = |x: u32| {
        let moment = |power| (0..).zip(&g).map(|(y, g)| folded.chance(x, y) * g.powi(power)).sum::<f64>();
        (moment(1), moment(2))
    };
    let noise: f64 = (0..).zip(truth).map(|(x, f)| f * (moments(x).1 - moments(x).0.powi(2))).sum();
    let square: f64 = (0..).zip(truth).map(|(x, f)| f * moments(x).1).sum();
    for (row, statistic, scale) in [(of_mean, Statistic::Mean, 1.0), (of_total, Statistic::Total, n)] {
        let relative =
            |found: Option<f64>, expected: f64| near(found.map(|found| found / (scale * expected)), 1.0, 1e-9);
        assert_eq!(row.statistic, statistic);
        assert!(relative(Some(row.estimate), mean), "{} is not {}", row.estimate, scale * mean);
        assert!(relative(row.consistent, mean));
        assert!(relative(row.noise_std_error, (noise / n).sqrt()));
        assert!(relative(row.std_error, ((square - mean * mean) / n).sqrt()));
        assert!(relative(
            row.ci95_high.zip(row.ci95_low).map(|(high, low)| high - low),
            2.0 * 1.959_963_985 * ((square - mean * mean) / n).sqrt()
        ));
        // A forged 10 in place of a true 0.
        assert!(relative(row.poisoning_shift_1pct, 0.01 * g[10]));
        assert_eq!(
            (row.value_index, row.value.as_ref(), row.noisy_count, row.pi1, row.pi0),
            (None, None, None, None, None)
        );
        assert_eq!(row.mechanism, "folded_geometric");
    }
}

#[test]
fn equal_reports_of_a_count_claim_no_error() {
    let (plan, place) = (plan(), Place::new());
    let mut counts = vec![0; 11];
    counts[4] = 7;
    place.add(&plan, "test.crashes", "2026-W46", "a", &Counters { reports: 7, counts });
    for row in place.rows(&plan) {
        assert_eq!((row.std_error, row.ci95_low, row.ci95_high), (None, None, None), "{}", row.statistic);
        assert!(row.noise_std_error.is_some());
    }
}

#[test]
fn the_sum_of_several_nodes_is_one_node() {
    let plan = plan();
    let (apart, together) = (Place::new(), Place::new());
    for metric in ["test.flag", "test.browser", "test.crashes"] {
        let mut sum = any_counters(&plan, metric, 0);
        for (node, reports) in [("a", 100), ("b", 0), ("c", 333)] {
            let counters = any_counters(&plan, metric, reports);
            apart.add(&plan, metric, "2026-W46", node, &counters);
            sum.add(&counters);
        }
        together.add(&plan, metric, "2026-W46", "all", &sum);
    }
    assert_eq!(apart.rows(&plan), together.rows(&plan));
}

#[test]
fn pooling_sums_the_weeks_of_the_range_and_no_others() {
    let plan = plan();
    let (weeks, one) = (Place::new(), Place::new());
    for (week, yes) in [("2026-W44", 99), ("2026-W45", 20), ("2026-W47", 35), ("2026-W48", 1)] {
        weeks.add(&plan, "test.flag", week, "a", &Counters { reports: 100, counts: vec![100 - yes, yes] });
    }
    one.add(&plan, "test.flag", "2026-W45", "a", &Counters { reports: 200, counts: vec![145, 55] });
    let pooled = weeks.estimate_pooled(&plan, Some(("2026-W45", "2026-W47"))).unwrap();
    let figures = |row: &Row| (row.reports, row.noisy_count, row.estimate, row.std_error, row.ci95_low);
    let expected = one.rows(&plan);
    assert_eq!(pooled.rows.iter().map(figures).collect::<Vec<_>>(), expected.iter().map(figures).collect::<Vec<_>>());
    let dates = (pooled.rows[0].period_start.to_string(), pooled.rows[0].period_end.to_string());
    assert_eq!(dates, ("2026-11-02".to_owned(), "2026-11-23".to_owned()));
    assert_eq!(pooled.files, [weeks.out().join("period=2026-W45..2026-W47/test.flag.parquet")]);
}
