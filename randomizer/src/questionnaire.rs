//! Which questions a device answers in a week: drawn before any value is looked at.

use hubbub_privacy::ledger::Ledger;
use hubbub_privacy::{Metric, MetricId, Period, Registry};
use rand_core::TryCryptoRng;

use crate::uniform;

const MILLION: u64 = 1_000_000;

/// Draws the questions of one device for `period`: each of `eligible` by a coin of its ask probability, then, in random
/// order, as many as the caps of `ledger` afford together. Ascending ids.
///
/// Eligibility must never depend on data.
///
/// # Errors
/// The generator's.
pub fn draw<R: TryCryptoRng + ?Sized>(
    registry: &Registry,
    eligible: &[&Metric],
    ledger: &Ledger,
    period: Period,
    rng: &mut R,
) -> Result<Vec<MetricId>, R::Error> {
    let mut asked: Vec<&Metric> = Vec::new();
    for metric in eligible {
        if uniform::below(MILLION, rng)? < u64::from(metric.privacy.ask_probability.millionths()) {
            asked.push(metric);
        }
    }
    uniform::shuffle(&mut asked, rng)?;
    // A rehearsal on a copy: the real charge is made, and written down, when the week closes.
    let mut rehearsal = ledger.clone();
    asked.retain(|metric| {
        let charge = rehearsal.charge(metric, &registry.lineage(metric.id), period);
        charge.is_ok_and(|charge| charge.persist(|_| Ok::<_, std::convert::Infallible>(())).is_ok())
    });
    let mut ids: Vec<MetricId> = asked.iter().map(|metric| metric.id).collect();
    ids.sort_unstable();
    Ok(ids)
}
