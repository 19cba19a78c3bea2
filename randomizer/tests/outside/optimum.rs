//! What `auto` chooses against what no mechanism can beat, and windows against the published mechanisms for means. The
//! tables stand in `docs/accuracy.md`.

use std::fmt::Write;
use std::path::Path;

use dashu_ratio::RBig;
use hubbub_privacy::{Epsilon, Goal};
use hubbub_randomizer::Mechanism;
use hubbub_randomizer::choice::Shape;

const DOMAINS: [u32; 14] = [2, 3, 5, 8, 16, 50, 128, 256, 257, 300, 1024, 5000, 16_384, 65_536];
const EPSILONS: [&str; 6] = ["0.25", "0.5", "1", "2", "3", "4"];

fn epsilon(text: &str) -> Epsilon {
    text.parse().unwrap()
}

fn fraction(numerator: u64, denominator: u64) -> RBig {
    RBig::from(numerator) / RBig::from(denominator)
}

fn float(value: &RBig) -> f64 {
    value.to_f64().value()
}

/// e^epsilon: its series, cut off below 2^-160.
fn exponential(text: &str) -> RBig {
    let x = fraction(epsilon(text).millionths(), 1_000_000);
    let mut term = RBig::ONE;
    let mut sum = RBig::ONE;
    for n in 1..100u64 {
        term = term * &x / RBig::from(n);
        sum += &term;
    }
    let scale = RBig::from(2).pow(160);
    RBig::from((sum * &scale).floor()) / scale
}

/// The variance of a share, times n and averaged over the values, of a uniform k-subset that holds the truth with odds
/// k e^epsilon : d - k (Ye, Barg 2018).
fn subset_selection(e: &RBig, d: u64, k: u64) -> RBig {
    let whole = RBig::from(k) * e + RBig::from(d - k);
    let own = RBig::from(k) * e / &whole;
    let other = fraction(k, d - 1) * (RBig::from(k - 1) * e + RBig::from(d - k)) / whole;
    let spread = |chance: &RBig| chance * (RBig::ONE - chance);
    let sum = spread(&own) + RBig::from(d - 1) * spread(&other);
    sum / (RBig::from(d) * (own - other).sqr())
}

/// The least variance that any mechanism over d values has at this epsilon: that of the best k, over all k of small domains
/// and around d / (1 + e^epsilon) in large ones.
fn optimum(e: &RBig, d: u64) -> RBig {
    const REACH: u64 = 8;
    let near = (d as f64 / (1.0 + float(e))).round() as u64;
    let sizes = if d <= 300 { 1..=d - 1 } else { near.saturating_sub(REACH).max(1)..=near + REACH };
    let (first, last) = (*sizes.start(), *sizes.end());
    let (best, k) = sizes.map(|k| (subset_selection(e, d, k), k)).min().unwrap();
    assert!((k > first || first == 1) && (k < last || last == d - 1), "d = {d}: the best k may lie beyond {k}");
    best
}

