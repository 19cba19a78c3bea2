//! The device, seen from outside: what it asks itself, what it offers, what its ledger says, whatever happens to it.
//!
//! [`check_respondent`] drives devices of its own registries through weeks, crashes, clocks that jump and registries that
//! change, and holds what they show against a bookkeeping of its own. Nothing is known of how a device works.

mod account;
mod misconduct;
mod scenes;
mod tables;
mod trials;

use hubbub_privacy::ledger::Entry;
use hubbub_privacy::{Epsilon, Metric, MetricId, Period, Registry};
use rand_core::Rng;

use super::SplitMix;
pub use misconduct::Misconduct;

/// The device died before it had done what was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Died;

/// A device that has its owner's yes to everything, as an outsider with access to its clock, its power switch, its disk
/// and its applications sees it.
pub trait Respondent {
    /// Shows the device a time in `week`, which may be earlier than the one before, and lets it do what is due: close a
    /// week that is over, draw the questions of a new one.
    ///
    /// With `dies_at` it dies at that step from 0, unless it is done before. A step is whatever the device can be
    /// interrupted at: a write, a draw of randomness.
    ///
    /// # Errors
    /// [`Died`]; then only [`Respondent::restart`] brings it back, and what is on its disk can still be seen.
    fn go_to(&mut self, week: Period, dies_at: Option<u32>) -> Result<(), Died>;
    /// Starts the device again on what is on its disk, with a registry that may be another one.
    fn restart(&mut self, registry: &Registry);
    /// An application says what the metric's value is now: a line that [`hubbub_privacy::Domain::parse`] reads. The last
    /// one counts for the week.
    fn tell(&mut self, metric: &Metric, line: &str);
    /// The questions drawn for the week that the device is in.
    fn asked(&mut self) -> Vec<MetricId>;
    /// The bytes of every report that has left the device or lies ready to.
    fn offered(&mut self) -> Vec<String>;
    /// The ledger's entries.
    fn ledger(&mut self) -> Vec<Entry>;
    /// What the device tells its owner that it has spent for life.
    fn spent(&mut self) -> Epsilon;
}

/// Everything that is checked of a device. `make` sets up a new one for a registry; its randomness comes from the seed
/// that goes with it.
///
/// Bookkeeping is exact. Frequencies are held against their laws by Chernoff bounds: a correct device is refused with
/// probability at most [`super::FALSE_ALARM`]. Each statistical part uses `devices` devices per case, 8 to 32 weeks each:
/// with 4, an ask probability of 0.5 that is ignored, questions dropped in order, an unlisted value that becomes
/// anything but `other`, answers without noise and answers that are remembered are found out; with 20, also ask
/// probabilities that are off by 30 % of themselves.
///
/// # Errors
/// The first misconduct found.
pub fn check_respondent<R: Respondent>(
    mut make: impl FnMut(&Registry, u64) -> R,
    devices: u32,
    seed: u64,
) -> Result<(), Misconduct> {
    let mut seeds = SplitMix::new(seed);
    let mut make = |registry: &Registry| account::Account::new(make(registry, seeds.next_u64()), registry);
    scenes::clocks(&mut make)?;
    scenes::crashes(&mut make)?;
    scenes::lifetimes(&mut make)?;
    scenes::years(&mut make)?;
    trials::answers(&mut make, devices)?;
    trials::chances(&mut make, devices)?;
    trials::crowding(&mut make, devices)
}
