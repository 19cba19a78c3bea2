//! An honest population whose every report has a counter of its own, and what each was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use hubbub_privacy::{MetricId, Payload, Period, REPORT_BODY_BYTES, Report, ReportId};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::client::{Reply, post};
use crate::counters::read_counters;
use crate::figures::{Breach, Finding};
use crate::place::{MetricText, Place, registry_text, week};
use crate::volley::{Offer, volley};

/// The marker metrics' keys; a metric of counts up to 255 has 256 outputs.
const KEYS: [&str; 16] = [
    "marker_a", "marker_b", "marker_c", "marker_d", "marker_e", "marker_f", "marker_g", "marker_h", "marker_i",
    "marker_j", "marker_k", "marker_l", "marker_m", "marker_n", "marker_o", "marker_p",
];
/// The weeks that are open at the usual time, and one that is not.
const PERIODS: [&str; 3] = ["2026-W45", "2026-W46", "2026-W47"];
/// Outputs with one report each; the last output is for reports that make a group full.
const MARKERS: u32 = 255;
/// The last output.
const FILLER: u32 = 255;
/// Reports that are committed together at least.
pub const GROUP: usize = 32;
/// Rounds of offering again, before a report counts as one that the server does not take.
const MAX_ATTEMPTS: usize = 200;
/// Between two rounds in which nothing was taken: a disk may be full, a store may be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// One report and what is known of it.
#[derive(Debug, Clone)]
struct Marker {
    series: usize,
    output: u32,
    report: Report,
    sent: bool,
    pending: bool,
    acknowledged: bool,
}

/// Every report that the population of one place may send.
#[derive(Debug, Clone)]
pub struct Crowd {
    series: Vec<(&'static str, Period)>,
    markers: Vec<Marker>,
    /// Periods whose reports may be refused as closed.
    closing: Vec<Period>,
}

/// A report that is being offered.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Its number in the crowd.
    pub number: usize,
    /// Whether it had been answered 200 before.
    known: bool,
    /// The request.
    pub request: Vec<u8>,
}

/// The counters of every series that has a file.
pub type Counted = BTreeMap<usize, (hubbub_privacy::CountersHeader, Vec<i64>)>;

impl Crowd {
    /// A population of so many metrics in each open week.
    pub fn new(metrics: usize, rng: &mut ChaCha12Rng) -> Self {
        let mut crowd = Self { series: Vec::new(), markers: Vec::new(), closing: Vec::new() };
        for (metric, key) in KEYS.into_iter().enumerate().take(metrics) {
            for period in PERIODS {
                crowd.series.push((key, week(period)));
                for output in 0..MARKERS {
                    crowd.add(metric as u32 + 1, crowd.series.len() - 1, output, rng);
                }
            }
        }
        crowd
    }

    fn add(&mut self, metric: u32, series: usize, output: u32, rng: &mut ChaCha12Rng) -> usize {
        let id = ReportId(rng.random());
        let period = self.series[series].1;
        let report = Report { metric: MetricId(metric), version: 1, period, id, payload: Payload::Number(output) };
        let marker = Marker { series, output, report, sent: false, pending: false, acknowledged: false };
        self.markers.push(marker);
        self.markers.len() - 1
    }

    /// A place for `program` whose registry asks this population's questions.
    pub fn place(&self, program: &std::path::Path) -> Place {
        self.furnish(Place::new(program))
    }

    /// Gives a place the registry that asks this population's questions.
    pub fn furnish(&self, place: Place) -> Place {
        let metrics: Vec<MetricText> = KEYS
            .into_iter()
            .zip(1..)
            .take_while(|(key, _)| self.series.iter().any(|(used, _)| used == key))
            .map(|(key, id)| MetricText {
                key,
                id,
                version: 1,
                status: "active",
                data: "kind = \"count\"\nmax = 255",
                epsilon: "1.0",
                mechanism: "folded_geometric",
                expires: "2027-10-01",
            })
            .collect();
        place.write_registry(&registry_text(&metrics));
        place
    }

    /// The number of series.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// The week of a series.
    pub fn period(&self, series: usize) -> Period {
        self.series[series].1
    }

    /// Lets reports of a period be refused as closed from now on.
    pub fn closes(&mut self, period: Period) {
        self.closing.push(period);
    }

    /// The same population at a moment when these reports had been acknowledged, and no others.
    pub fn as_of(&self, acknowledged: &BTreeSet<usize>) -> Self {
        let mut then = self.clone();
        for (number, marker) in then.markers.iter_mut().enumerate() {
            marker.acknowledged = acknowledged.contains(&number);
        }
        then
    }

