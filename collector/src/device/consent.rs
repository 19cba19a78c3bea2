//! Yes, no, and the five switches. Turning on needs authority; turning off never does, and deletes.

use std::collections::BTreeSet;

use hubbub_privacy::MetricId;
use hubbub_privacy::registry::Category;
use rand::TryCryptoRng;

use super::{Caller, Device, DeviceError, Refusal, Standing};
use crate::outbox::Key;
use crate::store::answers::{self, Consent};
use crate::store::{Store, StoreError, sent, tally, week};

impl<R: TryCryptoRng> Device<R> {
    /// Says yes to exactly these categories.
    ///
    /// # Errors
    /// [`Refusal`] when the caller may not, or a category does not exist; nothing changes then.
    pub fn give_consent(&mut self, caller: Caller, names: &[String]) -> Result<(), Refusal> {
        if !self.may_enable(caller) {
            return Err(Refusal::NotAuthorized { deed: "switch metrics on" });
        }
        let chosen: BTreeSet<Category> = names.iter().map(|name| category(name)).collect::<Result<_, _>>()?;
        if chosen.is_empty() {
            return Err(Refusal::NoCategory);
        }
        let switches: Vec<(Category, bool)> =
            Category::ALL.into_iter().map(|category| (category, chosen.contains(&category))).collect();
        self.switch(Some(Consent::Yes), &switches).map_err(failed)
    }

    /// Says no: deletes what was collected and sends nothing. The ledger stays.
    ///
    /// # Errors
    /// [`Refusal::Failed`] when the disk fails.
    pub fn refuse_consent(&mut self) -> Result<(), Refusal> {
        let switches: Vec<(Category, bool)> = Category::ALL.into_iter().map(|category| (category, false)).collect();
        self.switch(Some(Consent::No), &switches).map_err(failed)
    }

    /// Turns one switch; turning it off deletes what was collected under it.
    ///
    /// # Errors
    /// [`Refusal`] when the caller may not, the category does not exist, or consent was not given.
    pub fn set_category(&mut self, caller: Caller, name: &str, enabled: bool) -> Result<(), Refusal> {
        let category = category(name)?;
        if enabled && !self.may_enable(caller) {
            return Err(Refusal::NotAuthorized { deed: "switch a category on" });
        }
        match (self.standing.consent, enabled) {
            (Consent::Yes, _) => self.switch(None, &[(category, enabled)]).map_err(failed),
            // Everything is off already.
            (_, false) => Ok(()),
            (_, true) => Err(Refusal::Off),
        }
    }

    fn switch(&mut self, answer: Option<Consent>, switches: &[(Category, bool)]) -> Result<(), DeviceError> {
        let now_s = self.parts.clock.now_s();
        let off: BTreeSet<Category> =
            switches.iter().filter(|(_, enabled)| !enabled).map(|(category, _)| *category).collect();
        let is_no = answer == Some(Consent::No);
        // What the uploader has offered stays in the log; so first learn what it has. A no does not fail over it.
        if let Err(error) = self.take_results() {
            tracing::error!("{error}");
        }
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.parts.directory.open_or_create()?,
        };
        let written = self.write_answer(&mut store, answer, switches, &off, now_s);
        let standing = Standing::load(&store);
        self.store = Some(store);
        self.standing = standing?;
        let withdrawn = written?;
        self.parts.outbox.withdraw(&withdrawn)?;
        if is_no {
            return Ok(());
        }
        self.last_reading_s = None;
        self.advance()
    }

    fn write_answer(
        &self,
        store: &mut Store,
        answer: Option<Consent>,
        switches: &[(Category, bool)],
        off: &BTreeSet<Category>,
        now_s: i64,
    ) -> Result<BTreeSet<Key>, StoreError> {
        let everything_off = answer == Some(Consent::No);
        let withdrawn = store.commit(|db| {
            if let Some(answer) = answer {
                answers::set_consent(db, answer, now_s)?;
            }
            for (category, enabled) in switches {
                answers::set_switch(db, *category, *enabled)?;
            }
            if everything_off {
                tally::forget_all(db)?;
                week::set_current(db, None)?;
                // Also of metrics that the registry no longer knows.
                sent::forget(db, &sent::metrics(db)?)
            } else {
                let metrics = self.metrics_of(off);
                tally::forget(db, metrics.iter().copied())?;
                sent::forget(db, &metrics)
            }
        })?;
        store.forget_deleted()?;
        Ok(withdrawn)
    }

    fn metrics_of(&self, categories: &BTreeSet<Category>) -> BTreeSet<MetricId> {
        let metrics = self.parts.catalogue.registry().metrics();
        metrics
            .filter(|metric| metric.category.is_some_and(|category| categories.contains(&category)))
            .map(|metric| metric.id)
            .collect()
    }
}

fn category(name: &str) -> Result<Category, Refusal> {
    Category::from_name(name).ok_or_else(|| Refusal::UnknownCategory(name.to_owned()))
}

fn failed(error: DeviceError) -> Refusal {
    tracing::error!("{error}");
    Refusal::Failed(error.to_string())
}
