//! Figures and domains that break parsers: each is one finding with its code, its line and a remedy.

use hubbub_privacy::Registry;
use hubbub_privacy::registry::{Code, Files, Finding};

use crate::{draft, findings};

const BOOLEAN: &str = "kind = \"boolean\"";
const EPSILON: &str = "epsilon = \"1.0\"";
/// 2^20: the largest domain.
const CEILING: usize = 1 << 20;

/// The one finding of a draft; it names the line that holds `culprit`.
fn only_finding(data: &str, privacy: &str, culprit: &str) -> Finding {
    let text = draft(data, privacy);
    let found = findings(&text);
    assert_eq!(found.len(), 1, "{data} {privacy}: {found:?}");
    let line = 1 + text.lines().position(|line| line.contains(culprit)).unwrap();
    assert_eq!(found[0].line, line, "{}", found[0]);
    assert!(!found[0].message.is_empty() && !found[0].remedy.is_empty(), "{}", found[0]);
    found.into_iter().next().unwrap()
}

#[test]
fn epsilons_that_are_no_epsilon_are_refused() {
    let digits = "1234567890".repeat(6);
    let (whole, decimals, leading) = (format!("\"{digits}\""), format!("\"1.{digits}\""), format!("\"0.{digits}\""));
    let zeros = format!("\"1.{}\"", "0".repeat(60));
    for (epsilon, code) in [
        ("\"0\"", Code::Ceiling),
        ("\"0.0\"", Code::Ceiling),
        ("\"0.000000\"", Code::Ceiling),
        ("\"-1\"", Code::DecimalString),
        ("\"-0\"", Code::DecimalString),
        ("\"1e400\"", Code::DecimalString),
        ("\"1e-400\"", Code::DecimalString),
        ("\"NaN\"", Code::DecimalString),
        ("\"nan\"", Code::DecimalString),
        ("\"inf\"", Code::DecimalString),
        ("\"\"", Code::DecimalString),
        ("\"4.000001\"", Code::Ceiling),
        ("\"18446744073709.551616\"", Code::DecimalString),
        (&whole, Code::DecimalString),
        (&decimals, Code::DecimalString),
        (&leading, Code::DecimalString),
        (&zeros, Code::DecimalString),
        // The same without quotes: TOML floats and integers.
        ("0", Code::DecimalString),
        ("-1.0", Code::DecimalString),
        ("nan", Code::DecimalString),
        ("inf", Code::DecimalString),
        ("0.1234567890123456789012345678901234567890", Code::DecimalString),
    ] {
        let finding = only_finding(BOOLEAN, &format!("epsilon = {epsilon}"), "epsilon =");
        assert_eq!(finding.code, code, "{epsilon}: {finding}");
    }
}

#[test]
fn numbers_that_fit_no_machine_are_no_toml() {
    for number in ["1e400", &"1234567890".repeat(6)] {
        let finding = only_finding(BOOLEAN, &format!("epsilon = {number}"), "epsilon =");
        assert_eq!(finding.code, Code::Syntax, "{finding}");
    }
}

