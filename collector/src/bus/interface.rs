//! The interface `org.hubbub.Metrics1`; every call goes to the device's thread and comes back.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot, watch};
use zbus::message::{Header, Message};
use zbus::names::ErrorName;
use zbus::{Connection, DBusError, Variant, fdo, interface};

use super::caller::Callers;
use super::offer::offer;
use crate::device::{
    Ask, LedgerView, MetricView, PreviewView, Published, Recording, Refusal, Reply, Request, Said, SentView, ValueView,
};

/// The object on the bus.
#[derive(Debug)]
pub struct Metrics {
    digest: String,
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Published>,
    callers: Callers,
}

/// Why a call failed, as it stands on the bus.
#[derive(Debug)]
pub enum CallError {
    /// The device refused.
    Refused(Refusal, String),
    /// The bus failed.
    Bus(fdo::Error),
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        Self::Refused(refusal, message)
    }
}

impl From<fdo::Error> for CallError {
    fn from(error: fdo::Error) -> Self {
        Self::Bus(error)
    }
}

impl DBusError for CallError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        match self {
            Self::Refused(refusal, message) => Message::error(call, refusal.name()).build(message),
            Self::Bus(error) => error.create_reply(call),
        }
    }

    fn name(&self) -> ErrorName<'_> {
        match self {
            Self::Refused(refusal, _) => ErrorName::from_static_str_unchecked(refusal.name()),
            Self::Bus(error) => error.name(),
        }
    }

    fn description(&self) -> Option<&str> {
        match self {
            Self::Refused(_, message) => Some(message),
            Self::Bus(error) => error.description(),
        }
    }
}

impl Metrics {
    /// The object that passes calls on to `requests`.
    pub fn new(digest: String, requests: mpsc::Sender<Request>, published: watch::Receiver<Published>) -> Self {
        Self { digest, requests, published, callers: Callers::default() }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, CallError> {
        self.send(|reply| Request::Ask(ask(reply))).await
    }

    async fn record(
        &self,
        connection: &Connection,
        header: &Header<'_>,
        metric: String,
        said: Said,
    ) -> Result<(), CallError> {
        let caller = self.callers.identify(connection, header).await?;
        self.send(|reply| Request::Record(Recording { caller, metric, said }, reply)).await
    }

    async fn send<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Refusal::Stopping)?;
        Ok(answer.await.map_err(|_| Refusal::Stopping)??)
    }
}

#[interface(name = "org.hubbub.Metrics1", introspection_docs = false)]
impl Metrics {
    #[zbus(property)]
    fn consent(&self) -> String {
        self.published.borrow().consent.name().to_owned()
    }

    #[zbus(property)]
    fn categories(&self) -> BTreeMap<String, bool> {
        self.published.borrow().categories.clone()
    }

    #[zbus(property)]
    fn paused_until(&self) -> u64 {
        0
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn registry_digest(&self) -> String {
        self.digest.clone()
    }

    #[zbus(property)]
    fn budget_spent(&self) -> BTreeMap<String, String> {
        self.published.borrow().spent.clone()
    }

    #[zbus(property)]
    fn budget_left(&self) -> BTreeMap<String, String> {
        self.published.borrow().left.clone()
    }

    async fn give_consent(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        categories: Vec<String>,
    ) -> Result<(), CallError> {
        let caller = self.callers.identify(connection, &header).await?;
        self.ask(|reply| Ask::GiveConsent(caller, categories, reply)).await
    }

    async fn refuse_consent(&self) -> Result<(), CallError> {
        self.ask(Ask::RefuseConsent).await
    }

    async fn set_category(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        category: String,
        enabled: bool,
    ) -> Result<(), CallError> {
        let caller = self.callers.identify(connection, &header).await?;
        self.ask(|reply| Ask::SetCategory(caller, category, enabled, reply)).await
    }

    async fn record_event(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        metric: String,
        value: Variant<'_>,
    ) -> Result<(), CallError> {
        let said = Said::Event(offer(&value));
        self.record(connection, &header, metric, said).await
    }

    async fn record_count(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        metric: String,
        n: u32,
    ) -> Result<(), CallError> {
        self.record(connection, &header, metric, Said::Count(n)).await
    }

    #[zbus(out_args("metrics"))]
    async fn list_metrics(&self) -> Result<Vec<MetricView>, CallError> {
        self.ask(Ask::ListMetrics).await
    }

    #[zbus(out_args("values"))]
    async fn local_values(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<ValueView>, CallError> {
        let caller = self.callers.identify(connection, &header).await?;
        self.ask(|reply| Ask::LocalValues(caller, reply)).await
    }

    #[zbus(out_args("preview"))]
    async fn preview(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        metric: String,
    ) -> Result<PreviewView, CallError> {
        let caller = self.callers.identify(connection, &header).await?;
        self.ask(|reply| Ask::Preview(caller, metric, reply)).await
    }

    #[zbus(out_args("entries"))]
    async fn sent_log(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
        since: u32,
    ) -> Result<Vec<SentView>, CallError> {
        let caller = self.callers.identify(connection, &header).await?;
        self.ask(|reply| Ask::SentLog(caller, since, reply)).await
    }

    #[zbus(out_args("rows"))]
    async fn ledger(&self) -> Result<Vec<LedgerView>, CallError> {
        self.ask(Ask::Ledger).await
    }
}
