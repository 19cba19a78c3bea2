//! What is written: names, types, metadata, and the same bytes every time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type};
use hubbub_estimator::{Progress, Request, Step, estimate};
use hubbub_privacy::Counters;
use hubbub_randomizer::Plan;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};

use crate::fixture::{Draft, Place, any_counters, changed_plan, plan};

/// Two weeks of all metrics, and more than one node.
fn filled(plan: &Plan) -> Place {
    let place = Place::new();
    for metric in ["test.flag", "test.browser", "test.crashes"] {
        for (week, node, reports) in [("2026-W46", "a", 700), ("2026-W46", "b", 41), ("2026-W47", "a", 77)] {
            place.add(plan, metric, week, node, &any_counters(plan, metric, reports));
        }
    }
    place
}

/// All files below a directory with their bytes, hidden ones included.
fn tree(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn read(path: &Path) -> (RecordBatch, BTreeMap<String, String>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap().iter();
    let pairs = pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).collect();
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    (batches.into_iter().next().unwrap(), pairs)
}

#[test]
fn two_runs_give_identical_bytes_and_leave_nothing_else() {
    let plan = plan();
    let place = filled(&plan);
    place.estimate(&plan).unwrap();
    let first = tree(&place.out());
    place.estimate(&plan).unwrap();
    assert_eq!(tree(&place.out()), first);
    fs::remove_dir_all(place.out()).unwrap();
    place.estimate(&plan).unwrap();
    assert_eq!(tree(&place.out()), first);
    let names: Vec<PathBuf> = first.keys().map(|path| path.strip_prefix(place.out()).unwrap().to_owned()).collect();
    let expected = ["period=2026-W46", "period=2026-W47"].iter().flat_map(|period| {
        ["test.browser", "test.crashes", "test.flag"].map(|name| PathBuf::from(format!("{period}/{name}.parquet")))
    });
    assert_eq!(names, expected.collect::<Vec<_>>());
}

#[test]
fn columns_have_the_documented_names_and_types() {
    let plan = plan();
    let place = filled(&plan);
    let summary = place.estimate(&plan).unwrap();
    let (text, whole, float, date) = (DataType::Utf8, DataType::Int64, DataType::Float64, DataType::Date32);
    let expected = [
        ("metric", text.clone()),
        ("metric_id", whole.clone()),
        ("metric_version", whole.clone()),
        ("category", text.clone()),
        ("period_start", date.clone()),
        ("period_end", date),
        ("statistic", text.clone()),
        ("value_index", whole.clone()),
        ("value", text.clone()),
        ("reports", whole.clone()),
        ("noisy_count", whole),
        ("estimate", float.clone()),
        ("std_error", float.clone()),
        ("noise_std_error", float.clone()),
        ("ci95_low", float.clone()),
        ("ci95_high", float.clone()),
        ("consistent", float.clone()),
        ("mechanism", text.clone()),
        ("epsilon", float.clone()),
        ("pi1", float.clone()),
        ("pi0", float.clone()),
        ("poisoning_shift_1pct", float),
        ("suppressed", DataType::Boolean),
        ("suppression_reason", text),
    ];
    for file in &summary.files {
        let (batch, _) = read(file);
        let schema = batch.schema();
        let found: Vec<_> =
            schema.fields().iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect();
        assert_eq!(found, expected, "{}", file.display());
    }
    let json = serde_json::to_string(&summary.rows[0]).unwrap();
    let keys: Vec<usize> = expected.iter().map(|(name, _)| json.find(&format!("\"{name}\":")).unwrap()).collect();
    assert!(keys.is_sorted(), "the JSON has the columns in the same order: {json}");
    assert_eq!(json.matches("\":").count(), expected.len());
}

