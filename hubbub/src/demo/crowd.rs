//! Many simulated devices: each draws true values, pays from its own ledger, and uploads over real HTTP.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hubbub_privacy::ledger::Ledger;
use hubbub_privacy::{Metric, MetricId, Observation, Period, Private};
use hubbub_randomizer::{Mechanism, Plan, release};
use hyper::{Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::ProgressBar;
use rand_chacha::ChaCha20Rng;
use tokio::sync::mpsc;

use super::DemoError;
use super::population::Truth;
use crate::demo::uniform_order;

/// Uploads under way at once: several commit groups of 32, far below what a server refuses.
const IN_FLIGHT: usize = 256;
/// Devices whose reports are held in memory at once.
const BATCH: u32 = 20_000;
/// How often a report is offered again when the server asks for patience.
const OFFERS: u32 = 20;

/// What the server answered.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Reports in committed counters.
    pub counted: u64,
    /// Reports held in memory for a later group.
    pub pending: u64,
    /// Uploading took this long.
    pub elapsed: Duration,
}

/// A question and what is true of the population.
pub struct Question<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// Its mechanism.
    pub mechanism: &'a Mechanism,
    /// Its true distribution.
    pub truth: Truth,
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// Lets `devices` devices answer about `period`. Each is asked the questions in random order until its week's budget is
/// spent, so that one week of the demo holds what a year of real weeks would; its value, noise and ledger are its own.
///
/// # Errors
/// A server that refuses a report or cannot be reached.
pub async fn upload(
    endpoint: &str,
    plan: &Plan,
    questions: &[Question<'_>],
    period: Period,
    devices: u32,
    rng: &mut ChaCha20Rng,
    bar: &ProgressBar,
) -> Result<Tally, DemoError> {
    let url = format!("{endpoint}/v1/reports");
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut tally = Tally::default();
    let mut left = devices;
    while left > 0 {
        let batch = left.min(BATCH);
        let answers = answer(plan, questions, period, batch, rng)?;
        bar.inc_length(answers.len() as u64);
        let started = Instant::now();
        send(&client, &url, answers, bar, &mut tally).await?;
        tally.elapsed += started.elapsed();
        left -= batch;
    }
    Ok(tally)
}

/// The uploads of a batch of devices, by metric, so that groups fill at once.
fn answer(
    plan: &Plan,
    questions: &[Question<'_>],
    period: Period,
    devices: u32,
    rng: &mut ChaCha20Rng,
) -> Result<Vec<Bytes>, DemoError> {
    let mut uploads: Vec<(MetricId, Bytes)> = Vec::new();
    for _ in 0..devices {
        let mut ledger = Ledger::default();
        for index in uniform_order(questions.len(), rng) {
            let Question { metric, mechanism, truth } = &questions[index];
            let Ok(charge) = ledger.charge(metric, &plan.registry().lineage(metric.id), period) else { continue };
            let Ok(grant) = charge.persist(|_| Ok::<_, std::convert::Infallible>(()));
            let observation = Observation::new(metric, period, Private::new(truth.sample(rng)));
            let report = release(observation, grant, mechanism, rng)
                .map_err(|error| DemoError::Simulation(error.to_string()))?;
            uploads.push((metric.id, report.encode_padded(mechanism.body_bytes()).into()));
        }
    }
    uploads.sort_by_key(|(metric, _)| *metric);
    Ok(uploads.into_iter().map(|(_, upload)| upload).collect())
}

async fn send(
    client: &Http,
    url: &str,
    uploads: Vec<Bytes>,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), DemoError> {
    let uploads = std::sync::Arc::new(uploads);
    let next = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (answers, mut received) = mpsc::channel(IN_FLIGHT);
    for _ in 0..IN_FLIGHT.min(uploads.len()) {
        let (client, url, uploads, next, answers) =
            (client.clone(), url.to_owned(), uploads.clone(), next.clone(), answers.clone());
        tokio::spawn(async move {
            while let Some(body) = uploads.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                // The receiver is gone only when another upload has failed.
                if answers.send(offer(&client, &url, body).await).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(answers);
    while let Some(answer) = received.recv().await {
        match answer? {
            StatusCode::OK => tally.counted += 1,
            _ => tally.pending += 1,
        }
        bar.inc(1);
    }
    Ok(())
}

/// Offers one report until the server takes it: 200 or 202.
async fn offer(client: &Http, url: &str, body: &Bytes) -> Result<StatusCode, DemoError> {
    let unreachable = |error: &dyn std::fmt::Display| DemoError::Upload(error.to_string());
    for _ in 0..OFFERS {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .expect("the URL was printed by the server");
        let response = client.request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let answer = response.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => return Ok(status),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1).min(5))).await;
            }
            _ => {
                let answer = String::from_utf8_lossy(&answer).trim().to_owned();
                return Err(DemoError::Refused { status: status.as_u16(), answer });
            }
        }
    }
    Err(DemoError::Upload(format!("the server asked for patience {OFFERS} times")))
}
