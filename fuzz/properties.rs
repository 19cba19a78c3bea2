//! What must hold for any bytes that reach a decoder, written once: the fuzz targets and the short run in the
//! randomizer's tests call the same functions. A property that does not hold panics.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use hubbub_privacy::registry::{Files, Findings};
use hubbub_privacy::{
    Counters, CountersHeader, Decimal, Domain, Epsilon, Metric, Payload, Period, Probability, Registry, Report, Series,
    Value,
};
use hubbub_randomizer::{ExpBound, Mechanism, Plan, PlanError};
use sha2::{Digest, Sha256};

/// What became of an input that broke no property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A decoder took it.
    Accepted,
    /// Every decoder refused it.
    Rejected,
}

/// A property that must hold for any bytes.
pub type Property = fn(&[u8]) -> Verdict;

/// All properties, by the name of their fuzz target and of their folder in `corpus`.
pub const PROPERTIES: [(&str, Property); 4] = [
    ("report", report),
    ("epsilon_and_decimals", epsilon_and_decimals),
    ("registry", registry),
    ("counters_header", counters_header),
];

/// A registry file of 60 metrics has half of this; larger inputs only repeat what smaller ones show.
const MAX_REGISTRY_BYTES: usize = 64 << 10;
/// Building a mechanism takes milliseconds; an input must not name hundreds and so spend the fuzzer's time.
const MAX_PLANNED: usize = 8;
/// An error message repeats at most the beginning of what it refuses.
const MAX_MESSAGE_BYTES: usize = 400;
/// What stands for the value list's digest in a registry input, because no fuzzer guesses a SHA-256.
const DIGEST: &str = "@digest";
/// Parts a registry input into the definition and the value list: TOML allows no form feed anywhere.
const PART: u8 = 0x0c;
/// The name under which a registry input is parsed.
const FILE: &str = "fuzz.toml";
/// Moments for the lints: 2026-11-23, and clocks that are wrong as far as they can be.
const CLOCKS_S: [i64; 3] = [1_795_392_000, i64::MIN, i64::MAX];

/// One metric for each kind and family, with the widest domain that keeps folding cheap.
const METRICS: &str = r#"
schema = "hubbub-registry/1"
namespace = "fuzz"
[metric.boolean]
id = 1
version = 1
status = "draft"
data = { kind = "boolean" }
privacy = { epsilon = "1.0" }
[metric.count]
id = 2
version = 1
status = "draft"
data = { kind = "count", max = 9 }
privacy = { epsilon = "1.0", mechanism = "folded_geometric" }
[metric.category]
id = 3
version = 1
status = "draft"
data = { kind = "categorical", values = ["a", "b", "c", "d", "e", "f", "g", "h"] }
privacy = { epsilon = "1.0" }
[metric.set]
id = 4
version = 1
status = "draft"
data = { kind = "set", values = ["a", "b", "c", "d", "e", "f", "g", "h"], max_items = 2 }
privacy = { epsilon = "0.25" }
[metric.mean]
id = 5
version = 1
status = "draft"
data = { kind = "ordered", edges = [0, 1, 2, 4, 8], goal = "mean", absent = 0 }
privacy = { epsilon = "1.0" }
[metric.quantiles]
id = 6
version = 1
status = "draft"
data = { kind = "ordered", edges = [0, 1, 2, 4, 8], goal = "quantiles", absent = 0 }
privacy = { epsilon = "2.0" }
[metric.long]
id = 7
version = 1
status = "draft"
data = { kind = "categorical", values_file = "long.txt", values_sha256 = "@digest" }
privacy = { epsilon = "1.0" }
"#;
/// More than the subset family takes, so that `long` belongs to the family of long lists.
const LONG_LIST: u32 = 300;

/// The plan that payloads are held against: one metric for each kind and family.
pub fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let list: String = (0..LONG_LIST).map(|n| format!("v{n}\n")).collect();
        let files = files(METRICS.as_bytes(), Some(list.as_bytes()));
        Plan::new(Registry::parse(&files).expect("the metrics are drafts without a defect"))
    })
}

