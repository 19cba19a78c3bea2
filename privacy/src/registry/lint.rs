//! The lints that need a date or look at all metrics together.

use std::collections::BTreeSet;

use chrono::Days;

use super::{Code, Finding, Findings, Metric, Registry, Status};
use crate::period::date_of;
use crate::{Epsilon, budget};

/// An approval is good for a year; a leap year's 366 days.
const APPROVAL_DAYS: u64 = 366;
const REVIEWERS: usize = 2;
const WEEKS_PER_YEAR: u64 = 52;
/// In how many weeks the ceiling may drop questions: more would bend what each question is asked with.
const MAX_BINDING: f64 = 0.01;

impl Registry {
    /// Everything that is wrong with the approvals, dates and common budget at a time in Unix seconds. Drafts and
    /// withdrawn metrics have none of these.
    pub fn lint(&self, now_s: i64) -> Findings {
        let mut findings = Vec::new();
        for metric in self.metrics().filter(|metric| !matches!(metric.status, Status::Draft | Status::Withdrawn)) {
            lint_approval(metric, now_s, &mut findings);
            self.lint_lineage(metric, &mut findings);
            if metric.status.is_collected() && metric.has_expired(now_s) {
                findings.push(metric.finding(
                    Code::Expired,
                    "its last day is over",
                    "renew the review, or set status = \"expired\"",
                ));
            }
        }
        self.lint_pacing(&mut findings);
        Findings(findings)
    }

    /// What a device or a server demands before it takes any question from this registry: all lints but the passing of
    /// time, which stops single metrics and not the rest.
    ///
    /// # Errors
    /// The findings.
    pub fn require_approved(&self, now_s: i64) -> Result<(), Findings> {
        let findings: Vec<Finding> =
            self.lint(now_s).0.into_iter().filter(|finding| finding.code != Code::Expired).collect();
        if findings.is_empty() { Ok(()) } else { Err(Findings(findings)) }
    }

