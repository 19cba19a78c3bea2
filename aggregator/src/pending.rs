//! Reports that wait in memory until there are enough of their kind to be committed together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hubbub_privacy::{MetricId, Payload, Period, Report, ReportId};
use hubbub_randomizer::Plan;
use tokio::sync::oneshot;

use crate::room::Seat;
use crate::{Answer, Rejection};

/// B, the least number of new reports of a series that are committed together: with one, most noisy reports could be
/// rebuilt from the bytes written; with 32, which report came from whom and when is gone.
pub const COMMIT_GROUP: usize = 32;
/// Requests that may wait for the same report beside the first. A device offers one again after hours; more at once are
/// not honest, and are told at once that it is pending.
const MAX_MORE_WAITERS: usize = 3;

/// The counters that a report adds to: one metric, version and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The metric's permanent id.
    pub metric: MetricId,
    /// The version of its definition.
    pub version: u32,
    /// The week.
    pub period: Period,
}

/// A request that is held until its report's fate is known.
#[derive(Debug)]
pub struct Waiter(oneshot::Sender<Answer>);

impl Waiter {
    /// A waiter and the end on which it is told.
    pub fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Ends the wait.
    pub fn tell(self, answer: Answer) {
        // Nobody listens when the hold is over or the peer has gone: the device will offer the report again.
        self.0.send(answer).ok();
    }

    fn has_gone(&self) -> bool {
        self.0.is_closed()
    }
}

#[derive(Debug)]
struct Waiting {
    id: ReportId,
    payload: Payload,
    /// Nearly always the only one.
    waiter: Option<Waiter>,
    /// Those who offered the same report while it waited.
    more: Vec<Waiter>,
    /// Given back when the report is forgotten.
    _seat: Seat,
}

impl Waiting {
    fn tell_all(&mut self, answer: Answer) {
        self.waiter.take().into_iter().chain(self.more.drain(..)).for_each(|waiter| waiter.tell(answer));
    }
}

/// At least [`COMMIT_GROUP`] reports of one series as their sum and their ids: what may be committed. There is no other
/// way to make one.
#[derive(Debug)]
pub struct FullGroup {
    key: SeriesKey,
    /// Index and what is added there, ascending. Sparse: a metric of a million values has tens of millions of counters.
    sums: Vec<(usize, u64)>,
    ids: Vec<ReportId>,
}

impl FullGroup {
    fn fold(plan: &Plan, key: SeriesKey, reports: &[Waiting]) -> Option<Self> {
        if reports.len() < COMMIT_GROUP {
            return None;
        }
        let (_, mechanism) = plan.get(key.metric).expect("ingest found the metric in the same plan");
        let mut touched: Vec<usize> = Vec::new();
        for report in reports {
            let indices = mechanism.touched(&report.payload);
            touched.extend(indices.expect("ingest checked the payload with the same mechanism"));
        }
        touched.sort_unstable();
        let sums = touched.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u64)).collect();
        Some(Self { key, sums, ids: reports.iter().map(|report| report.id).collect() })
    }

    /// The series.
    pub const fn key(&self) -> SeriesKey {
        self.key
    }

    /// How many reports there are in it.
    pub fn reports(&self) -> u64 {
        self.ids.len() as u64
    }

    /// What the reports add to which counters, by ascending index.
    pub fn sums(&self) -> &[(usize, u64)] {
        &self.sums
    }

    /// The reports' ids.
    pub fn ids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.ids.iter().map(|id| id.0)
    }
}

/// All waiting reports, by series.
#[derive(Debug, Default)]
pub struct Pending {
    groups: BTreeMap<SeriesKey, Vec<Waiting>>,
    /// Where the report of an id waits: an id is unique in its period, over all metrics.
    places: HashMap<(Period, ReportId), (SeriesKey, usize)>,
    full: BTreeSet<SeriesKey>,
}

impl Pending {
    /// Takes a report, or joins the waiters of the one that has the same id.
    pub fn offer(&mut self, report: Report, seat: Seat, waiter: Waiter) {
        if let Some(&(key, position)) = self.places.get(&(report.period, report.id)) {
            let first = self.groups.get_mut(&key).and_then(|group| group.get_mut(position));
            let first = first.expect("places point at waiting reports");
            first.more.retain(|waiter| !waiter.has_gone());
            if first.more.len() < MAX_MORE_WAITERS {
                first.more.push(waiter);
            } else {
                waiter.tell(Answer::Pending);
            }
            return;
        }
        let key = SeriesKey { metric: report.metric, version: report.version, period: report.period };
        self.add(
            key,
            Waiting { id: report.id, payload: report.payload, waiter: Some(waiter), more: Vec::new(), _seat: seat },
        );
    }

    fn add(&mut self, key: SeriesKey, waiting: Waiting) {
        let group = self.groups.entry(key).or_default();
        self.places.insert((key.period, waiting.id), (key, group.len()));
        group.push(waiting);
        if group.len() >= COMMIT_GROUP {
            self.full.insert(key);
        }
    }

    /// The groups that may be committed now.
    pub fn full_groups(&self, plan: &Plan) -> Vec<FullGroup> {
        self.full.iter().filter_map(|key| FullGroup::fold(plan, *key, self.groups.get(key)?)).collect()
    }

    /// Forgets the reports of committed groups and tells their waiters. A task of the runtime does the telling: woken from
    /// within, thousands of requests cost no lock each. Needs a runtime that was entered.
    pub fn settle(&mut self, committed: &[FullGroup]) {
        let counted: Vec<Vec<Waiting>> = committed.iter().map(|group| self.take(group.key)).collect();
        tokio::spawn(async move {
            counted.into_iter().flatten().for_each(|mut waiting| waiting.tell_all(Answer::Counted));
        });
    }

    /// Tells all waiters of groups that could not be committed; the reports stay.
    pub fn refuse_waiters(&mut self, groups: &[FullGroup], rejection: Rejection) {
        for group in groups {
            for waiting in self.groups.get_mut(&group.key).into_iter().flatten() {
                waiting.tell_all(Answer::Rejected(rejection));
            }
        }
    }

    /// Forgets the reports that turn out to be committed: after a commit whose outcome was unknown.
    pub fn forget(&mut self, is_committed: impl Fn(Period, &ReportId) -> bool) {
        for (key, group) in std::mem::take(self).groups {
            for mut waiting in group {
                if is_committed(key.period, &waiting.id) {
                    waiting.tell_all(Answer::Counted);
                } else {
                    self.add(key, waiting);
                }
            }
        }
    }

    /// How many reports of each series wait for a period.
    pub fn remainder(&self, period: Period) -> BTreeMap<SeriesKey, u64> {
        let of_period = self.groups.iter().filter(|(key, _)| key.period == period);
        of_period.map(|(&key, group)| (key, group.len() as u64)).collect()
    }

    /// Gives up what is left of a period.
    pub fn drop_period(&mut self, period: Period) {
        for key in self.remainder(period).into_keys() {
            for mut waiting in self.take(key) {
                waiting.tell_all(Answer::Rejected(Rejection::PeriodClosed));
            }
        }
    }

    fn take(&mut self, key: SeriesKey) -> Vec<Waiting> {
        self.full.remove(&key);
        let group = self.groups.remove(&key).unwrap_or_default();
        for waiting in &group {
            self.places.remove(&(key.period, waiting.id));
        }
        group
    }

    /// The periods that reports wait for.
    pub fn periods(&self) -> BTreeSet<Period> {
        self.groups.keys().map(|key| key.period).collect()
    }

    /// How many reports wait.
    pub fn reports(&self) -> usize {
        self.places.len()
    }
}
