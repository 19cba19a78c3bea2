//! From Monday to Monday: draw, tally, close.
//!
//! Closing writes in this order, each step committed before the next: the ledger's entry with the question marked as
//! charged; the report in the log with the question marked as answered; the file in the outbox; and when every question
//! has ended, the empty tally. A crash after the first step loses one report; after the second, the same bytes are placed
//! when the daemon starts again. No question is answered twice, because only questions still marked as drawn are.

use std::collections::BTreeSet;

use hubbub_privacy::ledger::Grant;
use hubbub_privacy::{Metric, Observation, Period, Private, Report};
use hubbub_randomizer::{Mechanism, questionnaire, release, uniform};
use rand::TryCryptoRng;

use super::{Device, DeviceError};
use crate::catalogue::Source;
use crate::event::Origin;
use crate::outbox::{FileName, Key};
use crate::store::answers::Consent;
use crate::store::week::{Question, State};
use crate::store::{Store, StoreError, ledger, sent, tally, week};

/// A report leaves at a random time within three days of its week's close: long enough to mix with everybody else's,
/// short enough for several attempts within the server's grace.
pub const RELEASE_WINDOW_S: i64 = 3 * 24 * 3600;
/// How often probes are read: what changes within an hour changes nothing in a week.
const READING_INTERVAL_S: i64 = 3600;
/// Probes are read once more in the last two minutes of a week: four ticks, so that one of them comes in time.
const LAST_READING_S: i64 = 120;

impl<R: TryCryptoRng> Device<R> {
    /// Closes the week when it is over, begins the next, and reads the probes when they are due.
    pub(super) fn advance(&mut self) -> Result<(), DeviceError> {
        if self.standing.consent != Consent::Yes {
            return Ok(());
        }
        let now_s = self.parts.clock.now_s();
        let period = Period::containing(now_s);
        match self.standing.week {
            Some(week) if week == period => {}
            Some(week) if week < period => {
                self.close(week, now_s)?;
                self.begin(period, now_s)?;
            }
            // Consent has just been given, or the clock went back: what was tallied for a week that is not here yet is
            // dropped. The draws of both weeks stay, and so does what was answered.
            Some(_) | None => self.begin(period, now_s)?,
        }
        if self.is_reading_due(period, now_s) {
            self.read_probes(now_s)?;
        }
        Ok(())
    }

    fn begin(&mut self, period: Period, now_s: i64) -> Result<(), DeviceError> {
        let Self { parts, store, standing, ledger, last_reading_s, .. } = self;
        let Some(store) = store else { return Ok(()) };
        let asked = if week::is_drawn(store.db(), period)? {
            None
        } else {
            let eligible: Vec<&Metric> = parts
                .catalogue
                .usable()
                .filter(|(metric, way)| standing.is_on(way) && !standing.has_ended(metric, now_s))
                .map(|(metric, _)| metric)
                .collect();
            let registry = parts.catalogue.registry();
            let drawn = questionnaire::draw(registry, &eligible, ledger, period, &mut parts.rng);
            let drawn = drawn.map_err(|error| Self::randomness(&error))?;
            Some(drawn.into_iter().filter_map(|id| registry.get(id)).collect::<Vec<_>>())
        };
        store.commit(|db| {
            tally::forget_week(db)?;
            week::set_current(db, Some(period))?;
            asked.map_or(Ok(()), |asked| week::record_draw(db, period, &asked, now_s))
        })?;
        standing.week = Some(period);
        *last_reading_s = None;
        store.forget_deleted()?;
        tracing::info!("tallying {period}");
        Ok(())
    }

    fn is_reading_due(&self, period: Period, now_s: i64) -> bool {
        let Some(last_s) = self.last_reading_s else { return true };
        let last_chance_s = period.end() - LAST_READING_S;
        now_s < last_s || now_s - last_s >= READING_INTERVAL_S || (now_s >= last_chance_s && last_s < last_chance_s)
    }

    fn read_probes(&mut self, now_s: i64) -> Result<(), DeviceError> {
        let Self { parts, store, standing, last_reading_s, .. } = self;
        let Some(store) = store else { return Ok(()) };
        store.commit(|db| {
            for (metric, way) in parts.catalogue.usable() {
                let Source::Probe(probe) = way.source else { continue };
                if !standing.is_on(way) || standing.has_ended(metric, now_s) {
                    continue;
                }
                let Some(reading) = probe.read(&parts.root) else { continue };
                tally::add_reading(db, metric, way.aggregate, &reading)?;
            }
            Ok(())
        })?;
        *last_reading_s = Some(now_s);
        Ok(())
    }

    fn close(&mut self, period: Period, now_s: i64) -> Result<(), DeviceError> {
        let Some(store) = &self.store else { return Ok(()) };
        for question in week::questions(store.db(), period)? {
            match question.state {
                State::Drawn => self.answer(period, question, now_s)?,
                // The daemon died between paying and reporting.
                State::Charged => self.end(period, question, State::Lost)?,
                _ => {}
            }
        }
        tracing::info!("closed {period}");
        Ok(())
    }

