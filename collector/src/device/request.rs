//! The thread that owns the device: calls reach it over a channel, and those that record share commits.

use rand::TryCryptoRng;
use tokio::sync::{mpsc, oneshot, watch};

use super::record::Recording;
use super::{
    Caller, Device, DeviceError, LedgerView, MetricView, PreviewView, Published, Refusal, SentView, ValueView,
};
use crate::store::StoreError;

/// Where the answer to a call goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Calls that one commit may hold: enough to fill it at any speed, few enough to keep it short.
const LARGEST_COMMIT: usize = 1024;

/// What the device's thread is asked to do.
pub enum Request {
    /// Record something; many of these share a commit.
    Record(Recording, Reply<()>),
    /// Anything else.
    Ask(Ask),
    /// Finish what has arrived, and return.
    Stop,
}

/// A call from the bus that records nothing, or the passing of time.
pub enum Ask {
    /// `GiveConsent`.
    GiveConsent(Caller, Vec<String>, Reply<()>),
    /// `RefuseConsent`.
    RefuseConsent(Reply<()>),
    /// `SetCategory`.
    SetCategory(Caller, String, bool, Reply<()>),
    /// `ListMetrics`.
    ListMetrics(Reply<Vec<MetricView>>),
    /// `LocalValues`.
    LocalValues(Caller, Reply<Vec<ValueView>>),
    /// `Preview`.
    Preview(Caller, String, Reply<PreviewView>),
    /// `SentLog`.
    SentLog(Caller, u32, Reply<Vec<SentView>>),
    /// `Ledger`.
    Ledger(Reply<Vec<LedgerView>>),
    /// Time has passed.
    Tick,
}

/// Answers requests until it is told to stop or nobody can send any more.
pub fn serve<R: TryCryptoRng>(
    mut device: Device<R>,
    mut requests: mpsc::Receiver<Request>,
    published: &watch::Sender<Published>,
) {
    let mut recordings: Vec<(Recording, Reply<()>)> = Vec::new();
    while let Some(first) = requests.blocking_recv() {
        // A commit begins at once; whatever arrived while the one before was running shares it.
        let mut next = Some(first);
        let mut is_stopping = false;
        while let Some(request) = next {
            match request {
                Request::Record(recording, reply) => recordings.push((recording, reply)),
                Request::Ask(ask) => {
                    device.commit_recordings(&mut recordings);
                    device.respond(ask, published);
                }
                Request::Stop => is_stopping = true,
            }
            let is_full = recordings.len() >= LARGEST_COMMIT;
            next = if is_stopping || is_full { None } else { requests.try_recv().ok() };
        }
        device.commit_recordings(&mut recordings);
        device.publish(published);
        if is_stopping {
            return;
        }
    }
}

impl<R: TryCryptoRng> Device<R> {
    fn commit_recordings(&mut self, recordings: &mut Vec<(Recording, Reply<()>)>) {
        if recordings.is_empty() {
            return;
        }
        let (calls, replies): (Vec<Recording>, Vec<Reply<()>>) = recordings.drain(..).unzip();
        for (reply, result) in replies.into_iter().zip(self.record(&calls)) {
            answer(reply, result);
        }
    }

    fn respond(&mut self, ask: Ask, published: &watch::Sender<Published>) {
        match ask {
            Ask::GiveConsent(caller, categories, reply) => {
                let result = self.give_consent(caller, &categories);
                self.publish(published);
                answer(reply, result);
            }
            Ask::RefuseConsent(reply) => {
                let result = self.refuse_consent();
                self.publish(published);
                answer(reply, result);
            }
            Ask::SetCategory(caller, category, enabled, reply) => {
                let result = self.set_category(caller, &category, enabled);
                self.publish(published);
                answer(reply, result);
            }
            Ask::ListMetrics(reply) => answer(reply, self.list_metrics().map_err(unreadable)),
            Ask::LocalValues(caller, reply) => answer(reply, self.local_values(caller).map_err(unreadable)),
            Ask::Preview(caller, metric, reply) => answer(reply, self.preview(caller, &metric)),
            Ask::SentLog(caller, since, reply) => answer(reply, self.sent_log(caller, since).map_err(unreadable)),
            Ask::Ledger(reply) => answer(reply, self.ledger_rows().map_err(unreadable)),
            Ask::Tick => {
                if let Err(error) = self.tick() {
                    tracing::error!("{error}");
                }
            }
        }
    }

    fn publish(&mut self, published: &watch::Sender<Published>) {
        let now = self.published();
        published.send_if_modified(|before| {
            let has_changed = *before != now;
            *before = now;
            has_changed
        });
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, Refusal>) {
    if reply.send(result).is_err() {
        tracing::debug!("a caller left before its answer");
    }
}

fn unreadable(error: StoreError) -> Refusal {
    let error = DeviceError::from(error);
    tracing::error!("{error}");
    Refusal::Failed(error.to_string())
}
