//! What every program that speaks the filter must keep to, line by line.
//!
//! Beside the reports' meaning, everything a line could carry besides it is held still: the form of the object, the week,
//! and the ids. Otherwise a program could write the true value there.

use std::collections::HashSet;

use hubbub_privacy::{Metric, Payload, Period, Report, ReportId};
use hubbub_randomizer::Mechanism;

/// Ids in one generation of those that are remembered. The first generation is kept for good, and the last two; so no report
/// among a million or within the last million may repeat an id, in about a hundred megabytes.
const GENERATION: usize = 1 << 20;
/// What a message shows of a wrong line.
const SHOWN_CHARS: usize = 60;

/// What a line can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As many reports as values.
    OnePerValue,
    /// Every line is a report.
    WellFormed,
    /// Of the metric and version that was asked for.
    Metric,
    /// All of one week.
    OnePeriod,
    /// All written alike.
    OneForm,
    /// Outputs that the mechanism has.
    PossiblePayloads,
    /// An id of its own for every report.
    FreshIds,
    /// The program ends by itself and without an error.
    CleanEnd,
}

impl Rule {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::OnePerValue,
        Self::WellFormed,
        Self::Metric,
        Self::OnePeriod,
        Self::OneForm,
        Self::PossiblePayloads,
        Self::FreshIds,
        Self::CleanEnd,
    ];

    /// The name of the check.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnePerValue => "one report per value",
            Self::WellFormed => "well-formed reports",
            Self::Metric => "metric and version",
            Self::OnePeriod => "one period",
            Self::OneForm => "one form",
            Self::PossiblePayloads => "possible payloads",
            Self::FreshIds => "fresh ids",
            Self::CleanEnd => "clean end",
        }
    }
}

/// How often a rule was broken, and how first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breach {
    /// How often.
    pub count: u64,
    /// The first time, in words.
    pub first: String,
}

/// Everything that was found in the lines.
pub struct Transcript<'a> {
    metric: &'a Metric,
    mechanism: &'a Mechanism,
    lines: u64,
    period: Option<Period>,
    form: Option<Vec<u8>>,
    ids: Ids,
    breaches: [Breach; Rule::ALL.len()],
}

impl<'a> Transcript<'a> {
    /// No line read yet.
    pub fn new(metric: &'a Metric, mechanism: &'a Mechanism) -> Self {
        let breaches = Default::default();
        Self { metric, mechanism, lines: 0, period: None, form: None, ids: Ids::default(), breaches }
    }

    /// How many lines were read.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// How often a rule was broken.
    pub const fn breach(&self, rule: Rule) -> &Breach {
        &self.breaches[rule as usize]
    }

    /// Notes that a rule is broken.
    pub fn broken(&mut self, rule: Rule, how: impl FnOnce() -> String) {
        let breach = &mut self.breaches[rule as usize];
        breach.count += 1;
        if breach.count == 1 {
            // A program's text must not steer a terminal.
            breach.first = how().replace(char::is_control, "\u{fffd}");
        }
    }

    /// Reads a line, without its end; gives what can be counted.
    pub fn read(&mut self, line: &[u8]) -> Option<(Payload, ReportId)> {
        self.lines += 1;
        let number = self.lines;
        let report = match Report::decode(line) {
            Ok(report) => report,
            Err(error) => {
                let shown: String = String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).collect();
                self.broken(Rule::WellFormed, || format!("line {number}, `{shown}`: {error}"));
                return None;
            }
        };
        let id = report.id;
        if self.ids.repeated(id) {
            self.broken(Rule::FreshIds, || format!("line {number} repeats the id of an earlier report"));
        }
        let form = form(line, &id.to_string());
        let differs = self.form.get_or_insert_with(|| form.clone()) != &form;
        if differs {
            self.broken(Rule::OneForm, || format!("line {number} is written in another way than the first"));
        }
        let (metric, version) = (self.metric.id, self.metric.version);
        if (report.metric, report.version) != (metric, version) {
            let (found, other) = (report.metric, report.version);
            let said = || format!("line {number}: metric {found} version {other}, not {metric} version {version}");
            self.broken(Rule::Metric, said);
            return None;
        }
        let period = *self.period.get_or_insert(report.period);
        if report.period != period {
            let found = report.period;
            self.broken(Rule::OnePeriod, || format!("line {number} is about {found}, earlier ones about {period}"));
        }
        match self.mechanism.check(&report.payload) {
            Ok(()) => Some((report.payload, id)),
            Err(error) => {
                self.broken(Rule::PossiblePayloads, || format!("line {number}: {error}"));
                None
            }
        }
    }
}