/// Prints a table, and asserts that the page holds it word for word.
fn assert_on_the_page(table: &str) {
    println!("{table}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/accuracy.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(table), "docs/accuracy.md has another table; put this one there:\n{table}");
}

fn header(first: &str, columns: impl IntoIterator<Item = String>) -> String {
    let columns: Vec<String> = columns.into_iter().collect();
    format!("| {first} | {} |\n|--:|{}\n", columns.join(" | "), "--:|".repeat(columns.len()))
}

#[test]
fn auto_is_within_half_a_percent_of_the_optimum_everywhere() {
    let exponentials = EPSILONS.map(exponential);
    let columns = || EPSILONS.map(|text| format!("epsilon {text}"));
    let (mut errors, mut costs) = (header("d", columns()), header("d", columns()));
    for d in DOMAINS {
        write!(errors, "| {d} |").unwrap();
        write!(costs, "| {d} |").unwrap();
        for (text, e) in EPSILONS.iter().zip(&exponentials) {
            let chosen = Shape::Categories { values: d }.choose("auto", epsilon(text)).unwrap();
            let ratio = float(&(chosen.variance / optimum(e, d.into())));
            // Thresholds on the grid of 2^-64 cost less than 10^-12; nothing can be better than the optimum.
            assert!(ratio > 1.0 - 1e-12, "{d} values at {text}: {ratio} beats the optimum, so one of both is wrong");
            let limit = if matches!(chosen.mechanism, Mechanism::Subset(_)) && d <= 256 { 1.0 + 1e-12 } else { 1.005 };
            assert!(ratio <= limit, "{d} values at {text}: {ratio} times the optimum");
            write!(errors, " {ratio:.4} |").unwrap();
            let each = chosen.mechanism.counters() as f64 / f64::from(d);
            let index = if let Mechanism::Cyclotomic(_) = chosen.mechanism { "c" } else { "s" };
            write!(costs, " {each:.1} {index} |").unwrap();
        }
        errors.push('\n');
        costs.push('\n');
    }
    assert_on_the_page(&(errors + "\n" + &costs));
}

/// The largest variance of a mean on [-1, 1] of Duchi, Jordan, Wainwright (JASA 2018).
fn duchi(epsilon: f64) -> f64 {
    ((epsilon.exp() + 1.0) / (epsilon.exp() - 1.0)).powi(2)
}

/// That of the piecewise mechanism (Wang et al., ICDE 2019, section III.B).
fn piecewise(epsilon: f64) -> f64 {
    let half = (epsilon / 2.0).exp();
    4.0 * half / (3.0 * (half - 1.0).powi(2))
}

/// That of their hybrid of both (section III.C): below epsilon 0.61 it is Duchi's alone.
fn hybrid(epsilon: f64) -> f64 {
    let half = (epsilon / 2.0).exp();
    if epsilon <= 0.61 {
        return duchi(epsilon);
    }
    (half + 3.0) / (3.0 * half * (half - 1.0)) + duchi(epsilon) / half
}

#[test]
fn windows_stand_beside_the_published_mechanisms_for_means() {
    let published: [fn(f64) -> f64; 3] = [duchi, piecewise, hybrid];
    let mut shapes: Vec<(String, Shape)> = Vec::new();
    for values in [10, 100, 1000] {
        shapes.push((format!("window, d = {values}"), Shape::Ordered { values, goal: Goal::Mean }));
    }
    for max in [50, 255] {
        shapes.push((format!("counts, C = {max}"), Shape::Counts { max }));
    }
    let names = ["Duchi et al.", "piecewise", "hybrid"].map(str::to_owned);
    let mut table = header("epsilon", shapes.iter().map(|(name, _)| name.clone()).chain(names));
    for text in EPSILONS {
        let x: f64 = text.parse().unwrap();
        write!(table, "| {text} |").unwrap();
        for (name, shape) in &shapes {
            let (Shape::Ordered { values: d, .. } | Shape::Counts { max: d }) = *shape else { panic!("{name}") };
            let steps = if let Shape::Counts { .. } = shape { d } else { d - 1 };
            let largest = float(&shape.choose("auto", epsilon(text)).unwrap().variance) / f64::from(steps).powi(2);
            assert!(largest < piecewise(x) / 4.0, "{name} at {text}: {largest}");
            assert!(x < 3.0 || largest < 0.9 * hybrid(x) / 4.0, "{name} at {text}: {largest}");
            write!(table, " {largest:.4} |").unwrap();
        }
        // On [0, 1], a scale of half the length.
        for variance in published {
            assert!(hybrid(x) <= variance(x) * (1.0 + 1e-12), "a hybrid is never worse than its parts");
            write!(table, " {:.4} |", variance(x) / 4.0).unwrap();
        }
        table.push('\n');
    }
    assert_on_the_page(&table);
}