    /// The reports of a series.
    pub fn of_series(&self, series: usize) -> Vec<usize> {
        let all = self.markers.iter().enumerate();
        all.filter(|(_, marker)| marker.series == series).map(|(number, _)| number).collect()
    }

    /// How many reports have not been sent yet.
    pub fn fresh(&self) -> usize {
        self.markers.iter().filter(|marker| !marker.sent).count()
    }

    /// The first series of which a whole group has not been sent yet.
    pub fn first_fresh(&self) -> Option<usize> {
        let fresh = |&series: &usize| {
            let of_series = self.markers.iter().filter(|marker| marker.series == series && !marker.sent);
            of_series.count() >= GROUP
        };
        (0..self.series.len()).find(fresh)
    }

    /// How many reports were answered 200.
    pub fn acknowledged(&self) -> usize {
        self.markers.iter().filter(|marker| marker.acknowledged).count()
    }

    /// Whether a report was answered 200.
    pub fn is_acknowledged(&self, number: usize) -> bool {
        self.markers[number].acknowledged
    }

    /// So many reports of a series that are not acknowledged, in random order; a few that are, when `again`.
    pub fn pick(&self, series: &[usize], wanted: usize, again: bool, rng: &mut ChaCha12Rng) -> Vec<usize> {
        let of_series = |marker: &Marker| series.contains(&marker.series);
        let numbers = |acknowledged: bool| {
            let all = self.markers.iter().enumerate();
            let some = all.filter(move |(_, marker)| of_series(marker) && marker.acknowledged == acknowledged);
            some.map(|(number, _)| number).collect::<Vec<_>>()
        };
        let mut picked = numbers(false);
        picked.shuffle(rng);
        picked.truncate(wanted);
        if again {
            let mut known = numbers(true);
            known.shuffle(rng);
            known.truncate(wanted / 8);
            picked.extend(known);
            picked.shuffle(rng);
        }
        picked
    }

    /// The acknowledged reports of a series.
    pub fn known(&self, series: usize) -> Vec<usize> {
        self.of_series(series).into_iter().filter(|&number| self.markers[number].acknowledged).collect()
    }

    /// The reports of a series that were sent and are not acknowledged.
    pub fn unanswered(&self, series: usize) -> Vec<usize> {
        let all = self.markers.iter().enumerate();
        let open = all.filter(|(_, marker)| marker.series == series && marker.sent && !marker.acknowledged);
        // A filler has no counter of its own, and nothing rests on it.
        open.filter(|(_, marker)| marker.output != FILLER).map(|(number, _)| number).collect()
    }

    /// Reports that make a group full, whatever waits in it.
    fn fillers(&mut self, series: usize, rng: &mut ChaCha12Rng) -> Vec<usize> {
        let metric = self.markers.iter().find(|marker| marker.series == series).unwrap().report.metric.0;
        (1..GROUP).map(|_| self.add(metric, series, FILLER, rng)).collect()
    }

    /// The requests of these reports, which count as sent from now on.
    pub fn offer(&mut self, numbers: &[usize]) -> Vec<Offered> {
        let offer = |&number: &usize| {
            let marker = &mut self.markers[number];
            marker.sent = true;
            let request = post(marker.report.encode_padded(REPORT_BODY_BYTES).as_bytes());
            Offered { number, known: marker.acknowledged, request }
        };
        numbers.iter().map(offer).collect()
    }

    /// Takes what a report was told.
    pub fn hear(&mut self, offered: &Offered, reply: Option<&Reply>) -> Option<Finding> {
        let reply = reply?;
        let marker = &mut self.markers[offered.number];
        match reply.status {
            200 => marker.acknowledged = true,
            202 => {
                marker.pending = true;
                if offered.known {
                    return Some(Finding::new(Breach::Forgotten, self.name(offered.number)));
                }
            }
            429 | 503 => {}
            _ => {
                let (status, _, code) = reply.verdict();
                if !(code == "period_closed" && self.closing.contains(&marker.report.period)) {
                    let name = self.name(offered.number);
                    return Some(Finding::new(Breach::Refused, format!("{name} was answered {status} {code}")));
                }
            }
        }
        None
    }

    fn name(&self, number: usize) -> String {
        let marker = &self.markers[number];
        let (key, period) = self.series[marker.series];
        format!("{key} {period} output {}", marker.output)
    }

