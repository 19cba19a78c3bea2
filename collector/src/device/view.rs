//! The owner's view: what is asked, what is stored, what was sent, what it cost.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_privacy::{Domain, Metric, MetricId, Period, Report, budget};
use rand::TryCryptoRng;
use zbus::{SerializeDict, Type};

use super::{Caller, Device};
use crate::catalogue::{Unusable, Way, aggregate_name};
use crate::event::Origin;
use crate::odds::odds;
use crate::store::sent::Sent;
use crate::store::tally::Row;
use crate::store::{StoreError, ledger, sent, tally, week};

impl Caller {
    /// Machine-wide values and one's own; root sees all.
    pub(super) fn sees(self, origin: Origin) -> bool {
        match origin {
            Origin::Machine => true,
            Origin::User(uid) => self.uid == 0 || self.uid == uid,
        }
    }

    /// As [`Caller::sees`], for a value that came from several users.
    pub(super) fn sees_all(self, uids: &BTreeSet<u32>) -> bool {
        uids.iter().all(|uid| self.sees(Origin::User(*uid)))
    }
}

/// A metric of the registry that devices collect.
#[derive(Debug, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
pub struct MetricView {
    metric: String,
    id: u32,
    version: u32,
    category: Option<String>,
    title: String,
    description: String,
    question: String,
    why_needed: String,
    never_collects: String,
    kind: String,
    values: Vec<String>,
    source: Option<String>,
    aggregate: Option<String>,
    mechanism: Option<String>,
    epsilon: String,
    ask_probability: String,
    max_reports: u32,
    lifetime_epsilon: String,
    attacker_success: f64,
    expires: Option<String>,
    /// Whether events and readings are tallied now.
    collected: bool,
    /// What became of this week's question; missing when it was not drawn.
    asked: Option<String>,
    /// Why this program cannot collect it.
    unusable: Option<String>,
}

/// What one user, or the machine, has in this week's tally of one metric.
#[derive(Debug, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
pub struct ValueView {
    metric: String,
    title: String,
    category: String,
    period: String,
    origin: String,
    uid: Option<u32>,
    value: String,
    values: BTreeMap<String, u64>,
    asked: bool,
}

/// What would be sent, or what waits to be sent.
#[derive(Debug, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
pub struct PreviewView {
    pub(super) metric: String,
    pub(super) title: String,
    pub(super) period: String,
    pub(super) value: String,
    pub(super) absent: bool,
    pub(super) rehearsal: bool,
    pub(super) report: String,
    pub(super) bytes: String,
    pub(super) epsilon: String,
    pub(super) odds: String,
    pub(super) attacker_success: f64,
}

/// A report in the log.
#[derive(Debug, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
pub struct SentView {
    n: u32,
    metric: String,
    version: u32,
    period: String,
    epsilon: String,
    /// Missing when it was deleted, or when other users' events are in it.
    value: Option<String>,
    odds: Option<String>,
    attacker_success: f64,
    report: Option<String>,
    bytes: Option<String>,
    made_at: i64,
    due_at: i64,
    state: String,
    code: String,
    attempts: u32,
}

/// A row of the ledger.
#[derive(Debug, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
pub struct LedgerView {
    n: u32,
    metric: String,
    metric_id: u32,
    version: u32,
    period: String,
    epsilon: String,
    charged_at: i64,
}

impl<R: TryCryptoRng> Device<R> {
    /// Every metric that devices collect.
    pub(super) fn list_metrics(&mut self) -> Result<Vec<MetricView>, StoreError> {
        let now_s = self.parts.clock.now_s();
        let asked = self.asked(now_s)?;
        let metrics = self.parts.catalogue.metrics();
        Ok(metrics.map(|(metric, way)| self.metric_view(metric, way, &asked, now_s)).collect())
    }

    fn asked(&self, now_s: i64) -> Result<BTreeMap<MetricId, week::State>, StoreError> {
        let Some(store) = &self.store else { return Ok(BTreeMap::new()) };
        let questions = week::questions(store.db(), self.standing.week.unwrap_or(Period::containing(now_s)))?;
        Ok(questions.into_iter().map(|question| (question.metric, question.state)).collect())
    }

    fn metric_view(
        &self,
        metric: &Metric,
        way: Result<&Way, &Unusable>,
        asked: &BTreeMap<MetricId, week::State>,
        now_s: i64,
    ) -> MetricView {
        let texts = metric.texts.clone();
        let is_collected = way.is_ok_and(|way| self.standing.is_on(way)) && !self.standing.has_ended(metric, now_s);
        let mechanism = self.parts.catalogue.get(metric.id).map(|(_, _, mechanism)| mechanism.family().to_owned());
        MetricView {
            metric: metric.name.clone(),
            id: metric.id.0,
            version: metric.version,
            category: metric.category.map(|category| category.name().to_owned()),
            title: texts.title,
            description: texts.description,
            question: texts.question,
            why_needed: texts.why_needed,
            never_collects: texts.never_collects,
            kind: metric.domain.kind().to_owned(),
            values: labels(&metric.domain),
            source: metric.collect.as_ref().map(|collect| collect.source.clone()),
            aggregate: metric.collect.as_ref().map(|collect| aggregate_name(collect.aggregate).to_owned()),
            mechanism,
            epsilon: metric.privacy.epsilon.to_string(),
            ask_probability: metric.privacy.ask_probability.to_string(),
            max_reports: metric.privacy.max_reports,
            lifetime_epsilon: metric.privacy.lifetime_epsilon().to_string(),
            attacker_success: budget::attacker_success(metric.privacy.epsilon),
            expires: metric.lifecycle.as_ref().map(|lifecycle| lifecycle.expires.to_string()),
            collected: is_collected,
            asked: asked.get(&metric.id).map(|state| state.name().to_owned()),
            unusable: way.err().map(ToString::to_string),
        }
    }

