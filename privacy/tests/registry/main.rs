//! Registries good and bad: each lint has a fixture named after its code, with a comment on the line it must name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_inputs;

use std::fs;
use std::path::{Path, PathBuf};

use hubbub_privacy::Registry;
use hubbub_privacy::registry::{self, Code, Files, Finding, Findings, ReadError, Status};

/// 2026-11-23, in Unix seconds.
const NOW_S: i64 = 1_795_392_000;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry")
}

fn parse(text: &str) -> Result<Registry, Findings> {
    let mut files = Files::default();
    files.definitions.insert("app.toml".into(), text.as_bytes().to_vec());
    Registry::parse(&files)
}

fn findings(text: &str) -> Vec<Finding> {
    match parse(text) {
        Ok(registry) => registry.lint(NOW_S).0,
        Err(findings) => findings.0,
    }
}

fn good() -> String {
    fs::read_to_string(directory().join("good.toml")).unwrap()
}

/// A draft of one metric with this data and privacy table.
fn draft(data: &str, privacy: &str) -> String {
    format!(
        "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n[metric.m]\nid = 1\nversion = 1\nstatus = \"draft\"\n\
         [metric.m.data]\n{data}\n[metric.m.privacy]\n{privacy}\n"
    )
}

#[test]
fn the_good_registry_has_no_findings() {
    let registry = parse(&good()).unwrap();
    assert_eq!(registry.lint(NOW_S).0, []);
    let metric = registry.by_name("org.example.App.panel_opened").unwrap();
    assert_eq!(registry.require_approved(NOW_S), Ok(()));
    assert_eq!(metric.privacy.lifetime_epsilon().to_string(), "12.0");
    assert!(!metric.has_expired(NOW_S) && metric.has_expired(NOW_S + 400 * 86_400));
}

#[test]
fn every_code_has_a_fixture_that_triggers_it_at_the_marked_line() {
    // The size of a registry needs no fixture; what mechanisms do to a metric is the randomizer's to say.
    let elsewhere = [Code::Limit, Code::Mechanism, Code::Precision, Code::Poisoning];
    for code in Code::ALL.into_iter().filter(|code| !elsewhere.contains(code)) {
        let path = directory().join("bad").join(format!("{}.toml", code.name()));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = findings(&text);
        let marked = 1 + text.lines().position(|line| line.ends_with("# here")).unwrap();
        assert_eq!(found.len(), 1, "{}: {found:?}", code.name());
        assert_eq!((found[0].code, found[0].line), (code, marked), "{}", found[0]);
        assert!(!found[0].remedy.is_empty() && found[0].to_string().starts_with(&format!("app.toml:{marked}: ")));
    }
}

#[test]
fn passing_time_stops_a_metric_but_not_the_registry() {
    let text = fs::read_to_string(directory().join("bad/expired.toml")).unwrap();
    let registry = parse(&text).unwrap();
    assert_eq!(registry.require_approved(NOW_S), Ok(()));
    let text = fs::read_to_string(directory().join("bad/covers.toml")).unwrap();
    assert!(parse(&text).unwrap().require_approved(NOW_S).is_err());
}

#[test]
fn an_approval_covers_everything_but_status_and_reviews() {
    let covers = |text: &str| parse(text).unwrap().metrics().next().unwrap().covers.clone();
    let approved = covers(&good());
    assert!(good().contains(&approved), "the digest in the file was computed by an independent program");
    assert_eq!(covers(&good().replace("status = \"active\"", "status = \"paused\"")), approved);
    for (from, to) in [
        ("version = 2", "version = 3"),
        ("\"0.05\"", "\"0.04\""),
        ("org.example.App", "org.example.Other"),
        ("design time?", "time?"),
    ] {
        assert_ne!(covers(&good().replace(from, to)), approved, "{from}");
    }
}

#[test]
fn an_approval_cannot_be_talked_round() {
    let reviewers = "reviewers = [\"privacy-reviewer\", \"data-steward\"]";
    for (from, to) in [
        (reviewers, "reviewers = [\"a\", \"a \"]"),
        (reviewers, "reviewers = [\"a\", \"A\"]"),
        (reviewers, "reviewers = [\"a\", \" \"]"),
        (reviewers, "reviewers = [\"a\", \"Maintainers@Example.org \"]"),
        ("owners    = [\"maintainers@example.org\"]", "owners    = []"),
        ("date = 2026-10-28", "date = 2026-11-24"),
        ("decision = \"approved\"", "decision = \"rejected\""),
    ] {
        assert!(good().contains(from));
        let found = findings(&good().replace(from, to));
        assert!(found.iter().any(|finding| finding.code == Code::Reviewers), "{to}: {found:?}");
    }
}

