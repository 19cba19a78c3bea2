//! The lints that need a date or look at all metrics together.

use chrono::Days;

use super::{Code, Finding, Findings, Metric, Registry, Status};
use crate::{Epsilon, budget};

/// An approval is good for a year; a leap year's 366 days.
const APPROVAL_DAYS: u64 = 366;
const REVIEWERS: usize = 2;
const WEEKS_PER_YEAR: u64 = 52;

impl Registry {
    /// Everything that is wrong with the approvals, dates and common budget at a time in Unix seconds. Drafts and
    /// withdrawn metrics have none of these.
    pub fn lint(&self, now_s: i64) -> Findings {
        let mut findings = Vec::new();
        for metric in self.metrics().filter(|metric| !matches!(metric.status, Status::Draft | Status::Withdrawn)) {
            lint_approval(metric, &mut findings);
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

    fn lint_pacing(&self, findings: &mut Vec<Finding>) {
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

fn lint_approval(metric: &Metric, findings: &mut Vec<Finding>) {
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
    let mut reviewers: Vec<&String> = newest.reviewers.iter().filter(|reviewer| !reviewer.trim().is_empty()).collect();
    reviewers.sort_unstable();
    reviewers.dedup();
    if reviewers.len() < REVIEWERS || reviewers.iter().any(|reviewer| metric.origin.owners.contains(reviewer)) {
        findings.push(metric.finding(
            Code::Reviewers,
            "the newest review needs two reviewers, none of them an owner",
            "ask somebody else to review",
        ));
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
    fn finding(&self, code: Code, message: &str, remedy: &str) -> Finding {
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
