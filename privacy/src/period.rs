//! The time a report speaks about: one ISO week, in UTC.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Weekday};
use thiserror::Error;

const WEEK_S: i64 = 7 * 24 * 3600;
/// Reports of a week are accepted until this long after its end: devices that were off for a fortnight still count.
const GRACE_S: i64 = 14 * 24 * 3600;
/// The years a period may lie in; four digits, so that names sort and never change their length.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9998;

/// Why a string is not an ISO week.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an ISO week such as 2026-W47")]
pub struct PeriodError(String);

/// An ISO 8601 week, from Monday 00:00 UTC to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    monday: NaiveDate,
}

impl Period {
    /// The week that contains a time, given in seconds since the Unix epoch; times outside the years 1970 to 9998 count
    /// as the first or the last week.
    pub fn containing(unix_s: i64) -> Self {
        let first = Self::from_week(*YEARS.start(), 1);
        let last = Self::from_week(*YEARS.end(), 53);
        let date = date_of(unix_s).clamp(first.monday, last.monday);
        Self { monday: date.week(Weekday::Mon).first_day() }
    }

    /// Week `week` of ISO year `year`; both must exist.
    fn from_week(year: i32, week: u32) -> Self {
        Self {
            monday: NaiveDate::from_isoywd_opt(year, week, Weekday::Mon)
                .expect("weeks 1 to 52 exist in every year, and the year 9998 has 53"),
        }
    }

    /// Its first second, in Unix time.
    pub fn start(self) -> i64 {
        self.monday.and_time(NaiveTime::MIN).and_utc().timestamp()
    }

    /// The first second after it, in Unix time.
    pub fn end(self) -> i64 {
        self.start() + WEEK_S
    }

    /// The first second, in Unix time, at which no server takes a report about it any more.
    pub fn acceptance_end(self) -> i64 {
        self.end() + GRACE_S
    }

    /// Its Monday.
    pub fn first_day(self) -> NaiveDate {
        self.monday
    }

    /// The week after.
    pub fn next(self) -> Self {
        Self { monday: self.monday + Days::new(7) }
    }

    /// The week before.
    pub fn previous(self) -> Self {
        Self { monday: self.monday - Days::new(7) }
    }

    /// The ISO year it belongs to: the unit of the yearly budget.
    pub fn year(self) -> i32 {
        self.monday.iso_week().year()
    }
}

/// The UTC date of a time in Unix seconds; times no calendar has count as the first or last date.
pub(crate) fn date_of(unix_s: i64) -> NaiveDate {
    let edge = if unix_s < 0 { NaiveDate::MIN } else { NaiveDate::MAX };
    DateTime::from_timestamp(unix_s, 0).map_or(edge, |time| time.date_naive())
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let week = self.monday.iso_week();
        f.pad(&format!("{:04}-W{:02}", week.year(), week.week()))
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refused = || PeriodError(text.to_owned());
        let (year, week) = text.split_once("-W").ok_or_else(refused)?;
        let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(week, 2) {
            return Err(refused());
        }
        let (year, week) = (year.parse().map_err(|_| refused())?, week.parse().map_err(|_| refused())?);
        if !YEARS.contains(&year) {
            return Err(refused());
        }
        NaiveDate::from_isoywd_opt(year, week, Weekday::Mon).map(|monday| Self { monday }).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_follow_the_iso_calendar_across_years() {
        let w53: Period = "2026-W53".parse().unwrap();
        assert_eq!(w53.first_day(), NaiveDate::from_ymd_opt(2026, 12, 28).unwrap());
        assert_eq!(w53.next().to_string(), "2027-W01");
        assert_eq!(w53.next().previous(), w53);
        assert_eq!(w53.year(), 2026);
        assert_eq!(Period::containing(w53.start()), w53);
        assert_eq!(Period::containing(w53.end() - 1), w53);
        assert_eq!(Period::containing(w53.end()), w53.next());
        let last: Period = "9998-W53".parse().unwrap();
        assert_eq!((Period::containing(last.start()), Period::containing(i64::MAX)), (last, last));
        assert_eq!(Period::containing(w53.acceptance_end()), w53.next().next().next());
    }

    #[test]
    fn names_that_are_no_week_are_refused() {
        for text in [
            "2026-W54",
            "2025-W53",
            "2026-W00",
            "2026W47",
            "2026-W7",
            "2026-w47",
            "2026-W047",
            "+026-W47",
            "1969-W01",
            "9999-W01",
            "",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn any_clock_gives_a_week_that_can_be_written_and_read() {
        for time in [i64::MIN, -1, 0, 1_795_000_000, i64::MAX] {
            let week = Period::containing(time);
            assert_eq!(week.to_string().parse(), Ok(week));
        }
    }
}