/// How a line is written: without its id, and with one 0 for every number.
fn form(line: &[u8], id: &str) -> Vec<u8> {
    let at = line.windows(id.len()).position(|window| window == id.as_bytes());
    let (before, after) = at.map_or((line, &[][..]), |at| (&line[..at], &line[at + id.len()..]));
    let mut form = Vec::with_capacity(line.len());
    for &byte in before.iter().chain(after) {
        if !byte.is_ascii_digit() {
            form.push(byte);
        } else if form.last() != Some(&b'0') {
            form.push(b'0');
        }
    }
    form
}

/// Ids seen, as many as memory allows.
#[derive(Default)]
struct Ids {
    first: HashSet<ReportId>,
    older: HashSet<ReportId>,
    newest: HashSet<ReportId>,
}

impl Ids {
    fn repeated(&mut self, id: ReportId) -> bool {
        if self.first.len() < GENERATION {
            return !self.first.insert(id);
        }
        if self.newest.len() == GENERATION {
            self.older = std::mem::take(&mut self.newest);
        }
        self.first.contains(&id) || self.older.contains(&id) || !self.newest.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hubbub_randomizer::Plan;

    use super::*;

    /// A plan with one boolean, from a file of its own.
    fn plan(directory: &Path) -> Plan {
        let document = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n[metric.m]\nid = 7\nversion = 2\nstatus = \
                        \"draft\"\ndata = { kind = \"boolean\" }\nprivacy = { epsilon = \"1.0\" }\n";
        std::fs::write(directory.join("test.toml"), document).unwrap();
        Plan::new(hubbub_privacy::registry::read(directory).unwrap())
    }

    fn line(metric: u32, period: &str, id: u8, report: &str) -> String {
        let id = ReportId([id; 16]);
        format!(r#"{{"v":1,"metric":{metric},"version":2,"period":"{period}","id":"{id}","report":{report}}}"#)
    }

    /// The rules that these lines break.
    fn broken(lines: &[String]) -> Vec<&'static str> {
        let directory = tempfile::tempdir().unwrap();
        let plan = plan(directory.path());
        let (metric, mechanism) = plan.by_name("test.m").unwrap();
        let mut transcript = Transcript::new(metric, mechanism);
        let usable = lines.iter().filter(|line| transcript.read(line.as_bytes()).is_some()).count();
        let unusable: u64 = [Rule::WellFormed, Rule::Metric, Rule::PossiblePayloads]
            .map(|rule| transcript.breach(rule).count)
            .iter()
            .sum();
        assert_eq!(usable as u64 + unusable, transcript.lines());
        Rule::ALL.into_iter().filter(|&rule| transcript.breach(rule).count > 0).map(Rule::name).collect()
    }

    #[test]
    fn every_way_to_break_the_contract_has_a_name() {
        let good = || line(7, "2026-W46", 1, "[1]");
        let spaced = good().replace(',', ", ");
        let escaped = good().replace("metric", r"m\u0065tric");
        for (lines, rules) in [
            (vec![good(), line(7, "2026-W46", 2, "[0]")], vec![]),
            (vec![good(), "true".to_owned()], vec!["well-formed reports"]),
            (vec![good(), String::new()], vec!["well-formed reports"]),
            (vec![line(8, "2026-W46", 1, "[1]")], vec!["metric and version"]),
            (vec![good(), line(7, "2026-W45", 2, "[0]")], vec!["one period"]),
            (vec![spaced.clone()], vec![]),
            (vec![line(7, "2026-W46", 2, "[0]"), spaced], vec!["one form"]),
            (vec![line(7, "2026-W46", 2, "[0]"), escaped], vec!["one form"]),
            (vec![line(7, "2026-W46", 1, "[2]")], vec!["possible payloads"]),
            (vec![line(7, "2026-W46", 1, "1")], vec!["possible payloads"]),
            (vec![good(), good()], vec!["fresh ids"]),
        ] {
            assert_eq!(broken(&lines), rules, "{lines:?}");
        }
    }

    #[test]
    fn a_wrong_line_cannot_steer_the_terminal() {
        let directory = tempfile::tempdir().unwrap();
        let plan = plan(directory.path());
        let (metric, mechanism) = plan.by_name("test.m").unwrap();
        let mut transcript = Transcript::new(metric, mechanism);
        assert_eq!(transcript.read("\u{1b}[2J\tnothing".as_bytes()), None);
        let first = &transcript.breach(Rule::WellFormed).first;
        assert!(first.starts_with("line 1, `\u{fffd}[2J\u{fffd}nothing`: "), "{first}");
    }

    #[test]
    fn ids_are_remembered_from_the_start_and_lately() {
        let id = |n: usize| ReportId((n as u128).to_be_bytes());
        let mut ids = Ids::default();
        for n in 0..3 * GENERATION {
            assert!(!ids.repeated(id(n)));
        }
        for n in [0, GENERATION - 1, 2 * GENERATION, 3 * GENERATION - 1] {
            assert!(ids.repeated(id(n)), "{n}");
        }
        assert!(ids.first.len() + ids.older.len() + ids.newest.len() <= 3 * GENERATION);
    }
}
