//! The device: consent, tally, questionnaire, ledger and outbox, free of bus and threads.
//!
//! One thread owns it ([`serve`]). Every method takes the time from the device's clock and leaves a state on the disk
//! from which a crash can be continued: see `week.rs` for the order of writes when a week closes.

mod budget;
mod consent;
mod preview;
mod record;
mod refusal;
mod request;
mod results;
mod view;
mod week;

use std::collections::BTreeSet;
use std::path::PathBuf;

use hubbub_privacy::ledger::Ledger;
use hubbub_privacy::{Metric, MetricId, Period};
use rand::TryCryptoRng;
use thiserror::Error;

pub use budget::Published;
pub use record::{Recording, Said};
pub use refusal::Refusal;
pub use request::{Ask, Reply, Request, serve};
pub use view::{LedgerView, MetricView, PreviewView, SentView, ValueView};

use crate::catalogue::{Catalogue, Way};
use crate::clock::Clock;
use crate::outbox::{Outbox, OutboxError};
use crate::quota::Quota;
use crate::store::answers::{self, Consent, Switches};
use crate::store::{self, StateDirectory, Store, StoreError};

/// What the device could not do; it tries again at the next tick.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The outbox failed.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The random generator failed.
    #[error("the random generator failed: {0}")]
    Randomness(String),
}

/// Who calls, as the bus vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The uid.
    pub uid: u32,
}

/// What a device works with.
#[derive(Debug)]
pub struct Parts<R> {
    /// The approved registry.
    pub catalogue: Catalogue,
    /// Where state lies.
    pub directory: StateDirectory,
    /// Where finished reports lie.
    pub outbox: Outbox,
    /// The root directory of probes.
    pub root: PathBuf,
    /// The time.
    pub clock: Clock,
    /// The operating system's generator.
    pub rng: R,
    /// The uid that may switch on besides root: the daemon's own.
    pub own_uid: u32,
}

/// One device.
#[derive(Debug)]
pub struct Device<R> {
    parts: Parts<R>,
    store: Option<Store>,
    standing: Standing,
    ledger: Ledger,
    quota: Quota,
    last_reading_s: Option<i64>,
}

/// What the database says, in memory.
#[derive(Debug)]
struct Standing {
    consent: Consent,
    switches: Switches,
    week: Option<Period>,
    stopped: BTreeSet<(MetricId, u32)>,
}

impl Standing {
    fn nothing() -> Self {
        Self { consent: Consent::Unset, switches: answers::all_off(), week: None, stopped: BTreeSet::new() }
    }

    fn load(store: &Store) -> Result<Self, StoreError> {
        let db = store.db();
        Ok(Self {
            consent: answers::consent(db)?,
            switches: answers::switches(db)?,
            week: store::week::current(db)?,
            stopped: store::week::stopped(db)?,
        })
    }

    fn is_on(&self, way: &Way) -> bool {
        self.consent == Consent::Yes && self.switches.get(&way.category) == Some(&true)
    }

    fn has_ended(&self, metric: &Metric, now_s: i64) -> bool {
        metric.has_expired(now_s) || self.stopped.contains(&(metric.id, metric.version))
    }
}

impl<R: TryCryptoRng> Device<R> {
    /// A device that continues from what its state says.
    ///
    /// # Errors
    /// [`StoreError`] when there is a state that cannot be used.
    pub fn open(parts: Parts<R>) -> Result<Self, StoreError> {
        let store = parts.directory.open()?;
        let (standing, ledger) = match &store {
            Some(store) => (Standing::load(store)?, store::ledger::load(store.db())?),
            None => (Standing::nothing(), Ledger::default()),
        };
        Ok(Self { parts, store, standing, ledger, quota: Quota::default(), last_reading_s: None })
    }

    /// Does what is due: takes in results, puts reports into the outbox, closes a week that is over, reads probes.
    ///
    /// # Errors
    /// [`DeviceError`]; the rest is done all the same, and what failed is tried again next time.
    pub fn tick(&mut self) -> Result<(), DeviceError> {
        let results = self.take_results();
        let withdrawn = self.withdraw_deleted();
        let advanced = self.advance();
        let placed = self.place_waiting();
        results.and(withdrawn).and(advanced).and(placed)
    }

    /// How often to call [`Device::tick`]: a test clock jumps, the system's does not.
    pub fn tick_interval(&self) -> std::time::Duration {
        match self.parts.clock {
            Clock::System => std::time::Duration::from_secs(30),
            Clock::File { .. } => std::time::Duration::from_millis(100),
        }
    }

    fn may_enable(&self, caller: Caller) -> bool {
        caller.uid == 0 || caller.uid == self.parts.own_uid
    }

    fn randomness(error: &R::Error) -> DeviceError {
        DeviceError::Randomness(error.to_string())
    }
}

#[cfg(test)]
mod tests;
