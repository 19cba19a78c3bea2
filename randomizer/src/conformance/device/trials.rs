//! Frequencies: what a device answers, what it asks itself, and what it drops, against their laws.

use std::collections::BTreeSet;

use hubbub_privacy::{Metric, MetricId, Payload, Period, Registry, Value};

use super::account::Account;
use super::scenes::start;
use super::tables::{COUNT, FLAG, PANEL, Row, registry};
use super::{Misconduct, Respondent};
use crate::conformance::chernoff::{FALSE_ALARM, contradicts, limit};
use crate::conformance::{Law, sum};
use crate::{Mechanism, Plan};

/// At most as many verdicts do all trials make together.
const VERDICTS: usize = 512;
/// Weeks of a device whose metrics cost 2, the whole of their budget for life.
const ANSWERED_WEEKS: u32 = 8;
/// Weeks of a device whose metrics cost next to nothing.
const CHANCE_WEEKS: u32 = 32;
/// Weeks of a device that spends the whole of each week's budget: 96 of the year's 100.
const CROWDED_WEEKS: u32 = 16;
const UNLISTED: &str = "unlisted: none of yours";

fn weeks(count: u32) -> impl Iterator<Item = Period> {
    std::iter::successors(Some(start()), |week| Some(week.next())).take(count as usize)
}

/// What is said of a metric, if anything.
type Line = fn(&Metric) -> Option<&'static str>;

/// What is said: nothing, the default, something, something unlisted.
const CASES: [Line; 4] = [
    |_| None,
    |metric| Some(line(metric, ["false", "none", "0"])),
    |metric| Some(line(metric, ["true", "network", "2"])),
    |metric| Some(line(metric, ["true", UNLISTED, "99"])),
];

fn line(metric: &Metric, [flag, panel, count]: [&'static str; 3]) -> &'static str {
    match metric.domain.kind() {
        "boolean" => flag,
        "count" => count,
        _ => panel,
    }
}

/// Reports follow the law of the value that the domain makes of what was said, and each week's noise is fresh.
pub fn answers<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>, devices: u32) -> Result<(), Misconduct> {
    let table = registry(&[Row::new(1, FLAG, "2.0", 8), Row::new(2, PANEL, "2.0", 8), Row::new(3, COUNT, "2.0", 8)]);
    let plan = Plan::new(table.clone());
    let mut pairs = (0, 0, 0.0);
    for case in CASES {
        let mut answers: Vec<Vec<Vec<Payload>>> = vec![Vec::new(); 3];
        for _ in 0..devices {
            let mut device = make(&table);
            for week in weeks(ANSWERED_WEEKS) {
                device.go_to(week)?;
                device.tell(case);
            }
            device.go_to(weeks(ANSWERED_WEEKS + 1).last().expect("there are weeks"))?;
            for (metric, answers) in table.metrics().zip(&mut answers) {
                let payload = |week| device.payload(metric.id, week).cloned();
                answers.push(weeks(ANSWERED_WEEKS).filter_map(payload).collect());
            }
        }
        for (metric, answers) in table.metrics().zip(answers) {
            let (_, mechanism) = plan.get(metric.id).expect("every metric of the table has a mechanism");
            let value =
                metric.domain.parse(case(metric).unwrap_or_default()).expect("every case is a line of its kind");
            let law = law(mechanism, &value);
            check_law(metric, &law, answers.iter().flatten(), case(metric) == Some(UNLISTED))?;
            let agreement = sum(law.iter().map(|(_, p)| p * p)).to_f64().value();
            for pair in answers.iter().flat_map(|answers| answers.chunks_exact(2)) {
                pairs.0 += u32::from(pair[0] == pair[1]);
                pairs.1 += 1;
                pairs.2 += agreement;
            }
        }
    }
    let (hits, draws, expected) = pairs;
    if contradicts(hits, draws, expected / f64::from(draws.max(1)), limit(VERDICTS, FALSE_ALARM)) {
        return Err(Misconduct::Remembered { hits, draws, expected });
    }
    Ok(())
}

type Distribution = Vec<(Payload, dashu_ratio::RBig)>;

/// All reports of a value, with their probabilities.
fn law(mechanism: &Mechanism, value: &Value) -> Distribution {
    fn of(law: &impl Law, value: &Value) -> Distribution {
        law.outputs().into_iter().map(|output| (output.clone(), law.probability(value, &output))).collect()
    }
    match mechanism {
        Mechanism::Subset(subset) => of(subset, value),
        Mechanism::Cyclotomic(cyclotomic) => of(cyclotomic, value),
        Mechanism::Window(window) => of(window, value),
        Mechanism::FoldedGeometric(folded) => of(folded, value),
    }
}

fn check_law<'a>(
    metric: &Metric,
    law: &Distribution,
    answers: impl Iterator<Item = &'a Payload> + Clone,
    is_unlisted: bool,
) -> Result<(), Misconduct> {
    let draws = answers.clone().count() as u32;
    for (payload, p) in law {
        let (hits, p) = (answers.clone().filter(|answer| *answer == payload).count() as u32, p.to_f64().value());
        if contradicts(hits, draws, p, limit(VERDICTS, FALSE_ALARM)) {
            let (metric, payload, expected) = (metric.id, format!("{payload:?}"), p * f64::from(draws));
            return Err(if is_unlisted {
                Misconduct::Unlisted { metric, payload, hits, draws, expected }
            } else {
                Misconduct::Noise { metric, payload, hits, draws, expected }
            });
        }
    }
    Ok(())
}

