//! A device in memory, composed of the shipped ledger, questionnaire, domain and release. Its disk survives crashes.

use std::collections::BTreeMap;
use std::convert::Infallible;

use hubbub_privacy::ledger::{Entry, Ledger};
use hubbub_privacy::{
    Domain, Epsilon, Metric, MetricId, Observation, Payload, Period, Private, Probability, Registry, Report, ReportId,
    Value,
};
use hubbub_randomizer::conformance::SplitMix;
use hubbub_randomizer::conformance::device::{Died, Respondent};
use hubbub_randomizer::{Mechanism, Plan, questionnaire, release, uniform};
use rand_core::TryRng;

const MILLION: u64 = 1_000_000;

/// What a device does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    RefundsOnCrash,
    RefundsWhenTheClockGoesBack,
    RefundsWhenTheRegistryIsReadAgain,
    CountsTwice,
    ChargesNothing,
    ChargesAfterTheReport,
    ChargesAnothersEpsilon,
    ShowsLessThanItSpent,
    AllowsOneReportMore,
    GivesTheWeeksBudgetTwice,
    ForgetsOneReportOfTheYear,
    ForgetsOneReportForLife,
    CountsLifetimesByVersion,
    CountsLifetimesById,
    RetriesWithFreshNoise,
    AnswersAWeekAgain,
    RandomizesWhenItOffers,
    SkipsTheDefault,
    SkipsWhatItWasNotTold,
    SkipsUnlistedValues,
    SendsUnlistedValues,
    TakesUnlistedValuesForAbsent,
    AnswersWhatIsNotDefault,
    DrawsAfterLooking,
    IgnoresAskProbabilities,
    AsksWithOneCoinForAll,
    DropsInOrder,
    SendsTheTruth,
    RemembersAnswers,
}

const fn is_even(id: MetricId) -> bool {
    id.0.is_multiple_of(2)
}

/// What became of a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Drawn,
    Charged,
    Answered,
    Lost,
}

/// What is kept, in the order of the writes.
#[derive(Default)]
struct Disk {
    week: Option<Period>,
    questions: BTreeMap<Period, BTreeMap<MetricId, (u32, State)>>,
    told: BTreeMap<MetricId, String>,
    entries: Vec<Entry>,
    offered: Vec<String>,
    /// For liars who remember.
    answers: BTreeMap<(MetricId, Vec<u32>), Payload>,
}

pub struct Simulated {
    plan: Plan,
    disk: Disk,
    rng: SplitMix,
    dies_at: Option<u32>,
    lie: Option<Lie>,
}

impl Simulated {
    pub fn new(registry: &Registry, seed: u64, lie: Option<Lie>) -> Self {
        let (plan, rng) = (Plan::new(registry.clone()), SplitMix::new(seed));
        Self { plan, disk: Disk::default(), rng, dies_at: None, lie }
    }

    fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }

    /// Something is about to be written, or to be drawn.
    fn step(&mut self) -> Result<(), Died> {
        match &mut self.dies_at {
            Some(0) => Err(Died),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn begin(&mut self, week: Period) -> Result<(), Died> {
        if self.disk.week.is_some_and(|before| before > week) && self.lies(Lie::RefundsWhenTheClockGoesBack) {
            self.disk.entries.retain(|entry| entry.period <= week);
        }
        self.step()?;
        if !self.disk.questions.contains_key(&week) {
            let drawn = self.draw(week);
            let version =
                |id: MetricId| self.plan.registry().get(id).map(|metric| (id, (metric.version, State::Drawn)));
            let drawn = drawn.into_iter().filter_map(version).collect();
            self.disk.questions.insert(week, drawn);
        }
        // A week's draw, its beginning and the end of the old tally are one write.
        self.disk.week = Some(week);
        if !self.lies(Lie::DrawsAfterLooking) {
            self.disk.told.clear();
        }
        Ok(())
    }

    fn draw(&mut self, week: Period) -> Vec<MetricId> {
        let registry = self.plan.registry();
        let ledger = self.caps(week);
        let mut metrics: Vec<Metric> = registry.metrics().map(|metric| self.capped(metric)).collect();
        if self.lies(Lie::IgnoresAskProbabilities) {
            metrics.iter_mut().for_each(|metric| metric.privacy.ask_probability = Probability::ONE);
        }
        if self.lies(Lie::DrawsAfterLooking) {
            let is_default = |metric: &Metric| metric.domain.parse(self.told(metric)) == metric.domain.absent();
            metrics.retain(|metric| self.disk.told.is_empty() || metric.id.0 > 2 || !is_default(metric));
        }
        let eligible: Vec<&Metric> = metrics.iter().collect();
        match self.lie {
            Some(Lie::AsksWithOneCoinForAll | Lie::DropsInOrder | Lie::CountsLifetimesById) => {
                self.draw_in_order(&eligible, ledger, week)
            }
            Some(Lie::GivesTheWeeksBudgetTwice) => {
                let (even, odd): (Vec<&Metric>, Vec<&Metric>) = eligible.iter().partition(|metric| is_even(metric.id));
                let mut both = Vec::new();
                for half in [even, odd] {
                    let Ok(ids) = questionnaire::draw(self.plan.registry(), &half, &ledger, week, &mut self.rng);
                    both.extend(ids);
                }
                both
            }
            _ => {
                let Ok(ids) = questionnaire::draw(self.plan.registry(), &eligible, &ledger, week, &mut self.rng);
                ids
            }
        }
    }

    /// A draw of its own: first come, first served.
    fn draw_in_order(&mut self, eligible: &[&Metric], mut rehearsal: Ledger, week: Period) -> Vec<MetricId> {
        let Ok(coin) = uniform::below(MILLION, &mut self.rng);
        let mut asked = Vec::new();
        for metric in eligible {
            let Ok(own) = uniform::below(MILLION, &mut self.rng);
            let coin = if self.lies(Lie::AsksWithOneCoinForAll) { coin } else { own };
            let is_asked = coin < u64::from(metric.privacy.ask_probability.millionths());
            if let (true, Ok(charge)) = (is_asked, rehearsal.charge(metric, &self.lineage(metric.id), week)) {
                let Ok(_grant) = charge.persist(|_| Ok::<_, Infallible>(()));
                asked.push(metric.id);
            }
        }
        asked
    }

    fn lineage(&self, id: MetricId) -> Vec<MetricId> {
        if self.lies(Lie::CountsLifetimesById) { Vec::new() } else { self.plan.registry().lineage(id) }
    }

    /// The metric with the caps that this device believes in.
    fn capped(&self, metric: &Metric) -> Metric {
        let mut metric = metric.clone();
        metric.privacy.max_reports += u32::from(self.lies(Lie::AllowsOneReportMore));
        metric
    }

    /// What this device believes to have spent when it answers for `week`.
    fn caps(&self, week: Period) -> Ledger {
        let mut entries = self.disk.entries.clone();
        let forgotten = match self.lie {
            Some(Lie::ForgetsOneReportOfTheYear) => entries.iter().position(|entry| entry.period.year() == week.year()),
            Some(Lie::ForgetsOneReportForLife) => entries.iter().position(|entry| entry.period.year() < week.year()),
            _ => None,
        };
        if let Some(at) = forgotten {
            entries.remove(at);
        }
        if self.lies(Lie::CountsLifetimesByVersion) {
            let is_current = |entry: &Entry| {
                let metric = self.plan.registry().get(entry.metric);
                metric.is_some_and(|metric| metric.version == entry.version)
            };
            entries.retain(is_current);
        }
        Ledger::from_entries(entries)
    }

    fn told(&self, metric: &Metric) -> &str {
        self.disk.told.get(&metric.id).map_or("", String::as_str)
    }

    fn close(&mut self, week: Period) -> Result<(), Died> {
        let questions = self.disk.questions.get(&week).cloned().unwrap_or_default();
        for (id, (version, state)) in questions {
            match state {
                State::Drawn => self.answer(week, id, version, true)?,
                State::Charged if self.lies(Lie::RetriesWithFreshNoise) => self.answer(week, id, version, false)?,
                State::Answered if self.lies(Lie::AnswersAWeekAgain) => self.answer(week, id, version, false)?,
                State::Charged => {
                    self.step()?;
                    self.set(week, id, State::Lost);
                }
                State::Answered | State::Lost => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, week: Period, id: MetricId, now: State) {
        if let Some((_, state)) = self.disk.questions.get_mut(&week).and_then(|questions| questions.get_mut(&id)) {
            *state = now;
        }
    }

    fn answer(&mut self, week: Period, id: MetricId, version: u32, is_first: bool) -> Result<(), Died> {
        let Some(metric) = self.plan.registry().get(id).filter(|metric| metric.version == version) else {
            return Ok(());
        };
        let metric = self.capped(metric);
        let line = self.told(&metric).to_owned();
        let is_unlisted =
            matches!(&metric.domain, Domain::Categorical { values, .. } if !line.is_empty() && !values.contains(&line));
        let mut value = metric.domain.parse(&line).unwrap();
        let is_default = Ok(&value) == metric.domain.absent().as_ref();
        let is_skipped = (self.lies(Lie::SkipsTheDefault) && is_default)
            || (self.lies(Lie::SkipsWhatItWasNotTold) && line.is_empty())
            || (self.lies(Lie::SkipsUnlistedValues) && is_unlisted);
        if is_skipped {
            return Ok(());
        }
        if self.lies(Lie::TakesUnlistedValuesForAbsent) && is_unlisted {
            value = metric.domain.absent().unwrap();
        }
        let mut ledger = if is_first { self.caps(week) } else { Ledger::default() };
        if self.lies(Lie::GivesTheWeeksBudgetTwice) {
            let is_counted = |entry: &&Entry| entry.period != week || is_even(entry.metric) == is_even(id);
            ledger = Ledger::from_entries(self.disk.entries.iter().filter(is_counted).copied());
        }
        let Ok(charge) = ledger.charge(&metric, &self.lineage(id), week) else { return Ok(()) };
        let mut entry = None;
        let Ok(grant) = charge.persist(|paid| {
            entry = Some(*paid);
            Ok::<_, Infallible>(())
        });
        let mut entry = entry.unwrap();
        if self.lies(Lie::ChargesAnothersEpsilon) {
            entry.epsilon = self.plan.registry().metrics().map(|metric| metric.privacy.epsilon).min().unwrap();
            entry.epsilon = entry.epsilon.minus(Epsilon::from_millionths(1));
        }
        if is_first && !self.lies(Lie::ChargesAfterTheReport) {
            self.step()?;
            self.disk.entries.extend((!self.lies(Lie::ChargesNothing)).then_some(entry));
            self.disk.entries.extend(self.lies(Lie::CountsTwice).then_some(entry));
            self.set(week, id, State::Charged);
        }
        self.step()?;
        let (_, mechanism) = self.plan.get(id).unwrap();
        let mechanism = mechanism.clone();
        let observation = Observation::new(&metric, week, Private::new(value.clone()));
        let mut report = release(observation, grant, &mechanism, &mut self.rng).unwrap();
        self.falsify(&mut report, &mechanism, &value, is_unlisted);
        self.step()?;
        self.disk.offered.push(report.encode_padded(mechanism.body_bytes()));
        if self.lies(Lie::RetriesWithFreshNoise) {
            // The report is out before it is written down that it is.
            self.step()?;
        }
        self.set(week, id, State::Answered);
        if self.lies(Lie::ChargesAfterTheReport) {
            self.step()?;
            self.disk.entries.push(entry);
        }
        Ok(())
    }

    /// What liars make of an honest report.
    fn falsify(&mut self, report: &mut Report, mechanism: &Mechanism, value: &Value, is_unlisted: bool) {
        let Value::Index(index) = value else { return };
        match self.lie {
            Some(Lie::SendsTheTruth) => {
                // The report that the truth supports most.
                let candidates = (0..64).map(|_| mechanism.randomize(value, &mut self.rng).unwrap());
                let likeliest = candidates.max_by_key(|payload| mechanism.probability(value, payload));
                report.payload = likeliest.unwrap();
            }
            Some(Lie::SendsUnlistedValues) if is_unlisted => {
                report.payload = Payload::List(vec![1000]);
            }
            Some(Lie::RemembersAnswers) => {
                let answer = self.disk.answers.entry((report.metric, vec![*index])).or_insert(report.payload.clone());
                report.payload = answer.clone();
            }
            _ => {}
        }
    }
}

impl Respondent for Simulated {
    fn go_to(&mut self, week: Period, dies_at: Option<u32>) -> Result<(), Died> {
        self.dies_at = dies_at;
        if self.lies(Lie::AnswersWhatIsNotDefault) {
            self.look_and_redraw();
        }
        match self.disk.week {
            Some(current) if current == week => {}
            Some(current) => {
                if current < week {
                    self.close(current)?;
                }
                self.begin(week)?;
            }
            None => self.begin(week)?,
        }
        self.dies_at = None;
        Ok(())
    }

    fn restart(&mut self, registry: &Registry) {
        self.dies_at = None;
        self.plan = Plan::new(registry.clone());
        let Disk { questions, entries, .. } = &mut self.disk;
        match self.lie {
            Some(Lie::RefundsOnCrash) => {
                // Whatever was paid for and not answered is asked again at no cost.
                for (week, questions) in questions {
                    for (id, (_, state)) in questions.iter_mut().filter(|(_, (_, state))| *state == State::Charged) {
                        *state = State::Drawn;
                        entries.retain(|entry| (entry.metric, entry.period) != (*id, *week));
                    }
                }
            }
            Some(Lie::RefundsWhenTheRegistryIsReadAgain) => entries.clear(),
            _ => {}
        }
    }

    fn tell(&mut self, metric: &Metric, line: &str) {
        self.disk.told.insert(metric.id, line.to_owned());
    }

    fn asked(&mut self) -> Vec<MetricId> {
        let questions = self.disk.week.and_then(|week| self.disk.questions.get(&week));
        questions.into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    fn offered(&mut self) -> Vec<String> {
        if self.lies(Lie::RandomizesWhenItOffers) {
            self.offer_anew();
        }
        self.disk.offered.clone()
    }

    fn ledger(&mut self) -> Vec<Entry> {
        self.disk.entries.clone()
    }

    fn spent(&mut self) -> Epsilon {
        let sum: Epsilon = self.disk.entries.iter().map(|entry| entry.epsilon).sum();
        if self.lies(Lie::ShowsLessThanItSpent) { sum.minus(Epsilon::from_millionths(1)) } else { sum }
    }
}

impl Simulated {
    /// Asks what has something to tell in place of what was drawn, just before the week closes.
    fn look_and_redraw(&mut self) {
        let Some(questions) = self.disk.week.and_then(|week| self.disk.questions.get_mut(&week)) else { return };
        for metric in self.plan.registry().metrics() {
            let line = self.disk.told.get(&metric.id).map_or("", String::as_str);
            if metric.domain.parse(line) != metric.domain.absent() {
                questions.entry(metric.id).or_insert((metric.version, State::Drawn));
            }
        }
    }

    /// Every report with new noise and a new id each time somebody looks.
    fn offer_anew(&mut self) {
        for bytes in &mut self.disk.offered {
            let mut report = Report::decode(bytes.as_bytes()).unwrap();
            let (_, mechanism) = self.plan.get(report.metric).unwrap();
            let mut id = [0; 16];
            let Ok(()) = self.rng.try_fill_bytes(&mut id);
            report.id = ReportId(id);
            let Ok(payload) = mechanism.randomize(&Value::Index(0), &mut self.rng);
            report.payload = payload;
            *bytes = report.encode_padded(bytes.len());
        }
    }
}
