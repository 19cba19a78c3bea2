//! Clean runs raise no alarm: every family and the device, with a seed for each run.
//!
//! A run is one check of each of five mechanisms and one of a device, each of which refuses a correct subject with
//! probability at most [`FALSE_ALARM`]: by the union bound 1,000 runs raise an alarm with probability at most
//! 1,000 x 6 x 10^-6 = 0.6 %.

use hubbub_privacy::{Epsilon, Goal};
use hubbub_randomizer::conformance::device::check_respondent;
use hubbub_randomizer::conformance::{self, FALSE_ALARM, Law};
use hubbub_randomizer::{Cyclotomic, ExpBound, FoldedGeometric, Subset, Window};

use super::device;

/// How many runs `make test` makes; `HUBBUB_CLEAN_RUNS` says how many others do.
const RUNS: u64 = 12;
/// Devices for each case of a run.
const DEVICES: u32 = 4;
const EPSILONS: [&str; 5] = ["0.1", "0.5", "1", "2", "4"];

fn runs() -> u64 {
    std::env::var("HUBBUB_CLEAN_RUNS").map_or(RUNS, |runs| runs.parse().expect("HUBBUB_CLEAN_RUNS is a number"))
}

fn clean(mechanism: &impl Law, bound: &ExpBound, seed: u64) {
    if let Err(violation) = conformance::check(mechanism, bound, seed) {
        panic!("run {seed}, check {}: {violation}", violation.check());
    }
}

#[test]
fn clean_runs_raise_no_alarm() {
    let runs = runs();
    for seed in 0..runs {
        let turn = seed as usize;
        let epsilon: Epsilon = EPSILONS[turn % EPSILONS.len()].parse().unwrap();
        let bound = ExpBound::new(epsilon);
        let values = 2 + seed as u32 % 6;
        let (parts, cosets) = [(2, 1), (3, 1), (4, 1), (4, 3), (5, 2)][turn % 5];
        let (some, m, k) = [(2, 1, 1), (3, 2, 2), (4, 2, 1), (4, 3, 3)][turn % 4];
        clean(&Subset::new(&bound, values, 1 + seed as u32 % (values - 1)), &bound, seed);
        clean(&Subset::of_sets(&bound, some, m, k), &bound, seed);
        clean(&Cyclotomic::new(&bound, values, parts, cosets), &bound, seed);
        clean(&Window::new(&bound, values, 1 + seed as u32 % 9, Goal::Mean), &bound, seed);
        clean(&FoldedGeometric::new(epsilon, values).unwrap(), &bound, seed);
        if let Err(misconduct) = check_respondent(device::honest, DEVICES, seed) {
            panic!("run {seed}, check {}: {misconduct}", misconduct.check());
        }
    }
    println!("{runs} clean runs, false alarms expected: at most {}", 6.0 * runs as f64 * FALSE_ALARM);
}
