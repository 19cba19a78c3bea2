//! What can be seen of a connection's requests from outside its protocol: whether any is under way, and since when.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A request's head has one packet. So long may a connection take for its first one, TLS included, and so long may it be
/// idle afterwards.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for its report's commit before it is told `pending`: long enough for any disk under load,
/// short enough for quiet servers not to hold many connections.
pub const HOLD: Duration = Duration::from_secs(2);
/// Whatever a peer does, its connection ends after this: no trick holds one for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// What an idle connection gets to read that it is being closed.
const GOODBYE: Duration = Duration::from_secs(1);
/// What a connection gets to finish its last request: the hold, and a slow body.
pub const LAST_REQUEST: Duration = Duration::from_secs(5);

/// The requests of one connection. Beginning and ending one costs two writes to memory; one timer for each connection
/// looks at them, and moves no other.
#[derive(Debug)]
pub struct Activity {
    begin: Instant,
    under_way: AtomicU32,
    /// When a request last began, began to wait for its commit, or ended: milliseconds since `begin`, and one, so that 0
    /// is never.
    changed: AtomicU64,
}

/// A request until its answer is made, or its stream is given up.
#[derive(Debug)]
pub struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch();
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl UnderWay {
    /// The request waits for its commit from now on; gives how long it may.
    pub fn hold(&self) -> Instant {
        self.0.at(self.0.touch()) + HOLD
    }
}

impl Activity {
    /// Of a connection that was accepted at `begin`.
    pub fn new(begin: Instant) -> Arc<Self> {
        Arc::new(Self { begin, under_way: AtomicU32::new(0), changed: AtomicU64::new(0) })
    }

    /// Notes a request.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.touch();
        UnderWay(self.clone())
    }

    /// By when the first request must have begun.
    pub fn first_request_by(&self) -> Instant {
        self.begin + HEAD_TIMEOUT
    }

    fn touch(&self) -> u64 {
        let changed = self.begin.elapsed().as_millis() as u64 + 1;
        self.changed.store(changed, Ordering::Release);
        changed
    }

    fn at(&self, changed: u64) -> Instant {
        self.begin + Duration::from_millis(changed)
    }

    /// Ends when the connection should, with the time it gets for it: no first request has begun in time (protocols have
    /// no limit for that of their own), none has for as long after an earlier one (a peer that does not read its answers
    /// looks the same from here), or it has lived long enough. Looks at least every [`HOLD`], and when a hold is over:
    /// then the request is there to see it, because it is polled with its connection.
    pub async fn over(&self) -> Duration {
        let mut look = self.begin;
        loop {
            sleep_until(look).await;
            let now = Instant::now();
            if now >= self.begin + LIFETIME {
                return LAST_REQUEST;
            }
            look = now + HOLD;
            let waits = self.under_way.load(Ordering::Acquire) > 0;
            let (end, goodbye) = match self.changed.load(Ordering::Acquire) {
                0 => (self.first_request_by(), Duration::ZERO),
                changed if waits => {
                    let held = self.at(changed) + HOLD;
                    look = if held > now { held } else { look };
                    continue;
                }
                changed => (self.at(changed) + HEAD_TIMEOUT, GOODBYE),
            };
            if now >= end {
                return goodbye;
            }
            look = look.min(end);
        }
    }
}

/// What `future` gives, or none when it has not by `deadline`. It has no timer: it sees the time when it is polled, and
/// requests are, see [`Activity::over`] and [`polled`].
pub async fn by<F: Future + Unpin>(deadline: Instant, mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if Instant::now() >= deadline => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Polls a request that is a task of its own, as in HTTP/2, now and then.
pub async fn polled<F: Future>(request: F) -> F::Output {
    let mut request = std::pin::pin!(request);
    loop {
        if let Ok(output) = tokio::time::timeout(HOLD / 8, request.as_mut()).await {
            return output;
        }
    }
}
