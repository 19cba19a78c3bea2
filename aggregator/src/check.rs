//! Whether what a store holds can have come from reports: sums and ids say the same thing twice.

use std::collections::BTreeMap;

use hubbub_privacy::Period;
use hubbub_randomizer::Plan;

use crate::StoreError;
use crate::store::{Ids, Snapshot};

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Series with counters or a remainder.
    pub series: usize,
    /// Reports in their counters.
    pub reports: u64,
    /// Ids of open periods.
    pub ids: usize,
}

/// Compares every series with the number of its reports, and the reports of every open period with its ids. A metric
/// that `plan` does not have any more is held against what all mechanisms have in common.
///
/// # Errors
/// [`StoreError::Corrupted`] naming the first contradiction, or a failure to read.
pub fn inspect(snapshot: &Snapshot, plan: &Plan, ids: &Ids) -> Result<Inspected, StoreError> {
    let mut inspected = Inspected { ids: ids.len(), ..Inspected::default() };
    let mut counted: BTreeMap<Period, u64> = snapshot.purged()?;
    for key in snapshot.series()? {
        let series = snapshot.describe(key)?;
        inspected.series += 1;
        inspected.reports += series.reports;
        *counted.entry(key.period).or_default() += series.reports;
        let size = usize::try_from(series.definition.counters).unwrap_or(usize::MAX);
        let mut broken = None;
        let counts = snapshot.rows(key, size)?.map_while(|row| row.map_err(|error| broken = Some(error)).ok());
        let counts = counts.flat_map(|(_, counts)| counts);
        let known = plan.get(key.metric).ok().filter(|(metric, _)| metric.version == key.version);
        let fits = match known {
            Some((_, mechanism)) => mechanism.totals_fit(series.reports, counts),
            None => whole_multiple(series.reports, counts),
        };
        if let Some(error) = broken {
            return Err(error);
        }
        if !fits {
            let reason = format!("no reports add up to the counters of {} {}", series.definition.name, key.period);
            return Err(snapshot.corrupted(reason));
        }
    }
    let closed = snapshot.closed()?;
    let periods: Vec<Period> = counted.keys().copied().chain(ids.periods()).collect();
    for period in periods.into_iter().filter(|period| !closed.contains_key(period)) {
        let (reports, ids) = (counted.get(&period).copied().unwrap_or(0), ids.len_of(period));
        if reports != ids as u64 {
            return Err(snapshot.corrupted(format!("{period} has {reports} counted reports and {ids} ids")));
        }
    }
    Ok(inspected)
}

/// Every mechanism adds the same number of ones to different counters with each report.
fn whole_multiple(reports: u64, counts: impl IntoIterator<Item = u64>) -> bool {
    let mut counts = counts.into_iter();
    let sum = counts.try_fold(0u128, |sum, count| (count <= reports).then_some(sum + u128::from(count)));
    match (sum, u128::from(reports)) {
        (Some(sum), 0) => sum == 0,
        (Some(sum), reports) => sum >= reports && sum % reports == 0,
        (None, _) => false,
    }
}
