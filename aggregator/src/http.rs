//! Requests and answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hubbub_privacy::Report;
use hubbub_randomizer::Plan;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::committer::Message;
use crate::ingest::{self, MAX_BODY_BYTES};
use crate::pending::Waiter;
use crate::published::{self, Published};
use crate::readiness::Readiness;
use crate::room::{Room, Seat};
use crate::{Answer, Clock, Rejection};

/// Requests with a report that may be under way at once, each with up to a body in memory: as many as connections, and
/// some.
pub const MAX_REQUESTS: usize = 16_384;
/// How long a request waits for its report's commit before it is told `pending`: long enough for any disk under load,
/// short enough for quiet servers not to hold many connections.
const HOLD: Duration = Duration::from_secs(2);
/// A body has at most a few packets; who needs longer is not sending one.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a refused body and thrown away, so that its sender gets to see the answer instead of a reset.
const DISCARD_BYTES: usize = 64 << 10;
/// And for how long.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reason phrases and `Retry-After` differ in length; this header makes up for it, so that under TLS no HTTP/1.1 answer
/// to a report can be told from another by its length.
const PADDING: HeaderName = HeaderName::from_static("padding");
/// Longer than what it makes up for.
const FILL: &str = "----------------------------------------------------------------";

/// What every request needs.
#[derive(Debug)]
pub struct Site {
    /// The questions being asked.
    pub plan: Arc<Plan>,
    /// The server's clock.
    pub clock: Clock,
    /// Room for reports in memory.
    pub room: Arc<Room>,
    /// The way to the committer.
    pub messages: mpsc::Sender<Message>,
    /// One permit for each request that may be under way: with HTTP/2 they can be more than connections.
    pub requests: Semaphore,
    /// The figures for `/metrics`.
    pub published: Arc<Published>,
    /// Whether commits are possible.
    pub readiness: Readiness,
    /// The description at `/openapi.json`.
    pub openapi: Bytes,
    /// Whether all reports are refused for good.
    pub retired: bool,
}

/// The request was given up without an answer; the connection ends.
#[derive(Debug, Error)]
#[error("the body did not arrive in time")]
pub struct Abandoned;

/// Answers one request.
///
/// # Errors
/// [`Abandoned`] when the body did not arrive: a device must not take a slow network for a refusal.
pub async fn respond(site: Arc<Site>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Abandoned> {
    let allowed: &[Method] = match request.uri().path() {
        // Nothing stands in the URL: what did would end up in the logs of proxies.
        "/v1/reports" if request.uri().query().is_none() => &[Method::POST],
        "/healthz" | "/readyz" | "/metrics" | "/openapi.json" => &[Method::GET, Method::HEAD],
        _ => return Ok(refuse(&site, request, Rejection::Path).await),
    };
    if !allowed.contains(request.method()) {
        let mut response = refuse(&site, request, Rejection::Method).await;
        let allow = if allowed.contains(&Method::POST) { "POST" } else { "GET, HEAD" };
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return Ok(response);
    }
    Ok(match request.uri().path() {
        "/healthz" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if site.readiness.get() => text(StatusCode::OK, TEXT, "ready\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the store takes no commits now\n"),
        "/metrics" => text(StatusCode::OK, HeaderValue::from_static(published::CONTENT_TYPE), site.published.render()),
        "/openapi.json" => text(StatusCode::OK, JSON, site.openapi.clone()),
        _ if site.retired => refuse(&site, request, Rejection::Retired).await,
        _ => return report(&site, request).await,
    })
}

async fn report(site: &Site, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Abandoned> {
    let Ok(_under_way) = site.requests.try_acquire() else {
        return Ok(rejected(site, Rejection::Busy));
    };
    if let Err(rejection) = check_headers(request.headers(), request.body()) {
        return Ok(refuse(site, request, rejection).await);
    }
    let mut body = request.into_body();
    let collected = timeout(BODY_TIMEOUT, Limited::new(&mut body, MAX_BODY_BYTES).collect()).await;
    let bytes = match collected.map_err(|_| Abandoned)? {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body).await;
            return Ok(rejected(site, Rejection::BodyTooLarge));
        }
        Err(_) => return Ok(rejected(site, Rejection::BodyIncomplete)),
    };
    let answer = match ingest::check(&site.plan, site.clock.now_s(), &bytes) {
        Ok(report) => match site.room.seat(&report) {
            Ok(seat) => offer(site, report, seat).await,
            Err(rejection) => Answer::Rejected(rejection),
        },
        Err(rejection) => Answer::Rejected(rejection),
    };
    Ok(match answer {
        Answer::Rejected(rejection) => rejected(site, rejection),
        Answer::Counted | Answer::Pending => to_response(answer),
    })
}

async fn offer(site: &Site, report: Report, seat: Seat) -> Answer {
    let (waiter, told) = Waiter::new();
    match site.messages.try_send(Message::Offer(report, seat, waiter)) {
        Err(mpsc::error::TrySendError::Full(_)) => Answer::Rejected(Rejection::Busy),
        Err(mpsc::error::TrySendError::Closed(_)) => Answer::Rejected(Rejection::Stopping),
        Ok(()) => match timeout(HOLD, told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::Rejected(Rejection::Stopping),
            Err(_) => Answer::Pending,
        },
    }
}

fn check_headers(headers: &HeaderMap, body: &Incoming) -> Result<(), Rejection> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Rejection::ContentType);
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Rejection::ContentEncoding);
    }
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(Rejection::BodyTooLarge);
    }
    Ok(())
}

async fn refuse(site: &Site, request: Request<Incoming>, rejection: Rejection) -> Response<Full<Bytes>> {
    // Who waits for `100 Continue` has sent no body yet, and reading it would ask for it.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    rejected(site, rejection)
}

async fn discard(body: Incoming) {
    // Whether it ended, was longer or came too late: the answer is the same, and the connection is closed if bytes are
    // left.
    timeout(DISCARD_TIMEOUT, Limited::new(body, DISCARD_BYTES).collect()).await.ok();
}

fn rejected(site: &Site, rejection: Rejection) -> Response<Full<Bytes>> {
    site.published.rejected(rejection);
    to_response(Answer::Rejected(rejection))
}

fn to_response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body()));
    *response.status_mut() = answer.status();
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    let mut differs = answer.status().canonical_reason().map_or(0, str::len);
    if let Some(seconds) = answer.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        differs += "retry-after: \r\n".len() + seconds.len();
    }
    response.headers_mut().insert(PADDING, HeaderValue::from_static(&FILL[differs..]));
    response
}

fn text(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