#[test]
fn domains_of_one_value_or_none_and_sets_of_too_many_are_refused() {
    let categorical = |values: &str| format!("kind = \"categorical\"\nvalues = {values}");
    let ordered = |edges: &str| format!("kind = \"ordered\"\nedges = {edges}\ngoal = \"mean\"\nabsent = 0");
    let set = |values: &str, max_items: &str| format!("kind = \"set\"\nvalues = {values}\nmax_items = {max_items}");
    let two = "[\"a\", \"b\"]";
    for (data, code, culprit) in [
        (categorical("[]"), Code::Values, "values"),
        (categorical("[\"a\"]"), Code::Values, "values"),
        (categorical("[\"a\", \"b\", \"a\"]"), Code::Values, "values"),
        (categorical("[\"\", \"b\"]"), Code::Values, "values"),
        (set("[]", "1"), Code::Values, "values"),
        (set("[\"a\"]", "1"), Code::Values, "values"),
        (set("[\"a\", \"a\"]", "1"), Code::Values, "values"),
        (set(two, "3"), Code::Domain, "[metric.m.data]"),
        (set(two, "0"), Code::Domain, "[metric.m.data]"),
        (set(two, "-1"), Code::Domain, "[metric.m.data]"),
        (set(two, "4294967297"), Code::Domain, "[metric.m.data]"),
        (ordered("[]"), Code::Domain, "edges"),
        (ordered("[0]"), Code::Domain, "edges"),
        (ordered("[0, 1]"), Code::Domain, "edges"),
        (ordered("[0, 1, 1]"), Code::Domain, "edges"),
        ("kind = \"count\"\nmax = 0".to_owned(), Code::Domain, "max"),
        ("kind = \"count\"\nmax = -1".to_owned(), Code::Domain, "max"),
        ("kind = \"count\"\nmax = 256".to_owned(), Code::Domain, "max"),
    ] {
        let finding = only_finding(&data, EPSILON, culprit);
        assert_eq!(finding.code, code, "{data}: {finding}");
    }
}

/// A draft whose value list of `lines` declares `digest`, or its own.
fn listed(lines: &str, digest: Option<&str>) -> Result<Registry, Vec<Finding>> {
    let attempt = |digest: &str| {
        let data = format!("kind = \"categorical\"\nvalues_file = \"list.txt\"\nvalues_sha256 = \"{digest}\"");
        let mut files = Files::default();
        files.definitions.insert("app.toml".into(), draft(&data, EPSILON).into_bytes());
        files.values.insert("list.txt".into(), Ok(lines.as_bytes().to_vec()));
        Registry::parse(&files).map_err(|findings| findings.0)
    };
    match digest {
        Some(digest) => attempt(digest),
        None => {
            // The finding about a wrong digest names the right one.
            let found = attempt("sha256:00").unwrap_err();
            let digest = found[0].message.split("has the digest ").nth(1).unwrap().split(',').next().unwrap();
            attempt(digest)
        }
    }
}

#[test]
fn a_domain_ends_at_two_to_the_twentieth() {
    let list = |values: usize| (0..values).map(|value| format!("v{value}\n")).collect::<String>();
    let registry = listed(&list(CEILING), None).unwrap();
    assert_eq!(registry.by_name("test.m").unwrap().domain.size(), CEILING);
    let found = listed(&list(CEILING + 1), None).unwrap_err();
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::Values], "{found:?}");
    assert!(found[0].remedy.contains("2^20"), "{}", found[0]);
}

#[test]
fn a_value_list_of_another_digest_is_refused_whatever_it_holds() {
    let hex = "0".repeat(64);
    for digest in ["", "sha256:", "00", &hex, &format!("sha256:{hex}")] {
        let found = listed("none\nother\n", Some(digest)).unwrap_err();
        assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::Values], "{digest}: {found:?}");
        assert!(
            found[0].message.contains(&format!("not `{digest}`")) && found[0].remedy.contains("values_sha256"),
            "{}",
            found[0]
        );
    }
    // A list that is bad in itself is first of all not the one that was reviewed.
    let bad = listed("none\nnone\n", Some("sha256:00")).unwrap_err();
    assert!(bad[0].message.contains("has the digest"), "{}", bad[0]);
    let repeated = listed("none\nother\nnone\n", None).unwrap_err();
    assert!(repeated[0].code == Code::Values && repeated[0].message.contains("twice"), "{}", repeated[0]);
}

#[test]
fn a_finding_is_one_line_whatever_the_file_holds() {
    let found = findings(&draft("kind = \"a\\nb\\u001b[2J\"", EPSILON));
    let shown: Vec<String> = found.iter().map(Finding::to_string).collect();
    assert!(shown.iter().any(|line| line.contains("a\\nb")), "{shown:?}");
    assert!(shown.iter().all(|line| !line.chars().any(char::is_control)), "{shown:?}");
}