/// Reports: what is accepted encodes to bytes that decode to an equal report, and every mechanism either folds its
/// payload once or refuses it and leaves the counters alone.
pub fn report(bytes: &[u8]) -> Verdict {
    let report = match Report::decode(bytes) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Verdict::Rejected;
        }
    };
    assert_eq!(Report::decode(report.encode().as_bytes()).as_ref(), Ok(&report), "encode and decode disagree");
    let padded = report.encode_padded(hubbub_privacy::REPORT_BODY_BYTES);
    assert_eq!(Report::decode(padded.as_bytes()).as_ref(), Ok(&report), "padding changes the report");
    // Whatever metric the report names: a fuzzer need not guess ids to reach every mechanism.
    for metric in plan().registry().metrics() {
        if let Ok((_, mechanism)) = plan().get(metric.id) {
            fold(mechanism, &report.payload);
        }
    }
    Verdict::Accepted
}

/// A payload and a mechanism: folded once, or refused without a trace.
pub fn fold(mechanism: &Mechanism, payload: &Payload) -> Verdict {
    let before = Counters { reports: 5, counts: vec![3; mechanism.counters()] };
    let mut after = before.clone();
    match mechanism.fold(payload, &mut after) {
        Ok(()) => {
            assert_eq!(mechanism.check(payload), Ok(()), "folded although the check refuses it");
            let mut alone = Counters::new(mechanism.counters());
            assert_eq!(mechanism.fold(payload, &mut alone), Ok(()), "folded once, refused the second time");
            assert_eq!(alone.reports, 1, "one report counts as one");
            assert!(mechanism.accounts_for(&alone), "{} does not account for {payload:?}", mechanism.family());
            alone.add(&before);
            assert_eq!(alone, after, "what a report adds depends on the counters");
            Verdict::Accepted
        }
        Err(error) => {
            assert_eq!(mechanism.check(payload), Err(error.clone()), "fold and check give different reasons");
            assert_eq!(after, before, "a refused payload left a trace");
            assert!(!error.to_string().is_empty());
            Verdict::Rejected
        }
    }
}

