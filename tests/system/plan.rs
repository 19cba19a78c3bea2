//! `hubbub plan`: figures recomputed from the formulas, with and without a registry, and what cannot be planned.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::programs::{hubbub, stderr_of, stdout_of, text};
use crate::sources::root;

/// 95 % of a normal law lie within so many standard deviations.
const Z95: f64 = 1.959_963_984_540_054;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout_of(&hubbub(&[arguments, &["--json"]].concat(), b""))).unwrap()
}

fn kind(arguments: &str) -> Value {
    json(&["plan", "--kind"].into_iter().chain(arguments.split(' ')).collect::<Vec<_>>())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn close(found: &Value, expected: f64) {
    assert!((number(found) / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
}

/// A draft registry with a metric of every kind.
fn every_kind(directory: &Path) {
    let values = |count: usize| (0..count).map(|index| format!("\"v{index}\"")).collect::<Vec<_>>().join(", ");
    let mut document = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n".to_owned();
    for (id, (key, data)) in (1..).zip([
        ("boolean", "kind = \"boolean\"".to_owned()),
        ("category", format!("kind = \"categorical\", values = [{}]", values(16))),
        ("many", format!("kind = \"categorical\", values = [{}]", values(300))),
        ("buckets", "kind = \"ordered\", edges = [0, 1, 2, 4, 8, 16], goal = \"mean\", absent = 0".to_owned()),
        ("shape", "kind = \"ordered\", edges = [0, 1, 2, 4, 8, 16], goal = \"quantiles\", absent = 0".to_owned()),
        ("count", "kind = \"count\", max = 12".to_owned()),
        ("set", format!("kind = \"set\", values = [{}], max_items = 3", values(20))),
    ]) {
        document += &format!(
            "[metric.{key}]\nid = {id}\nversion = 1\nstatus = \"draft\"\ndata = {{ {data} }}\nprivacy = {{ epsilon = \"1.0\" }}\n"
        );
    }
    fs::write(directory.join("test.toml"), document).unwrap();
}

#[test]
fn a_boolean_has_the_figures_of_warner() {
    let answer = kind("boolean --epsilon 1 --reports 20000");
    let (e, n) = (1f64.exp(), 20_000f64);
    let (pi1, pi0) = (e / (1.0 + e), 1.0 / (1.0 + e));
    let choice = &answer["choice"];
    close(&choice["variance"], pi1 * pi0 / (pi1 - pi0).powi(2));
    close(&answer["optimum"], pi1 * pi0 / (pi1 - pi0).powi(2));
    close(&choice["ratio_to_optimum"], 1.0);
    close(&choice["half_width_95"], Z95 * (0.25 / n).sqrt() / (pi1 - pi0));
    close(&choice["half_width_95_pp"], 100.0 * Z95 * (0.25 / n).sqrt() / (pi1 - pi0));
    let nobody = &choice["half_widths_95"][0];
    assert_eq!(nobody["population"]["share"], 0.0);
    close(&nobody["half_width_95"], Z95 * (pi0 * (1.0 - pi0) / n).sqrt() / (pi1 - pi0));
    close(&choice["poisoning_gain"], (1.0 - pi0) / (pi1 - pi0));
    close(&choice["total_variation"], (e - 1.0) / (e + 1.0));
    assert_eq!(
        (&choice["report_bits"], &choice["body_bytes"], &choice["counters"]),
        (&1.into(), &512.into(), &2.into())
    );
    let threshold: u128 = choice["threshold"].as_str().unwrap().parse().unwrap();
    assert!((threshold as f64 / 2f64.powi(64) - pi1).abs() < 1e-15);
    let (above, below) = choice["likelihood_ratio"].as_str().unwrap().split_once('/').unwrap();
    let (above, below): (u128, u128) = (above.parse().unwrap(), below.parse().unwrap());
    assert_eq!(above * ((1 << 64) - threshold), below * threshold);
    assert!((1.0 - 1e-14..=1.0).contains(&number(&choice["epsilon_realized"])));
}

/// The crowd's delta at `central` by its definition: C ~ Bin(n-1, 2/(E+1)) reports say nothing, half of them by chance for
/// either side, and the device's own report says the truth with odds E.
fn crowd_delta(e: f64, reports: i32, central: f64) -> f64 {
    let others = reports - 1;
    let choose = |n: i32, k: i32| -> f64 { (0..k).map(|i| f64::from(n - i) / f64::from(k - i)).product() };
    let silent = 2.0 / (e + 1.0);
    let chance = |for_it: i32, against: i32| {
        let c = for_it + against;
        if for_it < 0 || against < 0 || c > others {
            return 0.0;
        }
        choose(others, c) * silent.powi(c) * (1.0 - silent).powi(others - c) * choose(c, for_it) / 2f64.powi(c)
    };
    let true_law = |i: i32, j: i32| (e * chance(i - 1, j) + chance(i, j - 1)) / (e + 1.0);
    let outcomes = (0..=reports).flat_map(|i| (0..=reports - i).map(move |j| (i, j)));
    outcomes.map(|(i, j)| (true_law(i, j) - central.exp() * true_law(j, i)).max(0.0)).sum()
}

#[test]
fn the_second_figure_is_that_of_the_definition() {
    let shuffle = &kind("boolean --epsilon 1 --reports 60 --delta 1e-3")["choice"]["shuffle"];
    let generic = number(&shuffle["generic"]);
    let (e, delta) = (1f64.exp(), 1e-3);
    assert!(crowd_delta(e, 60, generic) <= delta * (1.0 + 1e-6) && crowd_delta(e, 60, generic * 0.999) > delta);
    // A boolean has the generic total variation, sixteen values have less.
    close(&shuffle["specific"], generic);
    let sixteen = &kind("categorical --values 16 --epsilon 1 --reports 60 --delta 1e-3")["choice"]["shuffle"];
    close(&sixteen["generic"], generic);
    assert!(number(&sixteen["specific"]) < 0.9 * generic, "{sixteen}");
}

#[test]
fn categories_are_near_the_optimum_and_alternatives_cost_more() {
    // k-ary randomized response of 16 values at epsilon 1, by hand.
    let answer = kind("categorical --values 16 --epsilon 1");
    let other = answer["alternatives"].as_array().unwrap().iter().find(|other| other["name"] == "randomized_response");
    let e = 1f64.exp();
    let (pi1, pi0) = (e / (e + 15.0), 1.0 / (e + 15.0));
    let v = (pi1 * (1.0 - pi1) + 15.0 * pi0 * (1.0 - pi0)) / (16.0 * (pi1 - pi0).powi(2));
    close(&other.unwrap()["variance"], v);
    close(&other.unwrap()["relative_cost"], v / number(&answer["choice"]["variance"]));
    assert_eq!((&answer["choice"]["name"], &answer["choice"]["parameters"]["k"]), (&"subset".into(), &4.into()));
    for (values, epsilon) in [(257, "0.25"), (300, "4"), (16_384, "1"), (65_536, "2")] {
        let answer = kind(&format!("categorical --values {values} --epsilon {epsilon}"));
        let choice = &answer["choice"];
        assert_eq!(choice["name"], "cyclotomic");
        assert!((1.0..=1.005).contains(&number(&choice["ratio_to_optimum"])), "{values} {epsilon}");
        close(&choice["variance"], number(&choice["ratio_to_optimum"]) * number(&answer["optimum"]));
        for other in answer["alternatives"].as_array().unwrap() {
            assert!(number(&other["relative_cost"]) > 0.994, "{other}");
        }
    }
}

#[test]
fn sets_have_the_figures_of_the_design() {
    let answer = kind("set --values 500 --max-items 16 --epsilon 1");
    let choice = &answer["choice"];
    // 16 dummies make 516 indices, of ten bits each.
    assert_eq!((&choice["parameters"]["k"], &choice["report_bits"]), (&8.into(), &80.into()));
    assert!((61.5..63.5).contains(&number(&choice["variance"])), "{choice}");
    let shares: Vec<f64> =
        choice["half_widths_95"].as_array().unwrap().iter().map(|half| number(&half["population"]["share"])).collect();
    assert_eq!(shares, [0.0, 0.5]);
    assert!(answer["optimum"].is_null() && answer["max_items"] == 16);
}

#[test]
fn means_are_given_in_steps_and_on_the_unit_range() {
    // Two ordered values are Warner's again; the hardest mean is one half.
    let choice = &kind("ordered --values 2 --goal mean --epsilon 1 --reports 100")["choice"];
    let e = 1f64.exp();
    let (p, q) = (e / (1.0 + e), 1.0 / (1.0 + e));
    let noise = p * q / (p - q).powi(2);
    close(&choice["variance"], noise);
    close(&choice["half_width_95"], Z95 * ((noise + 0.25) / 100.0).sqrt());
    // Largest variance of a mean on [0,1]: 1.27 at epsilon 1 and 0.0405 at epsilon 4.
    for (epsilon, expected) in [(1, 1.27), (4, 0.0405)] {
        let choice = &kind(&format!("ordered --values 1000 --goal mean --epsilon {epsilon}"))["choice"];
        let unit = number(&choice["variance_on_unit_range"]);
        assert!((unit / expected - 1.0).abs() < 0.02, "{unit}");
        close(&choice["variance"], unit * 999f64.powi(2));
        close(&choice["half_width_95"], number(&choice["half_width_95_pp"]) / 100.0 * 999.0);
    }
    for epsilon in ["0.25", "1", "4"] {
        let answer = kind(&format!("count --max 50 --epsilon {epsilon}"));
        let alternatives = answer["alternatives"].as_array().unwrap();
        assert_eq!((alternatives.len(), &answer["values"]), (1, &51.into()));
        assert!(number(&alternatives[0]["relative_cost"]) >= 1.0);
        assert_eq!(answer, kind(&format!("count --values 51 --epsilon {epsilon}")));
    }
}

#[test]
fn the_largest_questions_are_answered() {
    for question in ["categorical", "ordered --goal mean", "ordered --goal quantiles", "set --max-items 5"] {
        for epsilon in ["16", "1"] {
            let answer = kind(&format!("{question} --values 1048576 --epsilon {epsilon}"));
            let counters = answer["choice"]["counters"].as_u64().unwrap();
            assert!((1 << 20..=1 << 26).contains(&counters), "{question}: {counters}");
            let spent = number(&answer["choice"]["epsilon_realized"]);
            let declared: f64 = epsilon.parse().unwrap();
            assert!(spent <= declared && spent > 0.99 * declared, "{question}: {spent}");
        }
    }
}

#[test]
fn people_get_the_same_figures() {
    let said = stdout_of(&hubbub(&["plan", "--kind", "categorical", "--values", "16", "--epsilon", "1"], b""));
    let answer = kind("categorical --values 16 --epsilon 1");
    for alternative in ["subset k=4", "randomized_response k=1", "cyclotomic K="] {
        assert!(said.lines().any(|line| line.starts_with(alternative)), "{said}");
    }
    assert!(said.contains(answer["choice"]["threshold"].as_str().unwrap()), "{said}");
    assert!(said.contains("a second figure") && said.contains("largest likelihood ratio: "), "{said}");
}

#[test]
fn what_cannot_be_planned_is_bad_input_with_a_remedy() {
    for (arguments, remedy) in [
        ("categorical --values 1 --epsilon 1", "from 2 to 1048576"),
        ("categorical --values 0 --epsilon 1", "from 2 to 1048576"),
        ("categorical --values 1048577 --epsilon 1", "from 2 to 1048576"),
        ("categorical --values -5 --epsilon 1", "--values"),
        ("categorical --values 99999999999999999999999 --epsilon 1", "--values"),
        ("categorical --epsilon 1", "--values D"),
        ("ordered --values 1048577 --goal mean --epsilon 1", "from 2 to 1048576"),
        ("ordered --values 5 --epsilon 1", "--goal mean or --goal quantiles"),
        ("categorical --values 5 --goal mean --epsilon 1", "leave it out"),
        ("categorical --values 5 --max-items 2 --epsilon 1", "leave it out"),
        ("categorical --values 5 --max 2 --epsilon 1", "leave it out"),
        ("boolean --values 3 --epsilon 1", "from 2 to 2"),
        ("set --values 5 --epsilon 1", "--max-items M"),
        ("set --values 5 --max-items 0 --epsilon 1", "from 1 to 5"),
        ("set --values 5 --max-items 6 --epsilon 1", "from 1 to 5"),
        ("count --max 0 --epsilon 1", "at least 1 and at most 255"),
        ("count --max 256 --epsilon 1", "at least 1 and at most 255"),
        ("count --max 12 --values 12 --epsilon 1", "give one of the two"),
        ("count --values 257 --epsilon 1", "from 2 to 256"),
        ("boolean --epsilon 0", "above 0 and at most 16"),
        ("boolean --epsilon 16.000001", "above 0 and at most 16"),
        ("boolean --epsilon -1", "above 0 and at most 16"),
        ("boolean --epsilon 1e400", "above 0 and at most 16"),
        ("boolean --epsilon NaN", "above 0 and at most 16"),
        ("boolean --epsilon 0.000000000000000000000000000000000000000000000000000000000001", "above 0 and at most 16"),
        ("boolean", "--epsilon"),
        ("boolean --epsilon 1 --reports 0", "--reports"),
        ("boolean --epsilon 1 --delta 0", "above 0 and below 1"),
        ("boolean --epsilon 1 --delta 1", "above 0 and below 1"),
        ("boolean --epsilon 1 --simulate", "--simulate"),
        ("boolean --epsilon 1 --registry metrics", "--registry"),
        ("duration --epsilon 1", "boolean, categorical"),
    ] {
        let all: Vec<&str> = ["plan", "--kind"].into_iter().chain(arguments.split(' ')).collect();
        let output = hubbub(&all, b"");
        let said = stderr_of(&output, 2);
        assert!(said.contains(remedy), "{arguments}: {said}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
    stderr_of(&hubbub(&["plan", "--epsilon", "1"], b""), 2);
    stderr_of(&hubbub(&["plan", "--devices", "0"], b""), 2);
    stderr_of(&hubbub(&["plan", "--registry", "/nonexistent/metrics"], b""), 3);
}

#[test]
fn a_metric_without_a_mechanism_is_named() {
    let directory = tempfile::tempdir().unwrap();
    every_kind(directory.path());
    let path = directory.path().join("test.toml");
    let broken = fs::read_to_string(&path).unwrap().replacen("\"1.0\"", "\"1.0\", mechanism = \"laplace\"", 1);
    fs::write(&path, broken).unwrap();
    let said = stderr_of(&hubbub(&["plan", "--registry", text(directory.path())], b""), 2);
    assert!(said.contains("metric test.boolean: mechanism `laplace` does not exist"), "{said}");
}

#[test]
fn the_starting_set_meets_its_targets_with_a_million_devices() {
    let metrics = root().join("metrics");
    let plan = ["plan", "--registry", text(&metrics), "--devices", "1000000"];
    let rows = json(&plan);
    let rows = rows.as_array().unwrap();
    let table = stdout_of(&hubbub(&plan, b""));
    assert!(rows.len() >= 12);
    for row in rows {
        assert_eq!(row["target_met"], true, "{row}");
        let name = row["metric"].as_str().unwrap();
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.contains(" met ") && line.contains(row["lifetime_epsilon"].as_str().unwrap()), "{line}");
    }
    // dark_style: 40,000 reports at epsilon 0.5.
    let row = rows.iter().find(|row| row["metric"] == "settings.dark_style").unwrap();
    assert_eq!(row["reports"], 40_000);
    close(&row["half_width_95_pp"], 100.0 * Z95 * 0.5 / 200.0 / 0.25f64.tanh());
    let few = json(&["plan", "--registry", text(&metrics), "--devices", "10"]);
    assert!(few.as_array().unwrap().iter().any(|row| row["reports"] == 0 && row["half_width_95"].is_null()));
}

#[test]
fn realised_errors_are_the_predicted_ones() {
    let directory = tempfile::tempdir().unwrap();
    every_kind(directory.path());
    let plan = ["plan", "--registry", text(directory.path()), "--devices", "1000", "--simulate", "--seed", "11"];
    let output = hubbub(&[&plan[..], &["--json"]].concat(), b"");
    let rows: Vec<Value> = serde_json::from_str(&stdout_of(&output)).unwrap();
    assert_eq!(rows.len(), 7);
    for row in &rows {
        let simulation = &row["simulation"];
        assert_eq!((&simulation["reports"], &simulation["runs"]), (&1000.into(), &20.into()));
        let (low, high) = (number(&simulation["ratio_band_999"][0]), number(&simulation["ratio_band_999"][1]));
        let ratio = number(&simulation["ratio"]);
        close(&simulation["rmse_realized"], ratio * number(&simulation["rmse_predicted"]));
        assert!(low < 1.0 && 1.0 < high && (low..=high).contains(&ratio) && simulation["agrees"] == true, "{row}");
    }
    // The noise of a boolean does not depend on the truth.
    let predicted = number(&rows[0]["variance"]) / 1000.0;
    close(&rows[0]["simulation"]["rmse_predicted"], predicted.sqrt());
    assert_eq!(hubbub(&[&plan[..], &["--json"]].concat(), b"").stdout, output.stdout, "the seed fixes everything");
    let table = stdout_of(&hubbub(&plan, b""));
    assert!(table.lines().next().unwrap().ends_with("99.9 % band") && !table.contains("OUTSIDE"), "{table}");
}