    /// Offers everything that was sent for an open period again, the same bytes, until all is acknowledged.
    pub fn settle(&mut self, address: SocketAddr, rng: &mut ChaCha12Rng) -> Vec<Finding> {
        let mut findings = Vec::new();
        for series in 0..self.series.len() {
            if self.closing.contains(&self.series[series].1) {
                continue;
            }
            for attempt in 0.. {
                let open = self.unanswered(series);
                if open.is_empty() || !findings.is_empty() {
                    break;
                }
                if attempt == MAX_ATTEMPTS {
                    let what = format!("{} of {} are not taken", open.len(), self.name(open[0]));
                    return vec![Finding::new(Breach::Stuck, what)];
                }
                let offers = self.offer(&open);
                let fillers = self.fillers(series, rng);
                let fillers = self.offer(&fillers);
                let fill = fillers.iter().map(|filler| filler.request.as_slice()).collect::<Vec<_>>();
                let replies = volley(address, &offers, Offer::Fill(&fill));
                if !replies.iter().flatten().any(|reply| reply.status == 200) {
                    std::thread::sleep(PAUSE);
                }
                findings.extend(offers.iter().zip(&replies).filter_map(|(one, reply)| self.hear(one, reply.as_ref())));
            }
        }
        findings
    }

    /// Offers some reports at once and takes the answers.
    pub fn offer_all(&mut self, address: SocketAddr, numbers: &[usize]) -> Vec<Finding> {
        let offers = self.offer(numbers);
        let replies = volley(address, &offers, Offer::Wait);
        offers.iter().zip(&replies).filter_map(|(one, reply)| self.hear(one, reply.as_ref())).collect()
    }

    /// Where a series of a place is exported to.
    pub fn file(&self, place: &Place, series: usize) -> std::path::PathBuf {
        let (key, period) = self.series[series];
        place.counters(key, &period.to_string())
    }

    /// What the exported files of a place say.
    pub fn read(&self, place: &Place) -> Counted {
        let files = (0..self.series.len()).map(|series| (series, self.file(place, series)));
        files.filter(|(_, path)| path.exists()).map(|(series, path)| (series, read_counters(&path))).collect()
    }

    /// Holds counters against what was sent and acknowledged: acknowledged ⊆ counted ⊆ sent, each once.
    pub fn compare(&self, counted: &Counted) -> Vec<Finding> {
        let mut bounds: BTreeMap<(usize, u32), (i64, i64)> = BTreeMap::new();
        for marker in &self.markers {
            let (least, most) = bounds.entry((marker.series, marker.output)).or_default();
            *least += i64::from(marker.acknowledged);
            *most += i64::from(marker.sent);
        }
        let mut findings = Vec::new();
        for ((series, output), (least, most)) in bounds {
            let count = counted.get(&series).map_or(0, |(_, counts)| counts[output as usize]);
            let breach = match count {
                count if count < least => Breach::Lost,
                count if count > most && most == 0 => Breach::Invented,
                count if count > most => Breach::Doubled,
                _ => continue,
            };
            let (key, period) = self.series[series];
            let detail = format!("{key} {period} output {output} has {count}, acknowledged {least}, sent {most}");
            findings.push(Finding::new(breach, detail));
        }
        for (series, (header, counts)) in counted {
            if header.reports != counts.iter().sum::<i64>() as u64 || header.dropped_remainder >= GROUP as u64 {
                let (key, period) = self.series[*series];
                let detail = format!(
                    "{key} {period} says {} reports and {} dropped; its counters add up to {}",
                    header.reports,
                    header.dropped_remainder,
                    counts.iter().sum::<i64>()
                );
                findings.push(Finding::new(Breach::Unaccounted, detail));
            }
        }
        findings
    }

    /// How many reports of a series the server has taken: answered 200 or 202 at least once.
    pub fn taken(&self, series: usize) -> u64 {
        let taken = |marker: &&Marker| marker.series == series && (marker.pending || marker.acknowledged);
        self.markers.iter().filter(taken).count() as u64
    }

    /// How many reports of a series were sent.
    pub fn sent(&self, series: usize) -> u64 {
        self.markers.iter().filter(|marker| marker.series == series && marker.sent).count() as u64
    }
}

/// Removes what was exported, so that what is read next is new.
pub fn forget_exports(place: &Place) {
    let directory = place.path("counters");
    for entry in fs::read_dir(&directory).into_iter().flatten() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}