/// Collected metrics with these ids, epsilons, probabilities, lives and further keys; approvals aside.
fn collected(metrics: &[(u32, &str, &str, u32, &str)]) -> Vec<Finding> {
    let body = good();
    let (head, metric) = body.split_once("[metric.panel_opened]").unwrap();
    let metric = format!("[metric.panel_opened]{metric}");
    let mut text = head.to_owned();
    for (id, epsilon, ask, life, more) in metrics {
        let lifetime = epsilon.parse::<hubbub_privacy::Epsilon>().unwrap().times(*life);
        text += &metric
            .replace("panel_opened", &format!("m{id}"))
            .replace("id = 17", &format!("id = {id}\n{more}"))
            .replace("epsilon = \"1.0\"\nmechanism", &format!("epsilon = \"{epsilon}\"\nmechanism"))
            .replace("\"0.05\"", &format!("\"{ask}\""))
            .replace("max_reports = 12", &format!("max_reports = {life}"))
            .replace("\"12.0\"", &format!("\"{lifetime}\""));
    }
    findings(&text).into_iter().filter(|finding| finding.code != Code::Covers).collect()
}

#[test]
fn budgets_are_judged_over_all_metrics_and_their_predecessors() {
    let codes = |metrics: &[_]| collected(metrics).iter().map(|finding| finding.code).collect::<Vec<_>>();
    assert_eq!(codes(&[(1, "1.0", "0.01", 10, ""), (2, "1.0", "0.01", 6, "predecessor = 1")]), []);
    assert_eq!(codes(&[(1, "1.0", "0.01", 10, ""), (2, "1.0", "0.01", 7, "predecessor = 1")]), [Code::Ceiling]);
    // Four questions of epsilon 4: two in one week break its ceiling of 6, here in about 7 % of the weeks.
    let often: Vec<_> = (1..=4).map(|id| (id, "4.0", "0.11", 4, "")).collect();
    assert_eq!(codes(&often), [Code::Pacing]);
    let rarely: Vec<_> = (1..=4).map(|id| (id, "4.0", "0.03", 4, "")).collect();
    assert_eq!(codes(&rarely), []);
    // 25 lives of 16 are the installation's 400, 26 are more.
    let lives = |n: u32| (1..=n).map(|id| (id, "4.0", "0.001", 4, "")).collect::<Vec<_>>();
    assert_eq!((codes(&lives(25)), codes(&lives(26))), (vec![], vec![Code::Ceiling]));
}

#[test]
fn what_cannot_work_is_not_collected() {
    for (from, to, code) in [
        ("aggregate = \"sample_one\"", "aggregate = \"sum\"", Code::Domain),
        ("aggregate = \"sample_one\"", "aggregate = \"sample_one\"\neos_event = \"zz\"", Code::Syntax),
        ("other = \"other\"", "other = \"none\"", Code::AbsentOther),
    ] {
        let found = findings(&good().replace(from, to));
        assert!(found.iter().any(|finding| finding.code == code), "{to}: {found:?}");
    }
}

