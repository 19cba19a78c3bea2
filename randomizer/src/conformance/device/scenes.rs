//! Scenes with an exact outcome: clocks that jump, registries that are read again, crashes at every step, caps.

use hubbub_privacy::{Metric, Period, Registry};

use super::account::Account;
use super::tables::{COUNT, FLAG, PANEL, Row, registry};
use super::{Misconduct, Respondent};

/// Steps at which a device is killed at most, one after the other: a close of three questions has far fewer.
const MOST_STEPS: u32 = 250;
/// Weeks that are lived through at the most costly metrics in each of five years: two more than a year's budget pays for.
const WEEKS_A_YEAR: u32 = 27;

/// The Monday from which scenes begin: the first week of an ISO year, so that weeks are easily counted.
pub fn start() -> Period {
    "2027-W01".parse().expect("2027 has a first week")
}

/// One of each kind; small enough a price for 320 answers.
fn everyday() -> Registry {
    registry(&[Row::new(1, FLAG, "0.05", 320), Row::new(2, PANEL, "0.05", 320), Row::new(3, COUNT, "0.05", 320)])
}

/// A value that is not the default one.
fn busy(metric: &Metric) -> Option<&'static str> {
    match metric.domain.kind() {
        "boolean" => Some("true"),
        "count" => Some("2"),
        _ => Some("network"),
    }
}

/// A clock that goes back and forth, a week that is closed again, and a registry that is read again give nothing back
/// and nothing twice.
pub fn clocks<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>) -> Result<(), Misconduct> {
    let registry = everyday();
    let mut device = make(&registry);
    let (first, second) = (start(), start().next());
    let (third, fourth) = (second.next(), second.next().next());
    for week in [first, second, first, second, second, third, first, second, fourth, third, first, fourth] {
        device.go_to(week)?;
        device.tell(busy);
        device.restart(&registry)?;
        device.go_to(week)?;
    }
    Ok(())
}

/// The device dies at each step of a close, once; then it goes on, half of the times after its clock went back.
pub fn crashes<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>) -> Result<(), Misconduct> {
    let registry = everyday();
    let mut device = make(&registry);
    let mut week = start();
    device.go_to(week)?;
    for step in 0..MOST_STEPS {
        device.tell(busy);
        let next = week.next();
        if device.try_to_go_to(next, step)? {
            return if step == 0 { Err(Misconduct::Immortal) } else { Ok(()) };
        }
        device.restart(&registry)?;
        if step % 2 == 0 {
            device.go_to(week)?;
            device.tell(busy);
        }
        device.go_to(next)?;
        week = next;
    }
    Ok(())
}

/// Neither a new version nor a successor is a new budget for life.
pub fn lifetimes<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>) -> Result<(), Misconduct> {
    let (brief, steady) = (Row::new(1, FLAG, "0.5", 3), Row::new(2, PANEL, "0.25", 16));
    let renewed = Row { version: 2, ..brief };
    let successor = Row { id: 3, predecessor: Some(1), ..brief };
    let mut device = make(&registry(&[brief, steady]));
    let mut week = start();
    for rows in [&[brief, steady][..], &[renewed, steady], &[renewed, steady, successor]] {
        device.restart(&registry(rows))?;
        for _ in 0..3 {
            device.go_to(week)?;
            device.tell(busy);
            week = week.next();
        }
    }
    device.go_to(week)
}

/// More metrics of the highest price than the device can pay for, over five years.
pub fn years<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>) -> Result<(), Misconduct> {
    let rows: Vec<Row> = (1..=104).map(|id| Row::new(id, FLAG, "4.0", 4)).collect();
    let mut device = make(&registry(&rows));
    for year in 2027..2032 {
        let mut week: Period = format!("{year}-W01").parse().expect("every year has a first week");
        for _ in 0..WEEKS_A_YEAR {
            device.go_to(week)?;
            week = week.next();
        }
    }
    Ok(())
}
