//! The ledger: every epsilon that a device has ever spent, and the proof that one more answer may be given.
//!
//! The order is enforced by types. [`Ledger::charge`] checks the caps and gives a [`Charge`]; a [`Charge`] becomes a
//! [`Grant`] only through [`Charge::persist`], after its entry has been written where a crash cannot lose it; and only a
//! [`Grant`], which cannot be copied, makes a report. So a crash may lose a report, never the record of its cost, and
//! nothing can refund a charge: there is no method that removes an entry.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{Epsilon, Metric, MetricId, Period, budget};

/// One line of the ledger: what one answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The question.
    pub metric: MetricId,
    /// The version of its definition.
    pub version: u32,
    /// The week it was about.
    pub period: Period,
    /// The loss.
    pub epsilon: Epsilon,
}

/// Which cap refused an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// This question was already answered for this week.
    #[error("already answered for this week")]
    AlreadyAnswered,
    /// The metric asks for more than any single report may cost.
    #[error("one report costs more than the ceiling of {} allows", budget::PER_REPORT)]
    ReportCeiling,
    /// `max_reports` answers have been given.
    #[error("the metric's {0} answers for life are used up")]
    MaxReports(u32),
    /// The metric's budget for life is used up.
    #[error("the metric's budget for life of {0} is used up")]
    Metric(Epsilon),
    /// The week's budget is used up.
    #[error("the device's budget of {} for this week is used up", budget::PER_WEEK)]
    Week,
    /// The year's budget is used up.
    #[error("the device's budget of {} for this year is used up", budget::PER_YEAR)]
    Year,
    /// The installation's budget is used up.
    #[error("the installation's budget of {} for life is used up", budget::PER_INSTALLATION)]
    Installation,
}

/// All that a device has spent, with its running totals.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    answers: BTreeMap<(MetricId, Period), Epsilon>,
    by_metric: BTreeMap<MetricId, (u32, Epsilon)>,
    by_week: BTreeMap<Period, Epsilon>,
    by_year: BTreeMap<i32, Epsilon>,
    total: Epsilon,
}

impl Ledger {
    /// The ledger of an installation that has written `entries`, in any order.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.add(entry);
        }
        ledger
    }

    /// Asks for the budget to answer `metric` in `period`. `lineage` are the ids whose spending counts as this metric's:
    /// its own and those of its predecessors ([`crate::Registry::lineage`]).
    ///
    /// # Errors
    /// The cap that refuses; nothing is spent then.
    pub fn charge(&mut self, metric: &Metric, lineage: &[MetricId], period: Period) -> Result<Charge<'_>, Refusal> {
        self.affords(metric, lineage, period)?;
        let entry = Entry { metric: metric.id, version: metric.version, period, epsilon: metric.privacy.epsilon };
        Ok(Charge { ledger: self, entry })
    }

    /// Whether [`Ledger::charge`] would succeed.
    ///
    /// # Errors
    /// The cap that would refuse.
    pub fn affords(&self, metric: &Metric, lineage: &[MetricId], period: Period) -> Result<(), Refusal> {
        let cost = metric.privacy.epsilon;
        if cost > budget::PER_REPORT {
            return Err(Refusal::ReportCeiling);
        }
        let is_family = |id: &MetricId| *id == metric.id || lineage.contains(id);
        if self.answers.keys().any(|(id, answered)| *answered == period && is_family(id)) {
            return Err(Refusal::AlreadyAnswered);
        }
        let (reports, spent) = self
            .by_metric
            .iter()
            .filter(|(id, _)| is_family(id))
            .fold((0, Epsilon::ZERO), |(n, sum), (_, (reports, spent))| (n + reports, sum + *spent));
        if reports >= metric.privacy.max_reports {
            return Err(Refusal::MaxReports(metric.privacy.max_reports));
        }
        let metric_cap = metric.privacy.lifetime_epsilon().min(budget::PER_METRIC);
        if spent + cost > metric_cap {
            return Err(Refusal::Metric(metric_cap));
        }
        if self.spent_in_week(period) + cost > budget::PER_WEEK {
            return Err(Refusal::Week);
        }
        if self.spent_in_year(period.year()) + cost > budget::PER_YEAR {
            return Err(Refusal::Year);
        }
        if self.total + cost > budget::PER_INSTALLATION {
            return Err(Refusal::Installation);
        }
        Ok(())
    }

    /// Spent on one metric id for life.
    pub fn spent_on(&self, metric: MetricId) -> Epsilon {
        self.by_metric.get(&metric).map_or(Epsilon::ZERO, |(_, spent)| *spent)
    }

    /// Spent in one week.
    pub fn spent_in_week(&self, period: Period) -> Epsilon {
        self.by_week.get(&period).copied().unwrap_or(Epsilon::ZERO)
    }

    /// Spent in one ISO year.
    pub fn spent_in_year(&self, year: i32) -> Epsilon {
        self.by_year.get(&year).copied().unwrap_or(Epsilon::ZERO)
    }

    /// Spent by this installation for life.
    pub const fn spent(&self) -> Epsilon {
        self.total
    }

    fn add(&mut self, entry: Entry) {
        let answer = self.answers.entry((entry.metric, entry.period)).or_default();
        *answer = *answer + entry.epsilon;
        let (reports, spent) = self.by_metric.entry(entry.metric).or_default();
        *reports += 1;
        *spent = *spent + entry.epsilon;
        let week = self.by_week.entry(entry.period).or_default();
        *week = *week + entry.epsilon;
        let year = self.by_year.entry(entry.period.year()).or_default();
        *year = *year + entry.epsilon;
        self.total = self.total + entry.epsilon;
    }
}

