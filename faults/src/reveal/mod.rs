//! What a server's writes reveal: every byte that it hands to the system is searched for more than sums of at least a
//! group's reports and single-use ids.

mod honey;
mod load;
mod observer;
mod patterns;
mod states;

use std::io;

use rand_chacha::ChaCha12Rng;

use crate::crowd::GROUP;
use crate::figures::{Breach, Figures, Finding};
use crate::rounds::{self, Bounds, Round};
use crate::trace::refused;
use load::drive;
use observer::Observer;

/// Drives a server through everything once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> io::Result<Figures> {
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        if let Some(why) = refused() {
            return Round::Impossible { what: "what writes reveal".to_owned(), why };
        }
        Round::Made(observe(&bounds.program, rng, figures))
    };
    rounds::run("reveal", bounds, one, |_| Vec::new())
}

fn observe(program: &std::path::Path, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let recorded = drive(program, rng);
    let mut observer = Observer::of(&recorded);
    for life in &recorded.lives {
        observer.watch(life);
    }
    figures.add("reports", recorded.reports.len() as u64);
    figures.add("bytes written", observer.bytes);
    figures.add("commits with ids", observer.commits);
    figures.add("answers of a full disk", recorded.refused);
    let mut findings = std::mem::take(&mut observer.findings);
    if recorded.refused == 0 {
        findings.push(Finding::new(Breach::Broken, "the disk was never full"));
    }
    for (name, states) in [("one at a time", &observer.quiet), ("in crowds", &observer.busy)] {
        let told = states.told();
        let reports = recorded.reports.iter().filter(|report| states.counts(report)).count();
        figures.add(&format!("states ({name})"), told.states as u64);
        figures.add(&format!("watched reports ({name})"), reports as u64);
        figures.add(&format!("rebuilt reports ({name})"), told.rebuilt as u64);
        if told.states < 3 {
            findings.push(Finding::new(Breach::Broken, format!("only {} states were recognised, {name}", told.states)));
        }
        if told.closest.is_some_and(|closest| closest < GROUP as u64) {
            let detail = format!(
                "{name}: two states differ in {} reports, and {} of {reports} reports are rebuilt from pairs of states",
                told.closest.unwrap_or_default(),
                told.rebuilt
            );
            findings.push(Finding::new(Breach::Revealed, detail));
        }
    }
    for (what, totals) in [("records of the store", &observer.records), ("/metrics", &observer.published)] {
        let ordered: Vec<u64> = totals.iter().copied().collect();
        let closest = ordered.windows(2).map(|pair| pair[1] - pair[0]).min();
        figures.add(&format!("totals in {what}"), ordered.len() as u64);
        if closest.is_some_and(|closest| closest < GROUP as u64) {
            let detail = format!("{what}: two totals differ in {} reports", closest.unwrap_or_default());
            findings.push(Finding::new(Breach::Revealed, detail));
        }
    }
    findings.extend(observer.leftovers(&recorded));
    findings
}