#[test]
fn pipes_and_links_out_of_the_registry_are_refused() {
    let (outside, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret.txt"), "a\nb\n").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), inside.path().join("list.txt")).unwrap();
    let data = "kind = \"categorical\"\nvalues_file = \"list.txt\"\nvalues_sha256 = \"sha256:00\"";
    fs::write(inside.path().join("test.toml"), draft(data, "epsilon = \"1.0\"")).unwrap();
    let error = registry::read(inside.path()).unwrap_err().to_string();
    assert!(error.contains("leads out of the registry") && !error.contains("digest"), "{error}");
    for name in ["list.txt", "test.toml"] {
        let path = inside.path().join(name);
        fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = registry::read(inside.path()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_file_has_a_limit_of_metrics() {
    let mut text = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n".to_owned();
    for id in 1..=10_001 {
        text += &format!("[metric.m{id}]\nid = {id}\nversion = 1\nstatus = \"draft\"\n");
        text += "data = { kind = \"boolean\" }\nprivacy = { epsilon = \"1.0\" }\n";
    }
    assert_eq!(findings(&text).iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::Limit]);
}

#[test]
fn drafts_need_little() {
    let registry = parse(&draft("kind = \"categorical\"\nvalues = [\"a\", \"b\"]", "epsilon = \"0.25\"")).unwrap();
    let metric = registry.by_name("test.m").unwrap();
    assert_eq!((metric.status, metric.privacy.max_reports), (Status::Draft, 1));
    assert_eq!(registry.lint(NOW_S).0, []);
}

#[test]
fn bad_figures_and_domains_are_refused_even_in_drafts() {
    let boolean = "kind = \"boolean\"";
    for (data, privacy, code) in [
        (boolean, "epsilon = 1", Code::DecimalString),
        (boolean, "epsilon = \"1.0000001\"", Code::DecimalString),
        (boolean, "epsilon = \"-1\"", Code::DecimalString),
        (boolean, "epsilon = \"0\"", Code::Ceiling),
        (boolean, "epsilon = \"4.000001\"", Code::Ceiling),
        (boolean, "epsilon = \"4\"\nmax_reports = 5", Code::Ceiling),
        (boolean, "epsilon = \"1\"\nmax_reports = 0", Code::Ceiling),
        (boolean, "epsilon = \"1\"\nask_probability = 0.5", Code::DecimalString),
        (boolean, "epsilon = \"1\"\nask_probability = \"1.5\"", Code::DecimalString),
        (boolean, "epsilon = \"1\"\nlifetime_epsilon = \"2\"", Code::LifetimeEpsilon),
        ("kind = \"bool\"", "epsilon = \"1\"", Code::Domain),
        ("kind = \"count\"", "epsilon = \"1\"", Code::Domain),
        ("kind = \"count\"\nmax = 256", "epsilon = \"1\"", Code::Domain),
        ("kind = \"ordered\"\nedges = [0, 2, 1]\ngoal = \"mean\"\nabsent = 0", "epsilon = \"1\"", Code::Domain),
        ("kind = \"set\"\nvalues = [\"a\", \"b\"]\nmax_items = 3", "epsilon = \"1\"", Code::Domain),
        ("kind = \"categorical\"\nvalues = []", "epsilon = \"1\"", Code::Values),
        ("kind = \"categorical\"\nvalues = [\"a\", \"b \"]", "epsilon = \"1\"", Code::Values),
        ("kind = \"categorical\"\nvalues_file = \"../x\"\nvalues_sha256 = \"\"", "epsilon = \"1\"", Code::Values),
        ("kind = \"categorical\"\nvalues = [\"a\", \"b\"]\nabsent = 3", "epsilon = \"1\"", Code::AbsentOther),
    ] {
        let found = findings(&draft(data, privacy));
        assert!(found.iter().any(|finding| finding.code == code), "{data} {privacy}: {found:?}");
    }
}

#[test]
fn a_value_list_is_bound_to_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let list = "none\nother\nde\nen\n";
    fs::write(directory.path().join("list.txt"), list).unwrap();
    let write = |digest: &str| {
        let data = format!(
            "kind = \"categorical\"\nvalues_file = \"list.txt\"\nvalues_sha256 = \"{digest}\"\nabsent = \"none\"\nother = \"other\""
        );
        fs::write(directory.path().join("test.toml"), draft(&data, "epsilon = \"1.0\"")).unwrap();
        registry::read(directory.path())
    };
    let error = write("sha256:00").unwrap_err().to_string();
    let digest = error.split("has the digest ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let registry = write(&digest).unwrap();
    assert_eq!(registry.by_name("test.m").unwrap().domain.size(), 4);
    fs::write(directory.path().join("list.txt"), "none\nother\n").unwrap();
    assert!(matches!(registry::read(directory.path()), Err(ReadError::Invalid { .. })));
    fs::remove_file(directory.path().join("list.txt")).unwrap();
    let error = registry::read(directory.path()).unwrap_err().to_string();
    assert!(error.contains("list.txt") && error.contains("test.toml:"), "{error}");
}

#[test]
fn unreadable_registries_name_what_is_missing() {
    let missing = registry::read(Path::new("/nonexistent/metrics")).unwrap_err();
    assert!(matches!(missing, ReadError::Io { .. }) && missing.to_string().contains("/nonexistent/metrics"));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(registry::read(empty.path()), Err(ReadError::FileCount { found: 0, .. })));
    fs::write(empty.path().join("broken.toml"), b"schema = \xff").unwrap();
    assert!(matches!(registry::read(empty.path()), Err(ReadError::Invalid { .. })));
}

#[test]
fn the_digest_depends_on_every_file_and_not_on_layout() {
    let digest = |text: &str| parse(text).unwrap().digest().to_owned();
    assert_eq!(digest(&good()), digest(&good().replace(" = ", "=").replace("schema   ", "# comment\nschema")));
    assert_ne!(digest(&good()), digest(&good().replace("Design time is short.", "Design time is scarce.")));
}
