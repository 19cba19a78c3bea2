//! Damage to a stopped server's store: flipped bits, zeroed, swapped, stale and torn pages, truncation.

use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::Mutex;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use crate::crowd::{Counted, GROUP, forget_exports};
use crate::figures::{Breach, Figures, Finding};
use crate::life::{Life, VOLLEY};
use crate::rounds::{self, Bounds, Round};
use crate::server::Server;

/// What disks and databases write at once.
const PAGE: usize = 4096;
/// What a disk promises to write at once.
const SECTOR: usize = 512;
/// Where a file says what it is, and which of its states is the last one.
const FIRST_BYTES: usize = 16;
/// Damages of the same store.
const ROUNDS_PER_STORE: u64 = 40;
/// A program that has not judged a damaged store by then hangs.
const JUDGEMENT_S: &str = "60";

/// A store in good order, and everything that is known of it.
struct Stored {
    life: Life,
    good: Vec<u8>,
    /// The same file some commits before.
    stale: Vec<u8>,
    counted: Counted,
    acknowledged: Vec<usize>,
}

/// Damages a store once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let stored: Mutex<Option<Stored>> = Mutex::new(None);
    let one = |round: u64, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        let kept = stored.lock().unwrap().take().filter(|_| !round.is_multiple_of(ROUNDS_PER_STORE));
        let mut current = match kept.map_or_else(|| store(bounds, rng), Ok) {
            Ok(current) => current,
            Err(finding) => return Round::Made(vec![finding]),
        };
        let findings = damage_once(&mut current, rng, figures);
        *stored.lock().unwrap() = Some(current);
        Round::Made(findings)
    };
    rounds::run("flip", bounds, one, |_| Vec::new())
}

fn store(bounds: &Bounds, rng: &mut ChaCha12Rng) -> Result<Stored, Finding> {
    let mut life = Life::new(&bounds.program, 2, rng);
    let mut acknowledged = Vec::new();
    let mut stale = Vec::new();
    for part in 0..2 {
        let server = life.start()?;
        for _ in 0..rng.random_range(1..12) {
            let series = rng.random_range(0..life.crowd.series());
            let group = life.crowd.pick(&[series], GROUP, false, rng);
            if let Some(finding) = life.crowd.offer_all(server.address, &group).pop() {
                return Err(finding);
            }
            acknowledged.extend(group.into_iter().filter(|&number| life.crowd.is_acknowledged(number)));
        }
        // Both a store that was closed and one that was not.
        if rng.random_ratio(1, 2) {
            server.kill();
        } else {
            let ended = server.terminate();
            assert!(ended.success(), "SIGTERM ends it with {:?}", ended.code());
        }
        if part == 0 {
            stale = fs::read(life.place.path("store.redb")).unwrap();
        }
    }
    let good = fs::read(life.place.path("store.redb")).unwrap();
    if let Some(finding) = life.compare().pop() {
        return Err(finding);
    }
    let counted = life.crowd.read(&life.place);
    Ok(Stored { life, good, stale, counted, acknowledged })
}