/// What the values of a device are while it draws.
const VALUES: [(&str, Line); 2] = [
    ("all at their default", |_| Some("false")),
    ("some not at their default", |metric| Some(if metric.id.0 % 2 == 0 { "true" } else { "false" })),
];

/// Questions are asked with their probability and independently of each other, whatever the values are.
pub fn chances<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>, devices: u32) -> Result<(), Misconduct> {
    let chance = |(id, ask_probability)| Row { ask_probability, ..Row::new(id, FLAG, "0.01", 1000) };
    let table = registry(&[(1, "0.5"), (2, "0.5"), (3, "0.25"), (4, "1.0"), (5, "0")].map(chance));
    let p = |id: MetricId| table.get(id).map_or(0.0, |metric| metric.privacy.ask_probability.to_f64());
    for (values, line) in VALUES {
        let asked = draws(make, (devices, CHANCE_WEEKS), &table, line)?;
        check_draws(&table, values, &asked, p, |a, b| p(a) * p(b))?;
    }
    Ok(())
}

/// When the week's budget does not suffice, each question is as likely to be dropped as any other.
pub fn crowding<R: Respondent>(make: &mut impl FnMut(&Registry) -> Account<R>, devices: u32) -> Result<(), Misconduct> {
    let rows: Vec<Row> = (1..=12).map(|id| Row::new(id, FLAG, "1.0", 16)).collect();
    let table = registry(&rows);
    for (values, line) in VALUES {
        let asked = draws(make, (devices, CROWDED_WEEKS), &table, line)?;
        // Six of twelve.
        check_draws(&table, values, &asked, |_| 6.0 / 12.0, |_, _| 6.0 / 12.0 * 5.0 / 11.0)?;
    }
    Ok(())
}

/// The questions of every week of several devices.
fn draws<R: Respondent>(
    make: &mut impl FnMut(&Registry) -> Account<R>,
    (devices, count): (u32, u32),
    table: &Registry,
    line: Line,
) -> Result<Vec<BTreeSet<MetricId>>, Misconduct> {
    let mut all = Vec::new();
    for _ in 0..devices {
        let mut device = make(table);
        for week in weeks(count) {
            device.go_to(week)?;
            device.tell(line);
            all.push(device.asked(week));
        }
        device.go_to(weeks(count + 1).last().expect("there are weeks"))?;
    }
    Ok(all)
}

fn check_draws(
    table: &Registry,
    values: &'static str,
    asked: &[BTreeSet<MetricId>],
    alone: impl Fn(MetricId) -> f64,
    together: impl Fn(MetricId, MetricId) -> f64,
) -> Result<(), Misconduct> {
    let draws = asked.len() as u32;
    let verdict = |metrics: Vec<MetricId>, p: f64| {
        let hits = asked.iter().filter(|asked| metrics.iter().all(|metric| asked.contains(metric))).count() as u32;
        if contradicts(hits, draws, p, limit(VERDICTS, FALSE_ALARM)) {
            return Err(Misconduct::Frequency { metrics, values, hits, draws, expected: p * f64::from(draws) });
        }
        Ok(())
    };
    let ids: Vec<MetricId> = table.metrics().map(|metric| metric.id).collect();
    for (n, &first) in ids.iter().enumerate() {
        verdict(vec![first], alone(first))?;
        for &second in &ids[n + 1..] {
            verdict(vec![first, second], together(first, second))?;
        }
    }
    Ok(())
}
