//! Somebody who sees every byte that leaves the process, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hubbub_privacy::{MetricId, Period, Report};

use super::honey;
use super::load::{BUSY, BUSY_ANCHORS, ENDING, QUIET, QUIET_ANCHORS, Recorded, WATCHED};
use super::patterns::Patterns;
use super::states::{COUNTERS, States};
use crate::counters::read_counters;
use crate::crowd::GROUP;
use crate::figures::{Breach, Finding};
use crate::place::week;
use crate::replay::Replay;
use crate::trace::{Event, Operation, Target};

/// No counter but the anchors' is larger in any load that is driven here.
const MOST: u64 = 250;
/// Totals of the quiet series are above all others'.
const QUIET_TOTAL: u64 = QUIET_ANCHORS.first + QUIET_ANCHORS.last;
/// Raw addresses have four bytes: one may stand somewhere by chance, two do not.
const ADDRESSES_BY_CHANCE: usize = 1;
/// Examples of one kind that are told.
const MAX_FINDINGS: usize = 10;

/// What a pattern stands for.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// The 16 bytes of a report's id.
    Id(usize),
    /// The id as text.
    IdText,
    /// The body of a request.
    Body,
    /// One of the honey texts.
    Honey(&'static str),
    /// An address, raw.
    Address(usize),
}

/// Where bytes went, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    /// The store, its next version or a backup: ids may stand there.
    Store,
    /// An exported file.
    Counters,
    /// A log, a socket, a pipe.
    Elsewhere,
}

/// The observer's notes.
pub struct Observer {
    replay: Replay,
    patterns: Patterns<Meaning>,
    reports: Vec<Report>,
    /// States of the series whose reports come one at a time, and of the one whose reports come in crowds.
    pub quiet: States,
    /// The latter.
    pub busy: States,
    /// Totals of the quiet series in the store's records.
    pub records: BTreeSet<u64>,
    /// Totals of all counted reports since a start, from answers to `/metrics`; per process, one after the other.
    pub published: BTreeSet<u64>,
    /// Ids that were written since the last sync for the first time, in the order of the file.
    fresh: Vec<usize>,
    seen: Vec<bool>,
    addresses: BTreeSet<usize>,
    /// How many bytes were written in all.
    pub bytes: u64,
    /// Commits that carried ids.
    pub commits: u64,
    lives: u64,
    /// What must not be.
    pub findings: Vec<Finding>,
}

impl Observer {
    /// An observer who knows what was sent, to recognise it.
    pub fn of(recorded: &Recorded) -> Self {
        let honeys = honey::TEXTS.iter().map(|&text| (text.as_bytes().to_vec(), Meaning::Honey(text)));
        let bodies = honey::BODY_PARTS.iter().map(|&part| (part.as_bytes().to_vec(), Meaning::Body));
        let addresses = honey::ADDRESSES.iter().enumerate();
        let addresses = addresses.flat_map(|(number, address)| {
            let (mut reversed, text) = (address.octets(), address.to_string());
            reversed.reverse();
            let raw = [address.octets(), reversed].map(|raw| (raw.to_vec(), Meaning::Address(number)));
            raw.into_iter().chain([(text.into_bytes(), Meaning::Honey("a peer's address"))])
        });
        let ids = recorded.reports.iter().enumerate().flat_map(|(number, report)| {
            let hexadecimal: String = report.id.0.iter().map(|byte| format!("{byte:02x}")).collect();
            let texts = [report.id.to_string(), hexadecimal.to_uppercase(), hexadecimal];
            let texts = texts.map(|text| (text.into_bytes(), Meaning::IdText));
            texts.into_iter().chain([(report.id.0.to_vec(), Meaning::Id(number))])
        });
        Self {
            replay: Replay::of(recorded.place.path("")),
            patterns: Patterns::new(honeys.chain(bodies).chain(addresses).chain(ids)),
            reports: recorded.reports.clone(),
            quiet: States::of(QUIET, QUIET_ANCHORS, MOST),
            busy: States::of(BUSY, BUSY_ANCHORS, MOST),
            records: BTreeSet::new(),
            published: BTreeSet::new(),
            fresh: Vec::new(),
            seen: vec![false; recorded.reports.len()],
            addresses: BTreeSet::new(),
            bytes: 0,
            commits: 0,
            lives: 0,
            findings: Vec::new(),
        }
    }

    /// Watches one process from its start to its end.
    pub fn watch(&mut self, life: &[Event]) {
        for event in life {
            self.replay.follow(event);
            match &event.operation {
                Operation::Write { descriptor, target, offset, bytes } => {
                    self.bytes += bytes.len() as u64;
                    let sink = self.sink(target);
                    self.look_for_kept(bytes, sink, target);
                    if sink == Sink::Store {
                        self.look_for_states(*descriptor, offset.unwrap_or(0), bytes.len());
                        self.look_for_records(bytes);
                    }
                    self.look_for_totals(bytes);
                }
                Operation::SyncDone { .. } => self.end_of_commit(),
                Operation::Rename { to, .. } => self.look_at_export(to),
                _ => {}
            }
        }
        self.end_of_commit();
        self.replay.forget_process();
        self.lives += 1;
    }