    /// What is stored of this week, as far as the caller may see it.
    pub(super) fn local_values(&mut self, caller: Caller) -> Result<Vec<ValueView>, StoreError> {
        let now_s = self.parts.clock.now_s();
        let asked = self.asked(now_s)?;
        let (Some(store), Some(period)) = (&self.store, self.standing.week) else { return Ok(Vec::new()) };
        let mut views = Vec::new();
        for (metric, way) in self.parts.catalogue.usable() {
            let mut by_origin: BTreeMap<Origin, Vec<Row>> = BTreeMap::new();
            for row in tally::rows(store.db(), metric.id)?.into_iter().filter(|row| caller.sees(row.origin)) {
                by_origin.entry(row.origin).or_default().push(row);
            }
            views.extend(by_origin.into_iter().map(|(origin, rows)| ValueView {
                metric: metric.name.clone(),
                title: metric.texts.title.clone(),
                category: way.category.name().to_owned(),
                period: period.to_string(),
                origin: origin.to_string(),
                uid: if let Origin::User(uid) = origin { Some(uid) } else { None },
                value: summary(&metric.domain, &rows),
                values: rows.iter().map(|row| (shown(&metric.domain, row.value.expose()), row.times)).collect(),
                asked: asked.contains_key(&metric.id),
            }));
        }
        Ok(views)
    }

    /// The log after entry `since`.
    pub(super) fn sent_log(&self, caller: Caller, since: u32) -> Result<Vec<SentView>, StoreError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let log = sent::after(store.db(), since)?;
        Ok(log.into_iter().map(|sent| self.sent_view(caller, sent)).collect())
    }

    fn sent_view(&self, caller: Caller, sent: Sent) -> SentView {
        let found = self.parts.catalogue.get(sent.metric).filter(|(metric, ..)| metric.version == sent.version);
        let report = sent.bytes.as_ref().and_then(|bytes| Report::decode(bytes.as_bytes()).ok());
        let value = sent.value.filter(|_| caller.sees_all(&sent.uids));
        let told = found.zip(value.as_ref()).zip(report.as_ref());
        let odds = told.and_then(|(((metric, _, mechanism), value), report)| {
            let value = metric.domain.parse(value.expose()).ok()?;
            odds(mechanism, &metric.domain, sent.epsilon, &value, &report.payload)
        });
        SentView {
            n: sent.n,
            metric: sent.name,
            version: sent.version,
            period: sent.period.to_string(),
            epsilon: sent.epsilon.to_string(),
            value: value.map(|value| match found {
                Some((metric, ..)) => shown(&metric.domain, value.expose()),
                None => value.expose().clone(),
            }),
            odds: odds.map(|odds| odds.to_string()),
            attacker_success: budget::attacker_success(sent.epsilon),
            report: report.map(|report| report.encode()),
            bytes: sent.bytes,
            made_at: sent.made_s,
            due_at: sent.file.due_s,
            state: sent.state.name().to_owned(),
            code: sent.code,
            attempts: sent.attempts,
        }
    }

    /// Everything ever spent.
    pub(super) fn ledger_rows(&self) -> Result<Vec<LedgerView>, StoreError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let registry = self.parts.catalogue.registry();
        let rows = ledger::rows(store.db())?.into_iter();
        Ok(rows
            .map(|ledger::Row { n, entry, charged_s }| LedgerView {
                n,
                metric: registry.get(entry.metric).map_or_else(|| format!("#{}", entry.metric), |m| m.name.clone()),
                metric_id: entry.metric.0,
                version: entry.version,
                period: entry.period.to_string(),
                epsilon: entry.epsilon.to_string(),
                charged_at: charged_s,
            })
            .collect())
    }
}

fn labels(domain: &Domain) -> Vec<String> {
    match domain {
        Domain::Count { max } => vec![format!("0..={max}")],
        _ => (0..domain.size() as u32).map(|index| domain.label(index)).collect(),
    }
}

/// A text of the tally as analysts will read the value.
fn shown(domain: &Domain, text: &str) -> String {
    match domain {
        Domain::Set { .. } => text.to_owned(),
        _ => domain.parse(text).map_or_else(|_| text.to_owned(), |value| domain.show(&value)),
    }
}

fn summary(domain: &Domain, rows: &[Row]) -> String {
    let shown = rows.iter().map(|row| match row.times {
        1 => shown(domain, row.value.expose()),
        times => format!("{} ({times} times)", shown(domain, row.value.expose())),
    });
    shown.collect::<Vec<_>>().join(", ")
}