/// Decimals, epsilons, probabilities and periods: what is accepted prints as a text that parses to the same value.
pub fn epsilon_and_decimals(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else { return Verdict::Rejected };
    let decimal = text.parse::<Decimal>();
    let epsilon = text.parse::<Epsilon>();
    match (&decimal, &epsilon) {
        (Ok(decimal), Ok(epsilon)) => {
            assert_eq!(decimal.to_string().parse().as_ref(), Ok(decimal));
            assert_eq!(epsilon.to_string().parse().as_ref(), Ok(epsilon));
            assert_eq!(decimal.millionths(), epsilon.millionths(), "an epsilon is its decimal");
            match Probability::new(*decimal) {
                Some(probability) => assert_eq!(u64::from(probability.millionths()), decimal.millionths()),
                None => assert!(decimal.millionths() > u64::from(Probability::ONE.millionths())),
            }
        }
        (Err(error), Err(other)) => {
            assert_eq!(error, other, "an epsilon is refused for the reason of its decimal");
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", message.len());
        }
        _ => panic!("{decimal:?}, but {epsilon:?}"),
    }
    let period = text.parse::<Period>();
    match &period {
        Ok(period) => {
            assert_eq!(period.to_string(), text, "a week has one name only");
            assert_eq!(Period::containing(period.start()), *period);
            assert_eq!(Period::containing(period.end() - 1), *period);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if decimal.is_ok() || period.is_ok() { Verdict::Accepted } else { Verdict::Rejected }
}

/// Registries: findings say what, where and how to mend it; an accepted registry can be linted at any time, read again to
/// the same digest, and planned, and no mechanism of it leaks more than its epsilon.
pub fn registry(bytes: &[u8]) -> Verdict {
    if bytes.len() > MAX_REGISTRY_BYTES {
        return Verdict::Rejected;
    }
    let (definition, list) = match bytes.iter().position(|&byte| byte == PART) {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    };
    let lines = 1 + definition.iter().filter(|&&byte| byte == b'\n').count();
    let files = files(definition, list);
    let registry = match Registry::parse(&files) {
        Ok(registry) => registry,
        Err(findings) => {
            assert!(!findings.0.is_empty(), "refused without a reason");
            check_findings(&findings, lines);
            return Verdict::Rejected;
        }
    };
    for now_s in CLOCKS_S {
        check_findings(&registry.lint(now_s), lines);
    }
    assert_eq!(Registry::parse(&files).as_ref().map(Registry::digest), Ok(registry.digest()));
    registry.metrics().for_each(check_values);
    if registry.metrics().count() <= MAX_PLANNED {
        check_plan(&Plan::new(registry));
    }
    Verdict::Accepted
}

/// The files of a registry whose only value list, if there is one, serves all metrics.
fn files(definition: &[u8], list: Option<&[u8]>) -> Files {
    let digest: String = Sha256::digest(list.unwrap_or_default()).iter().map(|byte| format!("{byte:02x}")).collect();
    let definition = match std::str::from_utf8(definition) {
        Ok(text) => text.replace(DIGEST, &digest).into_bytes(),
        Err(_) => definition.to_owned(),
    };
    let mut files = Files::default();
    files.definitions.insert(FILE.to_owned(), definition);
    for name in files.value_lists() {
        files.values.insert(name, list.map(<[u8]>::to_owned).ok_or_else(|| "no such file".to_owned()));
    }
    files
}

fn check_findings(findings: &Findings, lines: usize) {
    for finding in &findings.0 {
        assert_eq!(finding.file, FILE);
        assert!(finding.line <= lines, "line {} of {lines}: {finding}", finding.line);
        assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding}");
        assert!(finding.to_string().starts_with(&format!("{FILE}:{}: [{}] ", finding.line, finding.code.name())));
    }
    let shown = findings.to_string();
    assert!(findings.0.iter().all(|finding| shown.contains(&finding.to_string())));
}

/// The values at the edges of a domain are shown as texts that are read as the same values.
fn check_values(metric: &Metric) {
    let domain = &metric.domain;
    assert!(domain.size() >= 2, "{}: {} values", metric.name, domain.size());
    let last = domain.size() as u32 - 1;
    let edges = match domain {
        Domain::Set { .. } => vec![Value::Items(vec![0]), Value::Items(vec![0, last])],
        _ => vec![Value::Index(0), Value::Index(last)],
    };
    for value in edges.into_iter().chain(domain.absent()) {
        assert_eq!(domain.parse(&domain.show(&value)), Ok(value), "{}", metric.name);
    }
}

fn check_plan(plan: &Plan) {
    for metric in plan.registry().metrics() {
        match plan.get(metric.id) {
            Ok((_, mechanism)) => {
                let bound = ExpBound::new(metric.privacy.epsilon).to_ratio();
                assert!(mechanism.ratio() <= bound, "{} leaks more than epsilon", metric.name);
                assert!(mechanism.counters() >= 2);
                assert_eq!(mechanism.body_bytes() % hubbub_privacy::REPORT_BODY_BYTES, 0);
            }
            Err(PlanError::UnknownMetric(name)) => panic!("{name} is in the registry"),
            Err(error) => assert!(error.to_string().contains(&metric.name), "{error}"),
        }
    }
}

/// Counters files: accepted metadata writes the pairs it is read from, an accepted path is the path of its series.
pub fn counters_header(bytes: &[u8]) -> Verdict {
    let path = Path::new(OsStr::from_bytes(bytes));
    let series = Series::from_path(path);
    match &series {
        Ok(series) => assert_eq!(series.path().as_os_str(), path.as_os_str(), "a series has one path only"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let header = CountersHeader::from_pairs(text.lines().filter_map(|line| line.split_once('=')));
    match &header {
        Ok(header) => {
            let pairs = header.to_pairs();
            let again = CountersHeader::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            assert_eq!(again.as_ref(), Ok(header));
        }
        Err(error) => assert!(error.to_string().contains("hubbub."), "{error} names no key"),
    }
    if series.is_ok() || header.is_ok() { Verdict::Accepted } else { Verdict::Rejected }
}
