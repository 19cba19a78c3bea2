//! All checks, to three extents, and the table of what they found.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::figures::{Breach, Figures};
use crate::rounds::Bounds;
use crate::{chaos, clock, flip, full, inject, kill, power_loss, reveal, short_writes};

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Extent {
    /// A minute or two.
    Quick,
    /// Half an hour: 1,000 kills.
    Long,
    /// Hours: 10,000 kills, 100,000 power cuts.
    Soak,
}

/// One check and its rounds to each extent.
pub struct Check {
    /// Its subcommand.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&Bounds) -> io::Result<Figures>,
    /// Rounds, quick, long and soak.
    rounds: [u64; 3],
}

impl Check {
    /// How many rounds belong to an extent.
    pub fn rounds(&self, extent: Extent) -> u64 {
        self.rounds[extent as usize]
    }
}

const fn check(name: &'static str, run: fn(&Bounds) -> io::Result<Figures>, rounds: [u64; 3]) -> Check {
    Check { name, run, rounds }
}

/// The checks. Fewer rounds where one takes many seconds.
pub const CHECKS: [Check; 9] = [
    check("kill", kill::check, [60, 1_000, 10_000]),
    check("inject", inject::check, [40, 500, 4_000]),
    check("short-writes", short_writes::check, [4, 50, 500]),
    check("chaos", chaos::check, [2, 30, 300]),
    check("clock", clock::check, [2, 40, 400]),
    check("flip", flip::check, [80, 2_000, 20_000]),
    check("full", full::check, [1, 20, 200]),
    check("power-loss", power_loss::check, [1, 5, 50]),
    check("reveal", reveal::check, [1, 5, 50]),
];

/// Runs all checks, one after the other; the figures of each are kept in a directory, if one is named.
///
/// # Errors
/// The file of figures that cannot be used, and why.
pub fn run(
    program: &Path,
    seed: u64,
    extent: Extent,
    states: Option<&Path>,
) -> Result<Vec<(&'static str, Figures)>, (PathBuf, io::Error)> {
    let mut all = Vec::new();
    for check in CHECKS {
        let state = states.map(|directory| directory.join(format!("{}.json", check.name)));
        let bounds = Bounds { program: program.to_owned(), seed, rounds: check.rounds(extent), state };
        let figures = (check.run)(&bounds).map_err(|error| (bounds.state.unwrap_or_default(), error))?;
        eprintln!("{}: {figures}", check.name);
        all.push((check.name, figures));
    }
    Ok(all)
}

/// A line for each check, what each did and found in words, and everything that was skipped.
pub fn table(all: &[(&str, Figures)]) -> String {
    let mut text = String::new();
    let row = |text: &mut String, cells: [String; 6]| {
        let [name, rounds, lost, doubled, unopenable, other] = cells;
        writeln!(text, "{name:<14}{rounds:>9}{lost:>8}{doubled:>9}{unopenable:>12}{other:>8}")
            .expect("a string takes all text");
    };
    row(&mut text, ["check", "rounds", "lost", "doubled", "unopenable", "other"].map(str::to_owned));
    for (name, figures) in all {
        let named = [Breach::Lost, Breach::Doubled, Breach::Unopenable].map(|breach| figures.count(breach));
        let other = figures.breaches.values().sum::<u64>() - named.iter().sum::<u64>();
        let [lost, doubled, unopenable] = named.map(|count| count.to_string());
        let cells = [(*name).to_owned(), figures.rounds.to_string(), lost, doubled, unopenable, other.to_string()];
        row(&mut text, cells);
    }
    for (name, figures) in all {
        text.push_str(&format!("\n{name}: {figures}\n"));
    }
    for line in all.iter().flat_map(|(_, figures)| &figures.skipped) {
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Finding;

    #[test]
    fn the_table_names_what_was_found_and_what_was_skipped() {
        let mut found = Figures { rounds: 7, ..Figures::default() };
        found.report(6, &[Finding::new(Breach::Doubled, "one"), Finding::new(Breach::Stuck, "two")]);
        let mut skipped = Figures::default();
        skipped.skipped.insert("SKIPPED: a thing: no privilege".to_owned());
        let table = table(&[("kill", found), ("inject", skipped)]);
        let rows: Vec<Vec<&str>> = table.lines().take(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["check", "rounds", "lost", "doubled", "unopenable", "other"]);
        assert_eq!(rows[1], ["kill", "7", "0", "1", "0", "1"]);
        assert_eq!(rows[2], ["inject", "0", "0", "0", "0", "0"]);
        assert!(table.contains("round 6: doubled: one"));
        assert!(table.ends_with("SKIPPED: a thing: no privilege\n"));
    }
}