#[test]
fn files_json_and_rows_say_the_same() {
    let plan = plan();
    let place = filled(&plan);
    let summary = place.estimate(&plan).unwrap();
    let mut rows = summary.rows.iter();
    for file in &summary.files {
        let (batch, _) = read(file);
        let column = |name: &str| batch.column_by_name(name).unwrap();
        for at in 0..batch.num_rows() {
            let row = rows.next().unwrap();
            let json = serde_json::to_value(row).unwrap();
            for name in ["metric_id", "metric_version", "value_index", "reports", "noisy_count"] {
                let cells = column(name).as_primitive::<Int64Type>();
                assert_eq!(cells.is_valid(at).then(|| cells.value(at)), json[name].as_i64(), "{name}");
            }
            for name in [
                "estimate",
                "std_error",
                "noise_std_error",
                "ci95_low",
                "ci95_high",
                "consistent",
                "epsilon",
                "pi1",
                "pi0",
                "poisoning_shift_1pct",
            ] {
                let cells = column(name).as_primitive::<Float64Type>();
                assert_eq!(cells.is_valid(at).then(|| cells.value(at)), json[name].as_f64(), "{name}");
            }
            for name in ["metric", "category", "statistic", "value", "mechanism", "suppression_reason"] {
                let cells = column(name).as_string::<i32>();
                assert_eq!(cells.is_valid(at).then(|| cells.value(at)), json[name].as_str(), "{name}");
            }
            assert_eq!(Some(column("suppressed").as_boolean().value(at)), json["suppressed"].as_bool());
            for name in ["period_start", "period_end"] {
                let day = column(name).as_primitive::<Date32Type>().value_as_date(at).unwrap();
                assert_eq!(Some(day.to_string().as_str()), json[name].as_str(), "{name}");
            }
        }
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn metadata_says_where_the_numbers_come_from() {
    let plan = plan();
    let place = filled(&plan);
    let summary = place.estimate_pooled(&plan, Some(("2026-W40", "2026-W50"))).unwrap();
    let flag = summary.files.iter().find(|file| file.ends_with("test.flag.parquet")).unwrap();
    let (_, pairs) = read(flag);
    for (key, value) in [
        ("hubbub.format", "hubbub-estimates/1"),
        ("hubbub.registry_digest", plan.registry().digest()),
        ("hubbub.program_version", env!("CARGO_PKG_VERSION")),
        ("hubbub.epsilon", "1.098612"),
        ("hubbub.dropped_remainder", "6"),
        ("hubbub.counter_files", "3"),
        ("hubbub.periods", "2026-W46,2026-W47"),
    ] {
        assert_eq!(pairs.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[test]
fn too_few_reports_set_a_flag_and_blank_nothing() {
    let (plan, place) = (plan(), Place::new());
    for (week, reports) in [("2026-W46", 499), ("2026-W47", 500)] {
        place.add(&plan, "test.browser", week, "a", &any_counters(&plan, "test.browser", reports));
    }
    for row in place.rows(&plan) {
        let few = row.reports == 499;
        assert_eq!(row.suppressed, few);
        assert_eq!(row.suppression_reason.is_some(), few);
        assert!(row.std_error.is_some() && row.noisy_count.is_some() && row.category == Some("usage"));
    }
}

#[test]
fn no_reports_at_all_give_a_warning_and_no_file() {
    let (plan, place) = (plan(), Place::new());
    place.add(&plan, "test.flag", "2026-W46", "a", &Counters::new(2));
    place.add(&plan, "test.flag", "2026-W47", "a", &Counters { reports: 1, counts: vec![0, 1] });
    let summary = place.estimate(&plan).unwrap();
    assert_eq!(summary.files, [place.out().join("period=2026-W47/test.flag.parquet")]);
    assert_eq!(summary.warnings, ["test.flag for 2026-W46: no reports, so no estimates"]);
}

#[test]
fn another_registry_with_the_same_metric_is_a_warning() {
    let (counted, place) = (plan(), Place::new());
    place.add(&counted, "test.flag", "2026-W46", "a", &any_counters(&counted, "test.flag", 100));
    let now = changed_plan("min_reports_to_publish = 500", "min_reports_to_publish = 900");
    let summary = place.estimate(&now).unwrap();
    let [warning] = &summary.warnings[..] else { panic!("one warning, not {:?}", summary.warnings) };
    assert!(warning.contains(counted.registry().digest()) && warning.contains(now.registry().digest()), "{warning}");
}

#[test]
fn other_versions_are_skipped_unopened_with_one_warning_each() {
    let (old, place) = (plan(), Place::new());
    let new = changed_plan("id = 2\nversion = 1", "id = 2\nversion = 4");
    let between = changed_plan("id = 2\nversion = 1", "id = 2\nversion = 3");
    let browser = any_counters(&old, "test.browser", 1000);
    for (week, node) in [("2026-W45", "a"), ("2026-W46", "a"), ("2026-W46", "b")] {
        let path = place.add(&old, "test.browser", week, node, &browser);
        fs::write(path, "not even Parquet").unwrap();
    }
    place.add(&between, "test.browser", "2026-W46", "a", &browser);
    place.add(&new, "test.browser", "2026-W46", "a", &browser);
    place.add(&new, "test.flag", "2026-W45", "a", &any_counters(&new, "test.flag", 100));

    let summary = place.estimate(&new).unwrap();
    let skipped = |files: &str, version: u32| {
        format!(
            "registry {} has version 4 of test.browser; skipped {files} of version {version}, because versions are \
             never merged: estimate them with the registry of that version",
            new.registry().digest()
        )
    };
    assert_eq!(summary.warnings, [skipped("3 counters files", 1), skipped("1 counters file", 3)]);
    let files = ["period=2026-W46/test.browser.parquet", "period=2026-W45/test.flag.parquet"];
    assert_eq!(summary.files, files.map(|file| place.out().join(file)));
    let of_browser: Vec<_> = summary.rows.iter().filter(|row| row.metric == "test.browser").collect();
    assert_eq!(of_browser.len(), 8);
    assert!(of_browser.iter().all(|row| row.metric_version == 4 && row.reports == 1000));
    let (_, pairs) = read(&summary.files[0]);
    assert_eq!(pairs["hubbub.counter_files"], "1");

    // Files outside the range are not spoken of.
    let pooled = place.estimate_pooled(&new, Some(("2026-W44", "2026-W45"))).unwrap();
    assert_eq!(pooled.warnings, [skipped("1 counters file", 1)]);
    // The remedy helps: with the registry of that version, its files are estimated.
    let pooled = place.estimate(&between).unwrap();
    assert_eq!(pooled.rows.iter().filter(|row| row.metric_version == 3 && row.metric == "test.browser").count(), 8);
}

#[test]
fn every_compression_that_messages_recommend_is_read() {
    let plan = plan();
    let rows = [Compression::ZSTD(ZstdLevel::default()), Compression::SNAPPY, Compression::UNCOMPRESSED].map(|codec| {
        let place = Place::new();
        let counters = any_counters(&plan, "test.browser", 1000);
        let mut draft = Draft::new(&plan, "test.browser", "2026-W46", "a", &counters);
        draft.compression = codec;
        draft.write(&place.counters());
        place.rows(&plan)
    });
    assert_eq!(rows[0].len(), 8);
    assert!(rows[0] == rows[1] && rows[1] == rows[2]);
}

#[test]
fn a_demo_directory_works_as_well_as_its_counters_folder() {
    let (plan, place) = (plan(), Place::new());
    let draft = Draft::new(&plan, "test.flag", "2026-W46", "a", &any_counters(&plan, "test.flag", 100));
    draft.write(&place.counters().join("counters"));
    // What an interrupted export or a careful publisher leaves there is nobody's counters.
    let folder = place.counters().join("counters/metric=test.flag/version=3/period=2026-W46");
    fs::write(folder.join(".node=a.parquet.123.partial"), "half").unwrap();
    fs::write(folder.join("SHA256SUMS"), "0000").unwrap();
    assert_eq!(place.rows(&plan).len(), 2);
}

#[test]
fn progress_counts_every_metric_twice() {
    let plan = plan();
    let place = filled(&plan);
    let mut steps: Vec<Progress> = Vec::new();
    let (counters, out) = (place.counters(), place.out());
    let request = Request { plan: &plan, counters: &counters, out: &out, pool: None };
    estimate(&request, &mut |step| steps.push(step)).unwrap();
    let done: Vec<usize> = steps.iter().map(|step| step.done).collect();
    assert_eq!(done, [1, 2, 3, 4, 5, 6]);
    assert!(steps.iter().all(|step| step.total == 6));
    assert_eq!((steps[0].step, steps[5].step), (Step::Checked, Step::Estimated));
    assert_eq!((steps[0].metric.as_str(), steps[5].metric.as_str()), ("test.browser", "test.flag"));
}
