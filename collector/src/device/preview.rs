//! What would be sent: the owner's rehearsal, with fresh noise on the real route.

use std::convert::Infallible;

use hubbub_privacy::ledger::{self, Ledger};
use hubbub_privacy::{Metric, Observation, Period, Private, Report, Value, budget};
use hubbub_randomizer::{Mechanism, release};
use rand::TryCryptoRng;

use super::{Caller, Device, DeviceError, PreviewView, Refusal};
use crate::catalogue::Source;
use crate::odds::odds;
use crate::store::answers::Consent;
use crate::store::sent::{self, Sent};
use crate::store::tally;

impl<R: TryCryptoRng> Device<R> {
    /// The report of a metric that waits in the outbox, or a rehearsal. Before consent only whoever may give it sees
    /// one: the probe is read for it and nothing is kept.
    ///
    /// # Errors
    /// [`Refusal`], among others when no report of the metric can be made any more.
    pub(super) fn preview(&mut self, caller: Caller, name: &str) -> Result<PreviewView, Refusal> {
        let may_enable = self.may_enable(caller);
        let Self { parts, store, standing, ledger, .. } = self;
        let now_s = parts.clock.now_s();
        let unknown = || Refusal::UnknownMetric(name.to_owned());
        let (metric, way) = parts.catalogue.by_name(name).ok_or_else(unknown)?;
        let id = metric.id;
        way.map_err(|reason| Refusal::Unusable { metric: name.to_owned(), reason: reason.clone() })?;
        let (metric, way, mechanism) = parts.catalogue.get(id).ok_or_else(unknown)?;
        let is_on = standing.is_on(way);
        match standing.consent {
            Consent::Unset | Consent::No if !may_enable => return Err(Refusal::Off),
            Consent::Yes if !is_on && !may_enable => {
                return Err(Refusal::CategoryOff { metric: name.to_owned(), category: way.category });
            }
            _ => {}
        }
        if standing.has_ended(metric, now_s) {
            return Err(Refusal::Ended { metric: name.to_owned() });
        }
        let failed = |error: DeviceError| Refusal::Failed(error.to_string());
        let stored = store.as_ref().filter(|_| is_on);
        if let Some(store) = stored {
            let waiting = sent::waiting(store.db(), id).map_err(|error| failed(error.into()))?;
            if let Some(view) = waiting.and_then(|waiting| waiting_view(caller, metric, mechanism, &waiting)) {
                return Ok(view);
            }
        }
        let period = Period::containing(now_s);
        let lineage = parts.catalogue.registry().lineage(id);
        match ledger.affords(metric, &lineage, period) {
            // This week's answer is given; the next one can still be rehearsed.
            Ok(()) | Err(ledger::Refusal::AlreadyAnswered) => {}
            Err(cap) => return Err(Refusal::BudgetExhausted { metric: name.to_owned(), cap }),
        }
        let rows = match (stored, way.source) {
            (Some(store), _) => tally::rows(store.db(), id).map_err(|error| failed(error.into()))?,
            (None, Source::Events) => Vec::new(),
            (None, Source::Probe(probe)) => probe
                .read(&parts.root)
                .map_or_else(Vec::new, |reading| tally::unstored(&metric.domain, way.aggregate, &reading)),
        };
        let rows: Vec<tally::Row> = rows.into_iter().filter(|row| caller.sees(row.origin)).collect();
        let randomness = |error: R::Error| failed(Self::randomness(&error));
        let value = tally::combine(&metric.domain, way.aggregate, &rows, &mut parts.rng).map_err(randomness)?;
        rehearse(metric, mechanism, period, value, rows.is_empty(), &mut parts.rng)
    }
}

/// The report that waits, unless other users' events are in it.
fn waiting_view(caller: Caller, metric: &Metric, mechanism: &Mechanism, waiting: &Sent) -> Option<PreviewView> {
    let bytes = waiting.bytes.as_ref()?;
    let value = waiting.value.as_ref().filter(|_| caller.sees_all(&waiting.uids))?;
    let value = metric.domain.parse(value.expose()).ok()?;
    let report = Report::decode(bytes.as_bytes()).ok()?;
    let is_absent = waiting.uids.is_empty() && metric.domain.absent().is_ok_and(|absent| absent == value);
    let mut view = view(metric, mechanism, &value, is_absent, &report);
    view.bytes.clone_from(bytes);
    view.rehearsal = false;
    Some(view)
}

/// The real route, with a ledger of its own that is thrown away.
fn rehearse<R: TryCryptoRng>(
    metric: &Metric,
    mechanism: &Mechanism,
    period: Period,
    value: Private<Value>,
    is_absent: bool,
    rng: &mut R,
) -> Result<PreviewView, Refusal> {
    let shown = value.expose().clone();
    let mut rehearsal = Ledger::default();
    let charge = rehearsal
        .charge(metric, &[], period)
        .map_err(|cap| Refusal::BudgetExhausted { metric: metric.name.clone(), cap })?;
    let Ok(grant) = charge.persist(|_| Ok::<_, Infallible>(()));
    let observation = Observation::new(metric, period, value);
    let report = release(observation, grant, mechanism, rng).map_err(|error| Refusal::Failed(error.to_string()))?;
    Ok(view(metric, mechanism, &shown, is_absent, &report))
}

fn view(metric: &Metric, mechanism: &Mechanism, value: &Value, is_absent: bool, report: &Report) -> PreviewView {
    let odds = odds(mechanism, &metric.domain, metric.privacy.epsilon, value, &report.payload);
    PreviewView {
        metric: metric.name.clone(),
        title: metric.texts.title.clone(),
        period: report.period.to_string(),
        value: metric.domain.show(value),
        absent: is_absent,
        rehearsal: true,
        report: report.encode(),
        bytes: report.encode_padded(mechanism.body_bytes()),
        epsilon: metric.privacy.epsilon.to_string(),
        odds: odds.map(|odds| odds.to_string()).unwrap_or_default(),
        attacker_success: budget::attacker_success(metric.privacy.epsilon),
    }
}
