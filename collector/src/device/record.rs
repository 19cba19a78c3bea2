//! Events from applications, many in one commit.

use hubbub_privacy::registry::Aggregate;
use hubbub_privacy::{Domain, MetricId, Private};
use rand::TryCryptoRng;

use super::{Caller, Device, Refusal};
use crate::catalogue::Source;
use crate::event::{Entry, Offer, Origin};
use crate::store::answers::Consent;
use crate::store::tally;

/// What an application wants recorded.
pub enum Said {
    /// `RecordEvent`.
    Event(Private<Offer>),
    /// `RecordCount`.
    Count(u32),
}

/// One call that records.
pub struct Recording {
    /// Who calls.
    pub caller: Caller,
    /// The metric's name.
    pub metric: String,
    /// What to record.
    pub said: Said,
}

struct Admitted {
    metric: MetricId,
    origin: Origin,
    entry: Private<Entry>,
}

impl<R: TryCryptoRng> Device<R> {
    /// Records calls in one commit; an answer without refusal is on the disk.
    pub(super) fn record(&mut self, calls: &[Recording]) -> Vec<Result<(), Refusal>> {
        if let Err(error) = self.advance() {
            tracing::error!("{error}");
            return calls.iter().map(|_| Err(Refusal::Failed(error.to_string()))).collect();
        }
        let now_s = self.parts.clock.now_s();
        let admitted: Vec<Result<Admitted, Refusal>> = calls.iter().map(|call| self.admit(call, now_s)).collect();
        let written = self.write(admitted.iter().flatten());
        admitted.into_iter().map(|admitted| admitted.and_then(|_| written.clone())).collect()
    }

    fn admit(&mut self, call: &Recording, now_s: i64) -> Result<Admitted, Refusal> {
        if !self.quota.admits(call.caller.uid, now_s) {
            return Err(Refusal::QuotaExceeded);
        }
        let unknown = || Refusal::UnknownMetric(call.metric.clone());
        let (metric, way) = self.parts.catalogue.by_name(&call.metric).ok_or_else(unknown)?;
        let name = || metric.name.clone();
        let way = way.map_err(|reason| Refusal::Unusable { metric: name(), reason: reason.clone() })?;
        if let Source::Probe(probe) = way.source {
            return Err(Refusal::NotAnEvent { metric: name(), source_name: probe.source().to_owned() });
        }
        if self.standing.consent != Consent::Yes {
            return Err(Refusal::Off);
        }
        if !self.standing.is_on(way) {
            return Err(Refusal::CategoryOff { metric: name(), category: way.category });
        }
        if self.standing.has_ended(metric, now_s) {
            return Err(Refusal::Ended { metric: name() });
        }
        let is_count = matches!(metric.domain, Domain::Count { .. });
        let entry = match (&call.said, way.aggregate) {
            (Said::Count(_), _) if !is_count => {
                return Err(Refusal::NotACount { metric: name(), kind: metric.domain.kind() });
            }
            // Counting the events is what `count` does; here the caller has counted already.
            (Said::Count(n), Aggregate::Count) => Ok(Private::new(Entry::Number(i64::from(*n)))),
            (Said::Count(n), aggregate) => {
                tally::admit(&metric.domain, aggregate, &Private::new(Offer::Number(i64::from(*n))))
            }
            (Said::Event(offer), aggregate) => tally::admit(&metric.domain, aggregate, offer),
        };
        let entry = entry.map_err(|reason| Refusal::WrongType { metric: name(), reason })?;
        Ok(Admitted { metric: metric.id, origin: Origin::User(call.caller.uid), entry })
    }

    fn write<'a>(&mut self, admitted: impl Iterator<Item = &'a Admitted>) -> Result<(), Refusal> {
        let mut admitted = admitted.peekable();
        let Some(store) = self.store.as_mut().filter(|_| admitted.peek().is_some()) else { return Ok(()) };
        let catalogue = &self.parts.catalogue;
        let written = store.commit(|db| {
            for Admitted { metric, origin, entry } in admitted {
                let Some((metric, way, _)) = catalogue.get(*metric) else { continue };
                tally::add(db, (metric.id, &metric.domain, way.aggregate), *origin, entry)?;
            }
            Ok(())
        });
        written.map_err(|error| {
            tracing::error!("{error}");
            Refusal::Failed(error.to_string())
        })
    }
}
