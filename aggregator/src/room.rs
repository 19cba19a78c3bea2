//! Room for reports in memory, shared fairly between metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubbub_privacy::{MetricId, Payload, Report};
use hubbub_randomizer::Plan;

use crate::Rejection;

/// What reports between their check and their commit may take of memory: 31 reports of each of six hundred metrics in
/// each of four open periods fit.
const ROOM_BYTES: usize = 32 << 20;
/// What one report takes beside its payload: its entry, its place and one waiter, with their containers' slack.
const REPORT_BYTES: usize = 320;

/// Hands out seats by the rule of dynamic thresholds (Choudhury and Hahne, 1998): a metric may take no more than what is
/// still free. One that floods an otherwise empty server gets half of the room, and every other metric still finds some.
#[derive(Debug)]
pub struct Room {
    free: AtomicUsize,
    taken: BTreeMap<MetricId, AtomicUsize>,
}

/// A report's place in memory, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    room: Arc<Room>,
    metric: MetricId,
    bytes: usize,
}

impl Room {
    /// Empty room for the metrics of a plan.
    pub fn new(plan: &Plan) -> Self {
        let metrics = plan.registry().metrics().map(|metric| (metric.id, AtomicUsize::new(0)));
        Self { free: AtomicUsize::new(ROOM_BYTES), taken: metrics.collect() }
    }

    /// A seat for a checked report.
    ///
    /// # Errors
    /// [`Rejection::Busy`] when there is no room at all, [`Rejection::MetricBusy`] when this metric has its share.
    pub fn seat(self: &Arc<Self>, report: &Report) -> Result<Seat, Rejection> {
        let bytes = weight(&report.payload);
        let taken = self.taken.get(&report.metric).ok_or(Rejection::UnknownMetric)?;
        let before = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(bytes));
        let free = before.map_err(|_| Rejection::Busy)? - bytes;
        let own = taken.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let seat = Seat { room: self.clone(), metric: report.metric, bytes };
        if own > free { Err(Rejection::MetricBusy) } else { Ok(seat) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken[&self.metric].fetch_sub(self.bytes, Ordering::AcqRel);
        self.room.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

fn weight(payload: &Payload) -> usize {
    let indices = match payload {
        Payload::Number(_) => 0,
        Payload::List(indices) => indices.capacity() * size_of::<u32>(),
    };
    REPORT_BYTES + indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_privacy::{Period, ReportId};

    fn room(metrics: u32) -> Arc<Room> {
        let taken = (0..metrics).map(|id| (MetricId(id), AtomicUsize::new(0))).collect();
        Arc::new(Room { free: AtomicUsize::new(ROOM_BYTES), taken })
    }

    fn report(metric: u32) -> Report {
        let payload = Payload::List(vec![0; 100]);
        Report { metric: MetricId(metric), version: 1, period: Period::containing(0), id: ReportId([0; 16]), payload }
    }

    /// Takes seats until one is refused.
    fn fill(room: &Arc<Room>, metric: u32) -> (Vec<Seat>, Rejection) {
        let mut seats = Vec::new();
        loop {
            match room.seat(&report(metric)) {
                Ok(seat) => seats.push(seat),
                Err(rejection) => return (seats, rejection),
            }
        }
    }

    #[test]
    fn a_flood_of_one_metric_leaves_room_for_all_others() {
        let room = room(60);
        let (flood, rejection) = fill(&room, 0);
        assert_eq!(rejection, Rejection::MetricBusy);
        let half_of = |bytes: usize| bytes / 2 / (REPORT_BYTES + 400);
        let left = |seats: &[&Vec<Seat>]| {
            ROOM_BYTES - seats.iter().map(|seats| seats.len()).sum::<usize>() * (REPORT_BYTES + 400)
        };
        assert_eq!(flood.len(), half_of(ROOM_BYTES));
        let (second, rejection) = fill(&room, 1);
        assert_eq!((second.len(), rejection), (half_of(left(&[&flood])), Rejection::MetricBusy));
        assert!(room.seat(&report(2)).is_ok());
        drop(flood);
        assert_eq!(fill(&room, 2).0.len(), half_of(left(&[&second])));
    }

    #[test]
    fn memory_is_bounded_whatever_is_offered_and_seats_come_back() {
        let room = room(5_000);
        let mut seats: Vec<Seat> = Vec::new();
        let refused = (0..).find_map(|offer| match room.seat(&report(offer % 5_000)) {
            Ok(seat) => {
                seats.push(seat);
                None
            }
            Err(rejection) => Some(rejection),
        });
        assert!(refused.is_some());
        let bytes: usize = seats.iter().map(|seat| seat.bytes).sum();
        assert_eq!(room.free.load(Ordering::Relaxed), ROOM_BYTES - bytes);
        drop(seats);
        assert_eq!(room.free.load(Ordering::Relaxed), ROOM_BYTES);
        assert!(room.taken.values().all(|taken| taken.load(Ordering::Relaxed) == 0));
    }
}
