//! Every bad input: its message names the file and the remedy, it is told apart from a failing disk, and nothing is
//! written.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use hubbub_estimator::{EstimateError, Request, Step, estimate};
use hubbub_privacy::Counters;
use hubbub_privacy::Exit;
use hubbub_randomizer::Plan;
use parquet::basic::CompressionCodec;

use crate::fixture::{Draft, Place, any_counters, changed_plan, claim_codec, plan};

fn good(plan: &Plan) -> Draft {
    Draft::new(plan, "test.browser", "2026-W46", "b", &any_counters(plan, "test.browser", 1000))
}

/// Runs on a directory that has one good file of another metric, and expects the refusal of everything.
fn refused(place: &Place, plan: &Plan, bad_input: bool, parts: &[&str]) -> EstimateError {
    let error = place.estimate(plan).expect_err(&format!("accepted; should have said {parts:?}"));
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    assert_eq!(error.exit() == Exit::BadInput, bad_input, "{message}");
    assert!(!place.out().exists(), "something was written before everything was checked");
    error
}

/// Spoils the good file before it is written.
fn spoilt(spoil: impl FnOnce(&mut Draft), parts: &[&str]) {
    let (plan, place) = (plan(), Place::new());
    place.add(&plan, "test.flag", "2026-W46", "a", &any_counters(&plan, "test.flag", 100));
    let mut draft = good(&plan);
    spoil(&mut draft);
    let path = draft.write(&place.counters());
    let named = path.to_str().unwrap();
    refused(&place, &plan, true, &[&[named], parts].concat());
}

/// Spoils the good file's bytes after it was written.
fn damaged(damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let (plan, place) = (plan(), Place::new());
    place.add(&plan, "test.flag", "2026-W46", "a", &any_counters(&plan, "test.flag", 100));
    let path = good(&plan).write(&place.counters());
    fs::write(&path, damage(fs::read(&path).unwrap())).unwrap();
    refused(&place, &plan, true, &[path.to_str().unwrap(), "cut short or damaged", "export it again"]);
}

#[test]
fn files_cut_short_at_any_length() {
    let (plan, place) = (plan(), Place::new());
    let whole = fs::read(good(&plan).write(&place.counters())).unwrap();
    let path = place.counters().join(good(&plan).path);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&place, &plan, true, &[path.to_str().unwrap(), "cut short or damaged", "export it again"]);
    }
}

#[test]
fn any_flipped_bit_is_refused_or_changes_no_figure() {
    let (plan, place) = (plan(), Place::new());
    let path = good(&plan).write(&place.counters());
    let (whole, figures) = (fs::read(&path).unwrap(), place.rows(&plan));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).unwrap();
        match place.estimate(&plan) {
            Ok(summary) => assert_eq!(summary.rows, figures, "byte {at}"),
            Err(error) => {
                assert_eq!(error.exit(), Exit::BadInput, "byte {at}: {error}");
                assert!(error.to_string().contains(path.to_str().unwrap()), "byte {at}: {error}");
            }
        }
    }
}

#[test]
fn files_that_are_not_parquet() {
    damaged(|_| b"index,count\n0,5\n".to_vec());
    damaged(|bytes| [b"PAR1".to_vec(), bytes].concat());
}

#[test]
fn codecs_that_this_program_is_built_without() {
    let plan = plan();
    for codec in [
        CompressionCodec::GZIP,
        CompressionCodec::BROTLI,
        CompressionCodec::LZ4,
        CompressionCodec::LZ4_RAW,
        CompressionCodec::LZO,
    ] {
        for column in [0, 1] {
            let place = Place::new();
            let path = good(&plan).write(&place.counters());
            claim_codec(&path, column, codec);
            let named = format!("compressed with {codec},");
            let remedy = "write it with zstd, snappy or no compression";
            let error = refused(&place, &plan, true, &[path.to_str().unwrap(), &named, remedy]);
            assert!(!error.to_string().contains("damaged"), "{error}");
            // The codec alone made the difference, not the second footer.
            claim_codec(&path, column, CompressionCodec::ZSTD);
            assert_eq!(place.rows(&plan).len(), 8);
        }
    }
}

#[test]
fn missing_or_wrong_metadata() {
    let plan = plan();
    for key in ["hubbub.format", "hubbub.reports", "hubbub.parameters", "hubbub.epsilon", "hubbub.metric_id"] {
        let place = Place::new();
        let path = good(&plan).write_without(&place.counters(), &[key]);
        refused(&place, &plan, true, &[path.to_str().unwrap(), key, "missing", "export it again"]);
    }
}

#[test]
fn wrong_columns() {
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..8)) };
    let narrow: ArrayRef = Arc::new(Int32Array::from_iter_values(0..8));
    for columns in [
        vec![("index", numbers()), ("count", narrow.clone())],
        vec![("index", narrow), ("count", numbers())],
        vec![("count", numbers()), ("index", numbers())],
        vec![("index", numbers()), ("reports", numbers())],
        vec![("index", numbers())],
        vec![("index", numbers()), ("count", numbers()), ("device", numbers())],
    ] {
        spoilt(|draft| draft.columns = columns, &["columns", "(index: Int64, count: Int64)", "export it again"]);
    }
}