/// What was done to the bytes.
fn damage(bytes: &mut Vec<u8>, stale: &[u8], rng: &mut ChaCha12Rng) -> String {
    let length = bytes.len();
    let aligned = |unit: usize, rng: &mut ChaCha12Rng| -> Range<usize> {
        let first = rng.random_range(0..length.div_ceil(unit)) * unit;
        first..(first + unit).min(length)
    };
    match rng.random_range(0..10_usize) {
        kind @ 0..=4 => {
            // A file's beginning decides what the rest means, and is small.
            let within = [length, length, length, SECTOR, FIRST_BYTES][kind].min(length);
            let bits: Vec<usize> = (0..rng.random_range(1..4)).map(|_| rng.random_range(0..within * 8)).collect();
            bits.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
            format!("bits {bits:?} flipped")
        }
        5 => {
            let range = aligned(if rng.random_ratio(1, 2) { PAGE } else { SECTOR }, rng);
            bytes[range.clone()].fill(0);
            format!("{range:?} zeroed")
        }
        6 => {
            let (one, other) = (aligned(PAGE, rng), aligned(PAGE, rng));
            let kept = bytes[one.clone()].to_vec();
            if one.len() == other.len() {
                bytes.copy_within(other.clone(), one.start);
                bytes[other.clone()].copy_from_slice(&kept);
            }
            format!("{one:?} and {other:?} swapped")
        }
        7 => {
            let to = rng.random_range(0..length);
            bytes.truncate(to);
            format!("cut to {to}")
        }
        8 => {
            // A write that never reached the disk.
            let range = aligned(if rng.random_ratio(1, 2) { PAGE } else { SECTOR }, rng);
            if let Some(old) = stale.get(range.clone()) {
                bytes[range.clone()].copy_from_slice(old);
            }
            format!("{range:?} from an earlier state")
        }
        _ => {
            let range = aligned(SECTOR, rng);
            rng.fill(&mut bytes[range.clone()]);
            format!("{range:?} overwritten")
        }
    }
}

fn damage_once(stored: &mut Stored, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let path = stored.life.place.path("store.redb");
    let mut bytes = stored.good.clone();
    let what = damage(&mut bytes, &stored.stale, rng);
    let mut findings = Vec::new();
    // Each from the same damaged bytes: an export that repairs must not help the start.
    for start in [false, true] {
        fs::write(&path, &bytes).unwrap();
        let (refused, found) = if start { start_on(stored) } else { export_from(stored) };
        if bytes == stored.good {
            figures.add("no damage", 1);
        } else if refused {
            figures.add("refused", 1);
        } else {
            figures.add("counted correctly", 1);
        }
        findings.extend(found);
    }
    let named = |finding: Finding| Finding::new(finding.breach, format!("{what}: {}", finding.detail));
    findings.into_iter().map(named).collect()
}

/// Whether the program refused, and what is wrong with how it did.
fn judge(code: Option<i32>, said: &str) -> (bool, Vec<Finding>) {
    let finding = match code {
        Some(3) if said.contains("store.redb") => None,
        Some(3) => Some(Finding::new(Breach::WrongEnd, format!("it does not name the store: {said}"))),
        Some(124) => Some(Finding::new(Breach::Stuck, "it does not end")),
        code => Some(Finding::new(Breach::WrongEnd, format!("it ends with {code:?}: {said}"))),
    };
    (true, finding.into_iter().collect())
}

fn export_from(stored: &Stored) -> (bool, Vec<Finding>) {
    let place = &stored.life.place;
    forget_exports(place);
    let mut export = Command::new("timeout");
    export.arg(JUDGEMENT_S).arg(place.program()).arg("export").arg("--config").arg(place.path("aggregator.toml"));
    let output = export.output().unwrap();
    if !output.status.success() {
        return judge(output.status.code(), &String::from_utf8_lossy(&output.stderr));
    }
    (false, differences(stored))
}

fn differences(stored: &Stored) -> Vec<Finding> {
    if stored.life.crowd.read(&stored.life.place) == stored.counted {
        return Vec::new();
    }
    let mut findings = stored.life.crowd.compare(&stored.life.crowd.read(&stored.life.place));
    findings.push(Finding::new(Breach::DamageUnnoticed, "other counters are exported than before"));
    findings
}

fn start_on(stored: &mut Stored) -> (bool, Vec<Finding>) {
    let command = crate::server::run_command(&stored.life.place);
    match Server::try_spawn(&stored.life.place, command) {
        Err(none) => judge(none.status.and_then(|status| status.code()), &none.said),
        Ok(server) => {
            let mut findings = Vec::new();
            for some in stored.acknowledged.chunks(VOLLEY) {
                findings.extend(stored.life.crowd.offer_all(server.address, some));
            }
            findings.extend(stored.life.compare());
            if findings.is_empty() {
                findings = differences(stored);
            }
            server.kill();
            (false, findings)
        }
    }
}
