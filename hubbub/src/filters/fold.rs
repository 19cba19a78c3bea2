//! `hubbub fold`: the server's counting over lines of text, without groups and remainders.

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};

use hubbub_aggregator::counters_file;
use hubbub_privacy::{Counters, CountersHeader, MetricId, Period, Report, ReportId, Series};
use hubbub_randomizer::Plan;

use super::{FilterError, LineDefect, lines, progress};

/// The node that counters folded here carry.
const OFFLINE_NODE: &str = "offline";

/// What was folded.
pub struct Folded {
    /// The counters files written.
    pub files: Vec<PathBuf>,
    /// Lines whose id had been counted before.
    pub duplicates: u64,
}

/// Reads reports from `input`, one a line, counts each id once, and writes counters below `out`, in place of those of the
/// same metric, version and period.
///
/// # Errors
/// The first line that is no report of this registry, and then nothing is written; input or output.
pub fn fold(plan: &Plan, out: &Path, input: impl BufRead) -> Result<Folded, FilterError> {
    let bar = progress("folding");
    let mut sums: BTreeMap<(MetricId, Period), Counters> = BTreeMap::new();
    let mut seen: HashSet<ReportId> = HashSet::new();
    let mut duplicates = 0;
    lines::for_each(input, |number, line| {
        let is_new = add(plan, line, &mut seen, &mut sums).map_err(|defect| FilterError::Line { number, defect })?;
        duplicates += u64::from(!is_new);
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    let mut files = Vec::new();
    for ((id, period), counters) in &sums {
        let (metric, mechanism) = plan.get(*id)?;
        let series = Series {
            metric: metric.name.clone(),
            version: metric.version,
            period: *period,
            node: OFFLINE_NODE.to_owned(),
        };
        let header = CountersHeader {
            metric_id: *id,
            reports: counters.reports,
            dropped_remainder: 0,
            registry_digest: plan.registry().digest().to_owned(),
            family: mechanism.family().to_owned(),
            parameters: mechanism.parameters_json(),
            epsilon: metric.privacy.epsilon.to_string(),
            commit_group: 1,
        };
        files.push(counters_file::write(out, &series, &header, counters)?);
    }
    Ok(Folded { files, duplicates })
}

/// Counts a report unless its id was counted before; says whether it was new.
fn add(
    plan: &Plan,
    line: &str,
    seen: &mut HashSet<ReportId>,
    sums: &mut BTreeMap<(MetricId, Period), Counters>,
) -> Result<bool, LineDefect> {
    let report = Report::decode(line.as_bytes())?;
    let (metric, mechanism) = plan.get(report.metric).map_err(LineDefect::Metric)?;
    if report.version != metric.version {
        let (metric, registered) = (metric.name.clone(), metric.version);
        return Err(LineDefect::Version { metric, registered, reported: report.version });
    }
    let payload = |source| LineDefect::Payload { metric: metric.name.clone(), source };
    mechanism.check(&report.payload).map_err(payload)?;
    let is_new = seen.insert(report.id);
    if is_new {
        let counters = sums.entry((metric.id, report.period)).or_insert_with(|| Counters::new(mechanism.counters()));
        mechanism.fold(&report.payload, counters).map_err(payload)?;
    }
    Ok(is_new)
}
