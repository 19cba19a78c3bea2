//! How many calls one user may make, so that no application can wear out the disk.

use std::collections::HashMap;

/// Calls per uid and hour: an event every 36 ms, far above any honest use and far below what hurts.
pub const CALLS_PER_HOUR: u32 = 100_000;
const HOUR_S: i64 = 3600;
/// Users whose calls are counted at the same time; above it, hours that are over are forgotten.
const REMEMBERED: usize = 1024;

/// Calls by uid in the current hour, which begins with a user's first call.
#[derive(Debug, Default)]
pub struct Quota {
    hours: HashMap<u32, (i64, u32)>,
}

impl Quota {
    /// Counts a call; false when the hour's calls are used up.
    pub fn admits(&mut self, uid: u32, now_s: i64) -> bool {
        let is_over = |start_s: i64| now_s < start_s || now_s.saturating_sub(start_s) >= HOUR_S;
        if self.hours.len() >= REMEMBERED {
            self.hours.retain(|_, (start_s, _)| !is_over(*start_s));
        }
        let (start_s, calls) = self.hours.entry(uid).or_insert((now_s, 0));
        if is_over(*start_s) {
            (*start_s, *calls) = (now_s, 0);
        }
        *calls = calls.saturating_add(1);
        *calls <= CALLS_PER_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_hundred_thousand_calls_an_hour_and_others_do_not_suffer() {
        let mut quota = Quota::default();
        assert!((0..CALLS_PER_HOUR).all(|_| quota.admits(1000, 50)));
        assert!(!quota.admits(1000, 50 + HOUR_S - 1));
        assert!(quota.admits(1001, 50));
        assert!(quota.admits(1000, 50 + HOUR_S));
        assert!(quota.admits(1000, 0), "a clock that goes back begins another hour");
    }

    #[test]
    fn hours_that_are_over_are_forgotten() {
        let mut quota = Quota::default();
        for uid in 0..10_000 {
            assert!(quota.admits(uid, i64::from(uid) * HOUR_S));
        }
        assert!(quota.hours.len() <= REMEMBERED);
    }
}