    fn end(&self, period: Period, question: Question, state: State) -> Result<(), DeviceError> {
        let Some(store) = &self.store else { return Ok(()) };
        week::set_state(store.db(), period, question.metric, state)?;
        Ok(())
    }

    /// Makes the one report of a drawn question, or records why there is none. Nothing here depends on the value.
    fn answer(&mut self, period: Period, question: Question, now_s: i64) -> Result<(), DeviceError> {
        let Self { parts, store, standing, ledger: budget, .. } = self;
        let Some(store) = store else { return Ok(()) };
        let found = parts.catalogue.get(question.metric).filter(|(metric, ..)| metric.version == question.version);
        let ending = match found {
            None => Some(State::Ended),
            Some((metric, ..)) if standing.has_ended(metric, now_s) => Some(State::Ended),
            Some((_, way, _)) if !standing.is_on(way) => Some(State::SwitchedOff),
            Some(_) if now_s >= period.acceptance_end() => Some(State::TooLate),
            Some(_) => None,
        };
        let (Some((metric, way, mechanism)), None) = (found, ending) else {
            return self.end(period, question, ending.unwrap_or(State::Ended));
        };
        let rows = tally::rows(store.db(), metric.id)?;
        let value = tally::combine(&metric.domain, way.aggregate, &rows, &mut parts.rng);
        let value = value.map_err(|error| Self::randomness(&error))?;
        let lineage = parts.catalogue.registry().lineage(metric.id);
        let charge = match budget.charge(metric, &lineage, period) {
            Ok(charge) => charge,
            Err(refusal) => {
                tracing::info!("{} is not answered for {period}: {refusal}", metric.name);
                return self.end(period, question, State::Refused);
            }
        };
        let grant = charge.persist(|entry| {
            store.commit(|db| {
                ledger::add(db, entry, now_s)?;
                week::set_state(db, period, metric.id, State::Charged)
            })
        })?;
        let uids = rows.iter().filter_map(|row| if let Origin::User(uid) = row.origin { Some(uid) } else { None });
        let paid = Paid { metric, mechanism, period, value, uids: uids.collect(), grant };
        let report = paid.report(store, now_s, &mut parts.rng);
        match report {
            Err(DeviceError::Randomness(error)) => {
                tracing::error!("{}: no report, the random generator failed: {error}", metric.name);
                self.end(period, question, State::Lost)
            }
            other => other,
        }
    }

    /// Puts into the outbox what is in the log and not there yet.
    pub(super) fn place_waiting(&mut self) -> Result<(), DeviceError> {
        let Some(store) = &self.store else { return Ok(()) };
        let waiting = sent::unplaced(store.db())?;
        if waiting.is_empty() {
            return Ok(());
        }
        // After a crash the file may be there, perhaps already postponed under another due time.
        let there: BTreeSet<Key> = self.parts.outbox.list()?.reports.into_iter().map(|name| name.key).collect();
        for report in waiting {
            if let Some(bytes) = report.bytes.filter(|_| !there.contains(&report.file.key)) {
                self.parts.outbox.place(&report.file, &bytes)?;
            }
            sent::mark_placed(store.db(), &report.file.key)?;
        }
        Ok(())
    }
}

/// A question that is paid for.
struct Paid<'a> {
    metric: &'a Metric,
    mechanism: &'a Mechanism,
    period: Period,
    value: Private<hubbub_privacy::Value>,
    uids: BTreeSet<u32>,
    grant: Grant,
}

impl Paid<'_> {
    fn report<R: TryCryptoRng>(self, store: &mut Store, now_s: i64, rng: &mut R) -> Result<(), DeviceError> {
        let Self { metric, mechanism, period, value, uids, grant } = self;
        let random = |error: R::Error| DeviceError::Randomness(error.to_string());
        let truth = sent::truth(&metric.domain, &value);
        let bits = rng.try_next_u64().map_err(random)?;
        let due_s = due(period, now_s, rng).map_err(random)?;
        let observation = Observation::new(metric, period, value);
        let report: Report =
            release(observation, grant, mechanism, rng).map_err(|error| DeviceError::Randomness(error.to_string()))?;
        let sent = sent::Sent {
            n: 0,
            file: FileName { due_s, key: Key::new(bits) },
            metric: metric.id,
            version: metric.version,
            name: metric.name.clone(),
            period,
            epsilon: metric.privacy.epsilon,
            value: Some(truth),
            uids,
            bytes: Some(report.encode_padded(mechanism.body_bytes())),
            made_s: now_s,
            state: sent::State::Pending,
            code: String::new(),
            attempts: 0,
        };
        let written: Result<(), StoreError> = store.commit(|db| {
            sent::add(db, &sent)?;
            week::set_state(db, period, metric.id, State::Answered)
        });
        written.map_err(DeviceError::from)
    }
}

/// A uniform time from now to the end of the release window, or of the server's grace when that comes first.
fn due<R: TryCryptoRng>(period: Period, now_s: i64, rng: &mut R) -> Result<i64, R::Error> {
    let window_s = RELEASE_WINDOW_S.min(period.acceptance_end().saturating_sub(now_s)).max(1);
    Ok(now_s.saturating_add(uniform::below(window_s.cast_unsigned(), rng)?.cast_signed()))
}