    /// The loss that a device is expected to spend in a week, over all collected metrics, rounded up.
    pub fn expected_weekly_spending(&self) -> Epsilon {
        let collected = self.metrics().filter(|metric| metric.status.is_collected());
        let per_million: u128 = collected
            .map(|metric| {
                u128::from(metric.privacy.epsilon.millionths())
                    * u128::from(metric.privacy.ask_probability.millionths())
            })
            .sum();
        Epsilon::from_millionths(u64::try_from(per_million.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// Predecessors and their successors share one budget for life.
    fn lint_lineage(&self, metric: &Metric, findings: &mut Vec<Finding>) {
        let lineage = self.lineage(metric.id);
        let together: Epsilon =
            lineage.iter().filter_map(|id| self.get(*id)).map(|metric| metric.privacy.lifetime_epsilon()).sum();
        if together > budget::PER_METRIC && lineage.len() > 1 {
            let message = format!(
                "with its predecessors it may spend {together} for life, above the ceiling of {} per metric",
                budget::PER_METRIC
            );
            findings.push(metric.finding(Code::Ceiling, &message, "lower max_reports; a new id is no new budget"));
        }
    }

    fn lint_pacing(&self, findings: &mut Vec<Finding>) {
        let collected = || self.metrics().filter(|metric| metric.status.is_collected());
        let lifetime: Epsilon = collected().map(|metric| metric.privacy.lifetime_epsilon()).sum();
        let first = collected().next();
        if let (Some(metric), true) = (first, lifetime > budget::PER_INSTALLATION) {
            let message = format!(
                "all metrics together may spend {lifetime} for life, above the ceiling of {} per installation",
                budget::PER_INSTALLATION
            );
            findings.push(metric.finding(Code::Ceiling, &message, "lower max_reports, or withdraw metrics"));
        }
        let binding = weekly_cap_binds(collected());
        if let (Some(metric), true) = (first, binding > MAX_BINDING) {
            let message = format!(
                "the week's ceiling of {} is expected to drop questions in {:.1} % of the weeks",
                budget::PER_WEEK,
                binding * 100.0
            );
            findings.push(metric.finding(Code::Pacing, &message, "lower ask_probability until it is below 1 %"));
        }
        let expected = self.expected_weekly_spending();
        let sustainable = Epsilon::from_millionths(budget::PER_YEAR.millionths() / WEEKS_PER_YEAR);
        if expected > sustainable {
            let costliest = self.metrics().filter(|metric| metric.status.is_collected()).max_by_key(|metric| {
                u128::from(metric.privacy.epsilon.millionths())
                    * u128::from(metric.privacy.ask_probability.millionths())
            });
            if let Some(metric) = costliest {
                let message = format!(
                    "all metrics together are expected to spend {expected} a week, above {sustainable}, the year's ceiling over 52 weeks"
                );
                findings.push(metric.finding(
                    Code::Pacing,
                    &message,
                    "lower ask_probability, beginning with this metric",
                ));
            }
        }
    }
}

/// The chance that the questions drawn for a week cost more than the week's ceiling. Costs are rounded up to a grid, so
/// the figure errs on the strict side.
fn weekly_cap_binds<'a>(metrics: impl Iterator<Item = &'a Metric>) -> f64 {
    const GRID: u64 = 1_000;
    let slots = (budget::PER_WEEK.millionths() / GRID) as usize;
    let mut within = vec![0.0; slots + 1];
    within[0] = 1.0;
    for metric in metrics {
        let cost = metric.privacy.epsilon.millionths().div_ceil(GRID) as usize;
        let asked = metric.privacy.ask_probability.to_f64();
        for spent in (0..=slots).rev() {
            let before = if spent >= cost { within[spent - cost] } else { 0.0 };
            within[spent] = within[spent] * (1.0 - asked) + before * asked;
        }
    }
    (1.0 - within.iter().sum::<f64>()).max(0.0)
}

/// Reviewers and owners as they are compared: nobody becomes another person by a space or a capital.
fn same_person(name: &str) -> String {
    name.trim().to_lowercase()
}

fn lint_approval(metric: &Metric, now_s: i64, findings: &mut Vec<Finding>) {
    let Some(newest) = metric.reviews.iter().max_by_key(|review| review.date) else {
        findings.push(metric.finding(
            Code::Reviewers,
            "no review approves it",
            "have it reviewed, or set status = \"draft\"",
        ));
        return;
    };
    if !newest.approved {
        findings.push(metric.finding(
            Code::Reviewers,
            "the newest review did not approve it",
            "mend what the review asks for",
        ));
    }
    if newest.date > date_of(now_s) {
        let message = format!("the newest review is dated {}, in the future", newest.date);
        findings.push(metric.finding(Code::Reviewers, &message, "date it when it was made"));
    }
    let owners: BTreeSet<String> = metric.origin.owners.iter().map(|owner| same_person(owner)).collect();
    let mut reviewers: BTreeSet<String> = newest.reviewers.iter().map(|reviewer| same_person(reviewer)).collect();
    reviewers.remove("");
    if owners.is_empty() || reviewers.len() < REVIEWERS || !reviewers.is_disjoint(&owners) {
        let message = "the newest review needs two reviewers, none of them an owner, and the file must name its owners";
        findings.push(metric.finding(Code::Reviewers, message, "name the owners; ask somebody else to review"));
    }
    if newest.covers != metric.covers {
        let message = format!("the newest review covers another text ({})", newest.covers);
        findings.push(metric.finding(
            Code::Covers,
            &message,
            &format!("review this text, then write covers = \"{}\"", metric.covers),
        ));
    }
    if let Some(lifecycle) = &metric.lifecycle {
        let latest = newest.date.checked_add_days(Days::new(APPROVAL_DAYS)).unwrap_or(newest.date);
        if lifecycle.expires > latest {
            let message = format!(
                "expires {}, more than {APPROVAL_DAYS} days after the newest review of {}",
                lifecycle.expires, newest.date
            );
            findings.push(metric.finding(
                Code::Expiry,
                &message,
                &format!("expire at the latest on {latest}, or review again"),
            ));
        }
        if lifecycle.expires < lifecycle.introduced {
            findings.push(metric.finding(Code::Expiry, "it expires before it is introduced", "mend the dates"));
        }
    }
}

impl Metric {
    /// A finding about this metric, at its place in the files.
    pub fn finding(&self, code: Code, message: &str, remedy: &str) -> Finding {
        Finding {
            code,
            file: self.origin.file.clone(),
            line: self.origin.line,
            metric: self.name.clone(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}
