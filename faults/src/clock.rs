//! A clock that jumps over the ends of periods and their grace, and back, while reports wait and requests are under way.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use crate::figures::{Breach, Figures, Finding};
use crate::life::{Life, VOLLEY};
use crate::place::now;
use crate::rounds::{self, Bounds, Round};
use crate::server::{Server, until};
use crate::volley::{Offer, volley};

/// Things that happen in a round.
const STEPS: usize = 8;
/// The server looks at its clock once a second.
const TICK: Duration = Duration::from_millis(1_200);

/// Moves the clock about, once a round, until all periods are over.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let one = |round, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        let weeks = Weeks { life: Life::new(&bounds.program, 1, rng), quiet: round % 2 == 0 };
        Round::Made(weeks.pass(rng, figures).unwrap_or_else(|finding| vec![finding]))
    };
    rounds::run("clock", bounds, one, |_| Vec::new())
}

/// A population of three weeks, one series each.
struct Weeks {
    life: Life,
    /// Whether every answer is waited for and the process lives: then every report must be accounted for.
    quiet: bool,
}

impl Weeks {
    fn pass(mut self, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Result<Vec<Finding>, Finding> {
        let mut findings = Vec::new();
        let mut server = self.life.start()?;
        for _ in 0..STEPS {
            match rng.random_range(0..6) {
                0 if !self.quiet => {
                    server.kill();
                    figures.add("kills", 1);
                    server = self.life.start()?;
                }
                1 if !self.quiet => {
                    let to = self.some_time(rng);
                    findings.extend(self.jump_under_load(&server, to, rng));
                    figures.add("jumps under load", 1);
                }
                2 => {
                    let to = self.some_time(rng);
                    self.jump(to);
                    figures.add("jumps", 1);
                    if rng.random_ratio(1, 2) {
                        std::thread::sleep(TICK);
                    }
                }
                _ => {
                    let series = rng.random_range(0..self.life.crowd.series());
                    let picked = self.life.crowd.pick(&[series], rng.random_range(1..2 * VOLLEY), true, rng);
                    findings.extend(self.life.crowd.offer_all(server.address, &picked));
                }
            }
        }
        findings.extend(self.end_all(&server));
        if findings.is_empty() {
            findings = self.offer_to_closed_periods(server, rng)?;
        }
        Ok(findings)
    }

    /// Near the end of a period's grace, in the middle of the last week, or at its very start.
    fn some_time(&self, rng: &mut ChaCha12Rng) -> i64 {
        let crowd = &self.life.crowd;
        let period = crowd.period(rng.random_range(0..crowd.series() - 1));
        match rng.random_range(0..6) {
            0 => crowd.period(crowd.series() - 1).start(),
            1 | 2 => now(),
            _ => period.acceptance_end() + rng.random_range(-1..=1),
        }
    }

    fn jump(&mut self, to: i64) {
        for series in 0..self.life.crowd.series() {
            let period = self.life.crowd.period(series);
            if to >= period.acceptance_end() {
                self.life.crowd.closes(period);
            }
        }
        self.life.place.set_clock(to);
    }

    fn jump_under_load(&mut self, server: &Server, to: i64, rng: &mut ChaCha12Rng) -> Vec<Finding> {
        let all: Vec<usize> = (0..self.life.crowd.series()).collect();
        let picked = self.life.crowd.pick(&all, 3 * VOLLEY, true, rng);
        let offers = self.life.crowd.offer(&picked);
        let pause = Duration::from_millis(rng.random_range(0..30));
        let address = server.address;
        let replies = std::thread::scope(|scope| {
            let replies = scope.spawn(|| volley(address, &offers, Offer::Wait));
            std::thread::sleep(pause);
            self.jump(to);
            replies.join().unwrap()
        });
        offers.iter().zip(&replies).filter_map(|(one, reply)| self.life.crowd.hear(one, reply.as_ref())).collect()
    }

    /// All grace is over: what was accepted is counted or said to be dropped, and nothing else is.
    fn end_all(&mut self, server: &Server) -> Vec<Finding> {
        let last = self.life.crowd.period(self.life.crowd.series() - 1).acceptance_end();
        self.jump(last);
        let used: Vec<usize> =
            (0..self.life.crowd.series()).filter(|&series| self.life.crowd.taken(series) > 0).collect();
        if self.quiet {
            until("the export of all closed periods", || {
                let counted = self.life.crowd.read(&self.life.place);
                used.iter().all(|series| counted.contains_key(series)).then_some(())
            });
        } else {
            std::thread::sleep(TICK);
            assert_eq!(server.get("/healthz").status, 200);
        }
        let mut findings = self.life.compare();
        let counted = self.life.crowd.read(&self.life.place);
        for series in 0..self.life.crowd.series() {
            let accounted = counted.get(&series).map_or(0, |(header, _)| header.reports + header.dropped_remainder);
            let (taken, sent) = (self.life.crowd.taken(series), self.life.crowd.sent(series));
            if accounted > sent || (self.quiet && accounted != taken) {
                let period = self.life.crowd.period(series);
                let what = format!("{period}: {accounted} counted or dropped, {taken} taken, {sent} sent");
                findings.push(Finding::new(Breach::Unaccounted, what));
            }
        }
        findings
    }

    /// Ids are gone, so nothing of a closed period may be taken again, whatever the clock says, also after a restart.
    fn offer_to_closed_periods(&mut self, mut server: Server, rng: &mut ChaCha12Rng) -> Result<Vec<Finding>, Finding> {
        let mut findings = Vec::new();
        // A week of which nothing was ever taken holds no ids that could be gone, and may be opened again.
        let before: Vec<u64> = (0..self.life.crowd.series()).map(|series| self.life.crowd.taken(series)).collect();
        self.life.place.set_clock(now());
        for restart in [false, true] {
            if restart {
                server.kill();
                server = self.life.start()?;
            }
            for (series, &before) in before.iter().enumerate() {
                let picked = self.life.crowd.pick(&[series], 2 * VOLLEY, true, rng);
                findings.extend(self.life.crowd.offer_all(server.address, &picked));
                let after = self.life.crowd.taken(series);
                if before > 0 && after > before {
                    let what = format!("a closed period took {} reports", after - before);
                    findings.push(Finding::new(Breach::Unaccounted, what));
                }
            }
        }
        findings.extend(self.life.compare());
        Ok(findings)
    }
}
