//! Requests and answers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hubbub_privacy::Report;
use hubbub_randomizer::Plan;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::activity::{UnderWay, by};
use crate::committer::Message;
use crate::ingest::{self, MAX_BODY_BYTES};
use crate::pending::Waiter;
use crate::published::{self, Published};
use crate::readiness::Readiness;
use crate::room::Room;
use crate::{Answer, Clock, Rejection};

/// Requests with a report that may be under way at once, each with up to a body in memory: as many as connections, and
/// some.
pub const MAX_REQUESTS: usize = 16_384;
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

/// Answers one request. The future has the size that every connection keeps room for: it takes the body along, and of
/// the head nothing.
///
/// # Errors
/// [`Abandoned`] when the body did not arrive: a device must not take a slow network for a refusal.
pub fn respond(
    site: Arc<Site>,
    request: Request<Incoming>,
    under_way: UnderWay,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Abandoned>> + Send + 'static {
    let routed = route(&site, request);
    async move {
        match routed {
            Routed::Answered(response) => Ok(*response),
            Routed::Refused(refused) => Ok(Box::pin(refuse(&site, *refused)).await),
            Routed::Report(body) => report(&site, body, &under_way).await,
        }
    }
}

/// What a request's head decides.
enum Routed {
    Answered(Box<Response<Full<Bytes>>>),
    Refused(Box<Refused>),
    Report(Incoming),
}

struct Refused {
    rejection: Rejection,
    /// The methods that are allowed, when it was another.
    allow: Option<&'static str>,
    request: Request<Incoming>,
}

fn route(site: &Site, request: Request<Incoming>) -> Routed {
    let refused = |rejection, allow, request| Routed::Refused(Box::new(Refused { rejection, allow, request }));
    let answered = |content_type, body: Bytes| Routed::Answered(Box::new(text(StatusCode::OK, content_type, body)));
    let is_report = match request.uri().path() {
        // Nothing stands in the URL: what did would end up in the logs of proxies.
        "/v1/reports" if request.uri().query().is_none() => true,
        "/healthz" | "/readyz" | "/metrics" | "/openapi.json" => false,
        _ => return refused(Rejection::Path, None, request),
    };
    let (allowed, allow): (&[Method], _) =
        if is_report { (&[Method::POST], "POST") } else { (&[Method::GET, Method::HEAD], "GET, HEAD") };
    if !allowed.contains(request.method()) {
        return refused(Rejection::Method, Some(allow), request);
    }
    match request.uri().path() {
        "/healthz" => answered(TEXT, "ok\n".into()),
        "/readyz" if site.readiness.get() => answered(TEXT, "ready\n".into()),
        "/readyz" => {
            let response = text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the store takes no commits now\n");
            Routed::Answered(Box::new(response))
        }
        "/metrics" => answered(HeaderValue::from_static(published::CONTENT_TYPE), site.published.render().into()),
        "/openapi.json" => answered(JSON, site.openapi.clone()),
        _ if site.retired => refused(Rejection::Retired, None, request),
        _ => match check_headers(request.headers(), request.body()) {
            Ok(()) => Routed::Report(request.into_body()),
            Err(rejection) => refused(rejection, None, request),
        },
    }
}

async fn report(site: &Site, mut body: Incoming, under_way: &UnderWay) -> Result<Response<Full<Bytes>>, Abandoned> {
    let Ok(_permit) = site.requests.try_acquire() else {
        return Ok(rejected(site, Rejection::Busy));
    };
    let read = by(Instant::now() + BODY_TIMEOUT, pin!(read(&mut body))).await.ok_or(Abandoned)?;
    let report = match read {
        Ok(bytes) => ingest::check(&site.plan, site.clock.now_s(), &bytes),
        Err(rejection) => {
            if rejection == Rejection::BodyTooLarge {
                Box::pin(discard(body)).await;
            }
            Err(rejection)
        }
    };
    let answer = match report.and_then(|report| offer(site, report)) {
        Ok(told) => match by(under_way.hold(), told).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Answer::Rejected(Rejection::Stopping),
            None => Answer::Pending,
        },
        Err(rejection) => Answer::Rejected(rejection),
    };
    Ok(match answer {
        Answer::Rejected(rejection) => rejected(site, rejection),
        Answer::Counted | Answer::Pending => to_response(answer),
    })
}

/// The whole body, which is one piece unless it comes in several packets.
async fn read(body: &mut Incoming) -> Result<Bytes, Rejection> {
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(piece) = frame.map_err(|_| Rejection::BodyIncomplete)?.into_data() else { continue };
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Rejection::BodyTooLarge);
        }
        whole = if whole.is_empty() { piece } else { [whole, piece].concat().into() };
    }
    Ok(whole)
}

/// Sends a report to the committer; gives the end on which its fate is told.
fn offer(site: &Site, report: Report) -> Result<oneshot::Receiver<Answer>, Rejection> {
    let seat = site.room.seat(&report)?;
    let (waiter, told) = Waiter::new();
    match site.messages.try_send(Message::Offer(report, seat, waiter)) {
        Err(mpsc::error::TrySendError::Full(_)) => Err(Rejection::Busy),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(Rejection::Stopping),
        Ok(()) => Ok(told),
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

async fn refuse(site: &Site, refused: Refused) -> Response<Full<Bytes>> {
    let Refused { rejection, allow, request } = refused;
    // Who waits for `100 Continue` has sent no body yet, and reading it would ask for it.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    let mut response = rejected(site, rejection);
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
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