    fn sink(&self, target: &Target) -> Sink {
        let Target::File(path) = target else { return Sink::Elsewhere };
        let path = path.to_string_lossy();
        if path.contains(".parquet") {
            Sink::Counters
        } else if path.contains(".redb") {
            Sink::Store
        } else {
            Sink::Elsewhere
        }
    }

    fn find(&mut self, breach: Breach, detail: String) {
        if self.findings.iter().filter(|finding| finding.breach == breach).count() < MAX_FINDINGS {
            self.findings.push(Finding::new(breach, detail));
        }
    }

    fn look_for_kept(&mut self, bytes: &[u8], sink: Sink, target: &Target) {
        for (at, meaning) in self.patterns.find(bytes) {
            match meaning {
                Meaning::Id(number) if sink == Sink::Store => {
                    if !std::mem::replace(&mut self.seen[number], true) {
                        self.fresh.push(number);
                    }
                }
                Meaning::Id(_) => self.find(Breach::Kept, format!("the bytes of an id were written to {target:?}")),
                Meaning::IdText => self.find(Breach::Kept, format!("the text of an id was written to {target:?}")),
                Meaning::Body => {
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]);
                    self.find(Breach::Kept, format!("a part of a body was written to {target:?}: {around:?}"));
                }
                Meaning::Honey(text) => self.find(Breach::Kept, format!("{text} was written to {target:?}")),
                Meaning::Address(number) => {
                    self.addresses.insert(number);
                    if self.addresses.len() > ADDRESSES_BY_CHANCE {
                        self.find(Breach::Kept, format!("bytes of peers' addresses were written, last to {target:?}"));
                    }
                }
            }
        }
    }

    /// Counters may begin before what was written now and end after it.
    fn look_for_states(&mut self, descriptor: i64, offset: usize, length: usize) {
        let Some(file) = self.replay.bytes_of(descriptor) else { return };
        let margin = COUNTERS * 8;
        let around = &file[offset.saturating_sub(margin).min(file.len())..file.len().min(offset + length + margin)];
        self.quiet.look(around);
        self.busy.look(around);
    }

    fn look_for_records(&mut self, bytes: &[u8]) {
        const KEY: &[u8] = b"\"reports\":";
        for at in bytes.windows(KEY.len()).enumerate().filter(|(_, window)| *window == KEY).map(|(at, _)| at) {
            let digits = bytes[at + KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let total = digits.fold(0u64, |total, digit| total.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
            if total >= QUIET_TOTAL {
                self.records.insert(total);
            }
        }
    }

    fn look_for_totals(&mut self, bytes: &[u8]) {
        const NAME: &str = "\nhubbub_reports_counted_total ";
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Some((_, rest)) = text.split_once(NAME) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            // Processes count from zero: far apart, so that only totals of the same one are compared.
            self.published.insert(self.lives << 32 | digits.parse::<u64>().unwrap_or(0));
        }
    }

    fn look_at_export(&mut self, path: &Path) {
        let Some(bytes) = self.replay.bytes(path).filter(|_| path.extension().is_some_and(|end| end == "parquet"))
        else {
            return;
        };
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(copy.path(), bytes).unwrap();
        let (header, counts) = read_counters(copy.path());
        if header.metric_id != WATCHED {
            return;
        }
        let counts: Vec<u64> = counts.into_iter().map(i64::cast_unsigned).collect();
        let is_of = |period: &str| path.to_string_lossy().contains(period);
        if is_of(QUIET) {
            self.quiet.take(counts);
        } else if is_of(BUSY) {
            self.busy.take(counts);
        }
    }

    /// The ids that came since the last sync: sorted over all metrics, and at least a group of each series.
    fn end_of_commit(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.commits += u64::from(!fresh.is_empty());
        let mut by_period: BTreeMap<Period, Vec<[u8; 16]>> = BTreeMap::new();
        let mut by_series: BTreeMap<(Period, MetricId), usize> = BTreeMap::new();
        for number in fresh {
            let report = &self.reports[number];
            by_period.entry(report.period).or_default().push(report.id.0);
            *by_series.entry((report.period, report.metric)).or_default() += 1;
        }
        for (period, ids) in by_period {
            if !ids.is_sorted() {
                self.find(
                    Breach::Linked,
                    format!("{} ids of {period} stand in another order than their own", ids.len()),
                );
            }
        }
        for ((period, metric), ids) in by_series {
            if ids < GROUP {
                let detail = format!("{ids} ids of metric {} and {period} were written without a group", metric.0);
                self.find(Breach::Linked, detail);
            }
        }
    }

    /// What lies on the disk at the end: nothing of the week that is over but its sums.
    pub fn leftovers(&self, recorded: &Recorded) -> Vec<Finding> {
        let over = week(ENDING);
        let mut findings = Vec::new();
        for (path, bytes) in recorded.place.all_files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What the check itself wrote, and backups, which keep what they were given.
            if name.starts_with("trace-") || name.starts_with("backup") {
                continue;
            }
            let ids = self.patterns.find(&bytes).into_iter();
            let ids = ids
                .filter(|(_, meaning)| matches!(meaning, Meaning::Id(number) if self.reports[*number].period == over));
            let left = ids.count();
            if left > 0 {
                findings
                    .push(Finding::new(Breach::Kept, format!("{left} ids of {over}, which is over, are in {name}")));
            }
        }
        findings
    }
}
