//! What the uploader says happened to reports.

use hubbub_privacy::MetricId;
use rand::TryCryptoRng;

use super::{Device, DeviceError};
use crate::outbox::{Key, Outcome};
use crate::store::{sent, week};

impl<R: TryCryptoRng> Device<R> {
    /// Writes the uploader's results into the log, then deletes their files. After a crash in between, an attempt is
    /// counted twice; nothing else changes.
    pub(super) fn take_results(&mut self) -> Result<(), DeviceError> {
        let Self { parts, store, standing, .. } = self;
        let Some(store) = store else { return Ok(()) };
        for (path, attempt) in parts.outbox.results()? {
            let known = attempt.and_then(|attempt| Some((Key::parse(&attempt.key)?, attempt)));
            let Some((key, attempt)) = known else {
                tracing::warn!("{} is no result of hubbub-upload; it is deleted", path.display());
                parts.outbox.forget_result(&path)?;
                continue;
            };
            let stopped: Option<(MetricId, u32)> = store.commit(|db| {
                let metric = sent::record_attempt(db, &key, attempt.outcome, &attempt.code)?;
                let stopped = metric.filter(|_| attempt.outcome == Outcome::Stop);
                if let Some((metric, version)) = stopped {
                    week::stop(db, metric, version)?;
                }
                Ok(stopped)
            })?;
            if let Some((metric, version)) = stopped {
                tracing::info!("the server wants no more reports of metric {metric} version {version}");
                standing.stopped.insert((metric, version));
            }
            parts.outbox.forget_result(&path)?;
        }
        Ok(())
    }

    /// Removes the reports of the outbox that their owner's no has deleted from the log: a crash, or an outbox that could
    /// not be written, may have left them there.
    pub(super) fn withdraw_deleted(&mut self) -> Result<(), DeviceError> {
        let Some(store) = &self.store else { return Ok(()) };
        let waiting = self.parts.outbox.list()?.reports;
        if waiting.is_empty() {
            return Ok(());
        }
        let deleted = sent::deleted(store.db())?;
        if waiting.iter().any(|name| deleted.contains(&name.key)) {
            self.parts.outbox.withdraw(&deleted)?;
        }
        Ok(())
    }
}