#[test]
fn rows_that_are_not_each_index_once() {
    spoilt(|draft| draft.set_counts(vec![375; 7]), &["7 rows", "8 counters"]);
    spoilt(|draft| draft.set_counts(vec![375; 9]), &["9 rows", "8 counters"]);
    spoilt(|draft| draft.set_counts(vec![]), &["0 rows"]);
    for (indices, row) in [([0, 1, 2, 3, 4, 5, 6, 8], 7), ([0, 1, 1, 3, 4, 5, 6, 7], 2), ([1, 0, 2, 3, 4, 5, 6, 7], 0)]
    {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(indices));
        spoilt(|draft| draft.columns[0].1 = column, &[&format!("row {row} has index"), "each once"]);
    }
    let column: ArrayRef = Arc::new(Int64Array::from_iter((0..8).map(|i| (i != 5).then_some(i))));
    spoilt(|draft| draft.columns[0].1 = column, &["row 5 has index null"]);
}

#[test]
fn counts_that_no_reports_give() {
    spoilt(|draft| draft.set_counts(vec![-1, 375, 375, 375, 375, 375, 375, 375]), &["index 0 has count -1"]);
    spoilt(|draft| draft.set_counts(vec![1001, 0, 0, 0, 0, 0, 0, 0]), &["index 0 has count 1001", "1000 reports"]);
    spoilt(|draft| draft.set_counts(vec![i64::MAX; 8]), &["index 0 has count 9223372036854775807"]);
    let nulls: ArrayRef = Arc::new(Int64Array::from_iter((0..8).map(|i| (i != 2).then_some(250))));
    spoilt(|draft| draft.columns[1].1 = nulls, &["index 2 has count null"]);
    spoilt(|draft| draft.header.reports += 1, &["add up to", "1001 reports cannot give"]);
    spoilt(|draft| draft.header.reports = 0, &["0 reports cannot give"]);
}

#[test]
fn sums_above_what_can_be_counted() {
    let (plan, place) = (plan(), Place::new());
    for node in ["a", "b"] {
        let reports = (1 << 62) + 1;
        place.add(&plan, "test.flag", "2026-W46", node, &Counters { reports, counts: vec![reports, 0] });
    }
    refused(&place, &plan, true, &["test.flag", "2026-W46", "more than 2^63"]);
}

#[test]
fn another_definition_than_the_registrys() {
    spoilt(|draft| draft.header.metric_id.0 = 9, &["metric id is 9", "says 2"]);
    spoilt(|draft| draft.header.epsilon = "1.5".into(), &["epsilon is 1.5", "says 1.0"]);
    spoilt(|draft| draft.header.epsilon = "about one".into(), &["epsilon is about one"]);
    spoilt(|draft| draft.header.family = "folded_geometric".into(), &["family is folded_geometric", "says subset"]);
    spoilt(|draft| draft.header.parameters = "{}".into(), &["mechanism is {}", "give --registry"]);
}

#[test]
fn an_epsilon_in_another_spelling_is_the_same() {
    let (plan, place) = (plan(), Place::new());
    let mut draft = good(&plan);
    draft.header.epsilon = "1".into();
    draft.write(&place.counters());
    assert_eq!(place.rows(&plan).len(), 8);
}

#[test]
fn metrics_that_the_registry_does_not_have() {
    let (counted, place) = (plan(), Place::new());
    let path = good(&counted).write(&place.counters());
    let path = path.to_str().unwrap();
    let renamed = changed_plan("metric.browser", "metric.web_browser");
    refused(&place, &renamed, true, &[path, renamed.registry().digest(), "has no metric test.browser", "--registry"]);
    let list = r#"kind = "categorical"
values = ["none", "a", "b", "c", "d", "e", "f", "other"]
absent = "none"
other = "other""#;
    let set = "kind = \"set\"\nvalues = [\"a\", \"b\"]\nmax_items = 2";
    refused(&place, &changed_plan(list, set), true, &[path, "its mechanism is", "says"]);
    let impossible = changed_plan(
        "epsilon = \"1.0\"\n[metric.browser.utility]",
        "epsilon = \"1.0\"\nmechanism = \"window\"\n[metric.browser.utility]",
    );
    refused(&place, &impossible, true, &[path, "`window` does not serve kind categorical"]);
}

#[test]
fn nothing_but_versions_that_the_registry_does_not_have() {
    let (counted, place) = (plan(), Place::new());
    good(&counted).write(&place.counters());
    let newer = changed_plan("id = 2\nversion = 1", "id = 2\nversion = 2");
    let (directory, digest) = (place.counters(), newer.registry().digest());
    let said = [
        directory.to_str().unwrap(),
        digest,
        "has version 2 of test.browser; skipped 1 counters file of version 1",
        "estimate them with the registry of that version",
    ];
    refused(&place, &newer, true, &said);
    // What a range leaves out saves nothing: there is still nothing to pool.
    place.add(&newer, "test.browser", "2026-W47", "a", &any_counters(&newer, "test.browser", 100));
    let error = place.estimate_pooled(&newer, Some(("2026-W45", "2026-W46"))).unwrap_err();
    assert!(error.to_string().contains("skipped 1 counters file of version 1"), "{error}");
    assert_eq!(error.exit(), Exit::BadInput);
    // A metric that the registry does not know at all is no matter of versions.
    let renamed = changed_plan("metric.flag", "metric.banner");
    place.add(&renamed, "test.banner", "2026-W46", "a", &any_counters(&renamed, "test.banner", 100));
    refused(&place, &newer, true, &["metric=test.banner", "has no metric test.banner", "--registry"]);
}

