//! A bookkeeping beside the device's own: what it was asked, what it offered, what it spent.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_privacy::ledger::Entry;
use hubbub_privacy::{Epsilon, Metric, MetricId, Payload, Period, Registry, Report, ReportId, budget};

use super::{Died, Misconduct, Respondent};
use crate::Plan;

type Question = (MetricId, Period);

/// A device and everything that it has shown so far.
pub struct Account<R> {
    device: R,
    plan: Plan,
    week: Option<Period>,
    /// By week: the metrics drawn, in the version that was current.
    asked: BTreeMap<Period, BTreeMap<MetricId, u32>>,
    entries: BTreeMap<Question, Entry>,
    /// The bytes of every report and what they say.
    reports: BTreeMap<Question, (String, Payload)>,
    ids: BTreeSet<ReportId>,
    has_died: bool,
}

impl<R: Respondent> Account<R> {
    pub fn new(device: R, registry: &Registry) -> Self {
        let plan = Plan::new(registry.clone());
        let (asked, entries, reports) = Default::default();
        Self { device, plan, week: None, asked, entries, reports, ids: BTreeSet::new(), has_died: false }
    }

    /// The questions drawn for `week`.
    pub fn asked(&self, week: Period) -> BTreeSet<MetricId> {
        self.asked.get(&week).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// What the report of a question says.
    pub fn payload(&self, metric: MetricId, week: Period) -> Option<&Payload> {
        self.reports.get(&(metric, week)).map(|(_, payload)| payload)
    }

    /// Every metric gets the line that `line` names for it.
    pub fn tell(&mut self, line: impl Fn(&Metric) -> Option<&'static str>) {
        for metric in self.plan.registry().metrics() {
            if let Some(line) = line(metric) {
                self.device.tell(metric, line);
            }
        }
    }

    /// As [`Respondent::restart`].
    pub fn restart(&mut self, registry: &Registry) -> Result<(), Misconduct> {
        self.device.restart(registry);
        self.plan = Plan::new(registry.clone());
        self.observe()
    }

    /// Goes to `week`, where the device survives.
    pub fn go_to(&mut self, week: Period) -> Result<(), Misconduct> {
        // Whatever the values have become meanwhile, the questions are those that were drawn.
        self.note_draw()?;
        let survived = self.device.go_to(week, None);
        assert_eq!(survived, Ok(()), "the device died without being told to");
        self.observe()?;
        let closed = self.week.replace(week).filter(|before| *before < week);
        self.note_draw()?;
        closed.map_or(Ok(()), |closed| self.check_presence(closed))
    }

    /// Goes to `week`, and whether the device survived to its step `dies_at`. If not, the week before is not over for the
    /// bookkeeping until [`Account::go_to`] has brought the device there.
    pub fn try_to_go_to(&mut self, week: Period, dies_at: u32) -> Result<bool, Misconduct> {
        self.note_draw()?;
        if self.device.go_to(week, Some(dies_at)) == Err(Died) {
            self.has_died = true;
            self.observe()?;
            return Ok(false);
        }
        self.go_to(week).map(|()| true)
    }

    /// The questions of the current week, which must not change.
    fn note_draw(&mut self) -> Result<(), Misconduct> {
        let Some(period) = self.week else { return Ok(()) };
        let asked: BTreeSet<MetricId> = self.device.asked().into_iter().collect();
        if self.asked.contains_key(&period) {
            return if self.asked(period) == asked { Ok(()) } else { Err(Misconduct::Redrawn { period }) };
        }
        let version = |id: &MetricId| self.plan.registry().get(*id).map(|metric| (*id, metric.version));
        self.asked.insert(period, asked.iter().filter_map(version).collect());
        Ok(())
    }

    /// Every question of a closed week has its report, whatever the value was. After a crash its price may be all there
    /// is; a question whose definition is gone has neither.
    fn check_presence(&self, period: Period) -> Result<(), Misconduct> {
        for (&metric, &version) in self.asked.get(&period).into_iter().flatten() {
            let question = (metric, period);
            let is_current = self.plan.registry().get(metric).is_some_and(|metric| metric.version == version);
            let is_lost = self.has_died && self.entries.contains_key(&question);
            if is_current && !is_lost && !self.reports.contains_key(&question) {
                return Err(Misconduct::Missing { metric, period });
            }
        }
        Ok(())
    }

    /// Looks at everything that the device shows.
    fn observe(&mut self) -> Result<(), Misconduct> {
        let entries = self.device.ledger();
        for &(metric, period) in self.entries.keys() {
            if !entries.iter().any(|entry| (entry.metric, entry.period) == (metric, period)) {
                return Err(Misconduct::Refunded { metric, period });
            }
        }
        let mut sum = Epsilon::ZERO;
        let mut seen = BTreeSet::new();
        for entry in &entries {
            sum = sum + entry.epsilon;
            let question = (entry.metric, entry.period);
            if !seen.insert(question) {
                return Err(Misconduct::Overcharged { metric: entry.metric, period: entry.period });
            }
            match self.entries.insert(question, *entry) {
                None => self.check_entry(entry)?,
                Some(before) if before != *entry => {
                    return Err(Misconduct::Refunded { metric: entry.metric, period: entry.period });
                }
                Some(_) => {}
            }
        }
        self.check_caps()?;
        let shown = self.device.spent();
        if shown != sum {
            return Err(Misconduct::Total { sum, shown });
        }
        for bytes in self.device.offered() {
            self.take(bytes)?;
        }
        let unearned = self.entries.keys().find(|question| !self.has_died && !self.reports.contains_key(question));
        unearned.map_or(Ok(()), |&(metric, period)| Err(Misconduct::Overcharged { metric, period }))
    }

    /// The price of a new entry, and how often its metric was answered.
    fn check_entry(&self, entry: &Entry) -> Result<(), Misconduct> {
        let Entry { metric: id, period, epsilon: charged, .. } = *entry;
        let registry = self.plan.registry();
        let Some(metric) = registry.get(id) else { return Err(Misconduct::Unasked { metric: id, period }) };
        let epsilon = metric.privacy.epsilon;
        if charged != epsilon {
            return Err(Misconduct::Mispriced { metric: id, period, charged, epsilon });
        }
        let lineage = registry.lineage(id);
        let family = || self.entries.values().filter(|entry| lineage.contains(&entry.metric));
        let (reports, allowed) = (family().count(), metric.privacy.max_reports);
        if reports > allowed as usize {
            return Err(Misconduct::TooOften { metric: id, reports, allowed });
        }
        let spent: Epsilon = family().map(|entry| entry.epsilon).sum();
        within("per metric", metric.privacy.lifetime_epsilon().min(budget::PER_METRIC), spent)
    }

    fn check_caps(&self) -> Result<(), Misconduct> {
        let (mut weeks, mut years) = (BTreeMap::<Period, Epsilon>::new(), BTreeMap::<i32, Epsilon>::new());
        let mut total = Epsilon::ZERO;
        for entry in self.entries.values() {
            within("per report", budget::PER_REPORT, entry.epsilon)?;
            let (week, year) = (weeks.entry(entry.period).or_default(), years.entry(entry.period.year()).or_default());
            (*week, *year, total) = (*week + entry.epsilon, *year + entry.epsilon, total + entry.epsilon);
        }
        weeks.into_values().try_for_each(|spent| within("per week", budget::PER_WEEK, spent))?;
        years.into_values().try_for_each(|spent| within("per year", budget::PER_YEAR, spent))?;
        within("per installation", budget::PER_INSTALLATION, total)
    }

    /// One offer: a report of a drawn question, paid for, and the only one.
    fn take(&mut self, bytes: String) -> Result<(), Misconduct> {
        let Ok(report) = Report::decode(bytes.as_bytes()) else { return Err(Misconduct::Malformed { bytes }) };
        let (metric, period) = (report.metric, report.period);
        if let Some((before, _)) = self.reports.get(&(metric, period)) {
            return if *before == bytes { Ok(()) } else { Err(Misconduct::Twice { metric, period }) };
        }
        if !self.asked.get(&period).is_some_and(|asked| asked.contains_key(&metric)) {
            return Err(Misconduct::Unasked { metric, period });
        }
        if !self.entries.contains_key(&(metric, period)) {
            return Err(Misconduct::Unpaid { metric, period });
        }
        let is_possible = self.plan.get(metric).is_ok_and(|(_, mechanism)| mechanism.check(&report.payload).is_ok());
        if !is_possible {
            return Err(Misconduct::Malformed { bytes });
        }
        if !self.ids.insert(report.id) {
            return Err(Misconduct::IdReused { metric, period });
        }
        self.reports.insert((metric, period), (bytes, report.payload));
        Ok(())
    }
}

fn within(cap: &'static str, allowed: Epsilon, spent: Epsilon) -> Result<(), Misconduct> {
    if spent > allowed { Err(Misconduct::AboveCap { cap, allowed, spent }) } else { Ok(()) }
}