/// Budget that is there but not yet spent.
#[derive(Debug)]
#[must_use = "a charge that is not persisted gives no grant"]
pub struct Charge<'a> {
    ledger: &'a mut Ledger,
    entry: Entry,
}

impl Charge<'_> {
    /// Spends it: `write` must put the entry where a crash cannot lose it before it returns.
    ///
    /// # Errors
    /// Whatever `write` reports; then nothing is granted. The budget counts as spent all the same, because the failed
    /// write may have reached the disk.
    pub fn persist<E>(self, write: impl FnOnce(&Entry) -> Result<(), E>) -> Result<Grant, E> {
        self.ledger.add(self.entry);
        write(&self.entry)?;
        Ok(Grant { entry: self.entry })
    }
}

/// The right to make exactly one report, paid for.
///
/// ```compile_fail
/// fn twice(grant: hubbub_privacy::ledger::Grant) {
///     let copy = grant.clone(); // a grant cannot be copied
/// }
/// ```
#[derive(Debug)]
#[must_use = "the budget of a grant is already spent"]
pub struct Grant {
    entry: Entry,
}

impl Grant {
    /// The metric, its version and the period that was paid for.
    pub const fn question(&self) -> (MetricId, u32, Period) {
        (self.entry.metric, self.entry.version, self.entry.period)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::registry::tests::draft;

    fn week(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn spend(ledger: &mut Ledger, metric: &Metric, period: Period) -> Result<(), Refusal> {
        let grant = ledger.charge(metric, &[], period)?.persist(|_| Ok::<_, Infallible>(())).unwrap();
        assert_eq!(grant.question(), (metric.id, metric.version, period));
        Ok(())
    }

    #[test]
    fn a_question_is_answered_once_a_week_and_max_reports_times() {
        let metric = draft(1, "1.0", 2);
        let mut ledger = Ledger::default();
        let first = week("2026-W01");
        assert_eq!(spend(&mut ledger, &metric, first), Ok(()));
        assert_eq!(spend(&mut ledger, &metric, first), Err(Refusal::AlreadyAnswered));
        assert_eq!(spend(&mut ledger, &metric, first.next()), Ok(()));
        assert_eq!(spend(&mut ledger, &metric, first.next().next()), Err(Refusal::MaxReports(2)));
        assert_eq!(ledger.spent_on(metric.id), "2.0".parse().unwrap());
    }

    #[test]
    fn every_cap_binds_exactly_at_its_figure() {
        let start = week("2026-W01");
        let mut ledger = Ledger::default();
        for id in 0..6 {
            assert_eq!(spend(&mut ledger, &draft(id, "1.0", 99), start), Ok(()));
        }
        assert_eq!(spend(&mut ledger, &draft(6, "0.000001", 99), start), Err(Refusal::Week));

        // 4 a week: the year's 100 are gone after 25 weeks, a metric's 16 after 4.
        let mut ledger = Ledger::default();
        let mut period = start;
        for n in 0..25 {
            assert_eq!(spend(&mut ledger, &draft(n / 4, "4.0", 99), period), Ok(()), "week {n}");
            period = period.next();
        }
        assert_eq!(spend(&mut ledger, &draft(99, "0.5", 99), period), Err(Refusal::Year));
        assert_eq!(
            spend(&mut ledger, &draft(0, "0.5", 99), week("2027-W01")),
            Err(Refusal::Metric(budget::PER_METRIC))
        );

        let years = (2000..2004).flat_map(|year| (0..25).map(move |n| (year, n)));
        let entries = years.map(|(year, n)| Entry {
            metric: MetricId(1000 + n),
            version: 1,
            period: week(&format!("{year}-W{:02}", n + 1)),
            epsilon: "4.0".parse().unwrap(),
        });
        let mut ledger = Ledger::from_entries(entries);
        assert_eq!(ledger.spent(), budget::PER_INSTALLATION);
        assert_eq!(spend(&mut ledger, &draft(1, "0.5", 99), start), Err(Refusal::Installation));
    }

    #[test]
    fn one_report_above_the_ceiling_is_refused() {
        assert_eq!(
            spend(&mut Ledger::default(), &draft(1, "4.000001", 1), week("2026-W01")),
            Err(Refusal::ReportCeiling)
        );
    }

    #[test]
    fn predecessors_count_as_the_metric_itself() {
        let mut ledger = Ledger::default();
        let start = week("2026-W01");
        assert_eq!(spend(&mut ledger, &draft(1, "1.0", 1), start), Ok(()));
        let successor = draft(2, "1.0", 1);
        let lineage = [MetricId(2), MetricId(1)];
        assert_eq!(ledger.charge(&successor, &lineage, start).unwrap_err(), Refusal::AlreadyAnswered);
        assert_eq!(ledger.charge(&successor, &lineage, start.next()).unwrap_err(), Refusal::MaxReports(1));
    }

    #[test]
    fn a_failed_write_grants_nothing_and_refunds_nothing() {
        let mut ledger = Ledger::default();
        let metric = draft(1, "1.0", 5);
        let charge = ledger.charge(&metric, &[], week("2026-W01")).unwrap();
        assert_eq!(charge.persist(|_| Err("disk full")).unwrap_err(), "disk full");
        assert_eq!(ledger.spent(), "1.0".parse().unwrap());
    }

    #[test]
    fn a_dropped_charge_costs_nothing() {
        let mut ledger = Ledger::default();
        drop(ledger.charge(&draft(1, "1.0", 5), &[], week("2026-W01")).unwrap());
        assert_eq!(ledger.spent(), Epsilon::ZERO);
    }
}