#[test]
fn paths_outside_the_layout() {
    let plan = plan();
    for path in [
        "metric=test.browser/version=1/period=2026-W46/b.parquet",
        "metric=test.browser/version=1/period=2026-W54/node=b.parquet",
        "metric=test.browser/version=one/period=2026-W46/node=b.parquet",
        "metric=test.browser/period=2026-W46/node=b.parquet",
        "metric=test.browser/node=b.parquet",
        "metric=test.browser/version=01/period=2026-W46/node=b.parquet",
        "metric=test.browser/version=+1/period=2026-W46/node=b.parquet",
    ] {
        let place = Place::new();
        let mut draft = good(&plan);
        draft.path = path.into();
        draft.write(&place.counters());
        refused(&place, &plan, true, &[path]);
    }
}

#[test]
fn nothing_there() {
    let (plan, place) = (plan(), Place::new());
    refused(
        &place,
        &plan,
        true,
        &["no counters found in", place.counters().to_str().unwrap(), "hubbub-aggregator export"],
    );
    fs::create_dir_all(place.counters().join("counters/metric=test.flag/version=3")).unwrap();
    refused(&place, &plan, true, &["no counters found in"]);
    fs::remove_dir_all(place.counters()).unwrap();
    refused(&place, &plan, false, &["reading counters", "name a directory", place.counters().to_str().unwrap()]);
}

#[test]
fn ranges_that_pool_nothing() {
    let (plan, place) = (plan(), Place::new());
    good(&plan).write(&place.counters());
    for (range, said) in
        [(("2026-W47", "2026-W46"), "ends before it starts"), (("2026-W47", "2026-W49"), "no counters of")]
    {
        let error = place.estimate_pooled(&plan, Some(range)).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.exit(), Exit::BadInput);
    }
}

#[test]
fn a_place_that_cannot_be_written() {
    let (plan, place) = (plan(), Place::new());
    good(&plan).write(&place.counters());
    fs::write(place.out(), "a file where the directory should be").unwrap();
    let error = place.estimate(&plan).unwrap_err();
    assert!(error.to_string().contains(place.out().to_str().unwrap()), "{error}");
    assert!(error.to_string().contains("name a directory that you may write"), "{error}");
    assert_eq!(error.exit(), Exit::InputOutput);
    assert_eq!(fs::read(place.out()).unwrap(), b"a file where the directory should be");
}

#[test]
fn an_unfinished_file_is_removed() {
    // The estimates file's own name is taken by a directory, so the last step, the rename, fails.
    let (plan, place) = (plan(), Place::new());
    good(&plan).write(&place.counters());
    let folder = place.out().join("period=2026-W46");
    fs::create_dir_all(folder.join("test.browser.parquet")).unwrap();
    let error = place.estimate(&plan).unwrap_err();
    assert_eq!(error.exit(), Exit::InputOutput);
    let names = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(&folder), ["test.browser.parquet"]);
}

/// Does something to a file after it was checked and before it is summed.
fn meddled(meddle: impl Fn(&Path)) -> EstimateError {
    let (plan, place) = (plan(), Place::new());
    let path = good(&plan).write(&place.counters());
    let (counters, out) = (place.counters(), place.out());
    let request = Request { plan: &plan, counters: &counters, out: &out, pool: None };
    let error = estimate(&request, &mut |progress| {
        if progress.step == Step::Checked {
            meddle(&path);
        }
    })
    .unwrap_err();
    assert!(!out.exists(), "something was written: {error}");
    assert!(error.to_string().contains("test.browser"), "{error}");
    error
}

#[test]
fn files_that_change_or_vanish_while_they_are_read() {
    let changed = meddled(|path| {
        let plan = plan();
        let mut other = good(&plan);
        other.set_counts(vec![9; 8]);
        assert!(path.ends_with(&other.path));
        other.write(path.ancestors().nth(4).unwrap());
    });
    assert!(changed.to_string().contains("changed while they were read"), "{changed}");
    assert_eq!(changed.exit(), Exit::InputOutput);

    let vanished = meddled(|path| fs::remove_file(path).unwrap());
    assert!(vanished.to_string().contains("reading counters "), "{vanished}");
    assert_eq!(vanished.exit(), Exit::InputOutput);

    let cut = meddled(|path| fs::write(path, b"PAR1").unwrap());
    assert!(cut.to_string().contains("export it again"), "{cut}");
    assert_eq!(cut.exit(), Exit::BadInput);
}
