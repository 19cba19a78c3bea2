//! Connections: accepted, bounded in number, time and memory, and forgotten.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::http::{Site, respond};
use crate::tls::Tls;

/// Connections served at once; more wait in the kernel's queue. Each takes about 20 KiB when it reads.
const MAX_CONNECTIONS: usize = 12_288;
/// File descriptors left for the store, the control socket and exports.
const OTHER_FILES: u64 = 64;
/// A request's head has one packet. So long may a connection take for its first one, TLS included, and so long may it be
/// idle afterwards.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Whatever a peer does, its connection ends after this: no trick holds one for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// What an idle connection gets to read that it is being closed.
const GOODBYE: Duration = Duration::from_secs(1);
/// What a connection gets to finish its last request: the hold, and a slow body.
const LAST_REQUEST: Duration = Duration::from_secs(5);
/// When no connection can be accepted (out of descriptors), the next attempt waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A request of a device has a few hundred bytes of head; proxies add some.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Fields of a head: a device sends five, proxies and browsers up to thirty.
const MAX_HEADERS: usize = 64;
/// What the kernel may hold for a connection in each direction (it doubles the figure): some reports or answers. Left to
/// itself it grows to megabytes for each peer that does not read.
const SOCKET_BUFFER_BYTES: usize = 32 << 10;
/// A device sends one report per connection, a proxy a few side by side.
const MAX_STREAMS: u32 = 16;
/// Window of an HTTP/2 connection and stream: a few bodies.
const H2_WINDOW: u32 = 64 << 10;
/// Answers that wait in one HTTP/2 stream for a peer that does not read.
const H2_SEND_BYTES: usize = 64 << 10;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const H2_PING: Duration = Duration::from_secs(20);

type Protocols = auto::Builder<TokioExecutor>;

/// Serves connections until `stop` turns true, then lets those that are open finish.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    bound_buffers(&listener);
    let limit = max_connections();
    let permits = Arc::new(Semaphore::new(limit));
    let protocols = protocols();
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        let permit = permit.expect("the semaphore is never closed");
        // Here the peer's address ends: nothing after this line can learn it.
        match accepted.map(|(stream, _)| stream) {
            Ok(stream) => {
                let tls = tls.as_ref().map(Tls::acceptor);
                let (site, stop, protocols) = (site.clone(), stop.clone(), protocols.clone());
                tokio::spawn(serve_connection(stream, tls, site, protocols, stop, permit));
            }
            Err(error) => {
                warn!("accepting a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = u32::try_from(limit).expect("the limit is small");
    // Those that have not finished by then are cut off when the runtime ends.
    timeout(LAST_REQUEST, permits.acquire_many(all)).await.ok();
}

/// Connections inherit the listener's buffers.
fn bound_buffers(listener: &TcpListener) {
    let socket = SockRef::from(listener);
    let bounded =
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).and(socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES));
    if let Err(error) = bounded {
        warn!("bounding the connections' buffers: {error}; the system's own bounds hold");
    }
}

/// As many as are meant, or as the system has descriptors for.
fn max_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES).max(1);
    usize::try_from(files).unwrap_or(usize::MAX).min(MAX_CONNECTIONS)
}

fn protocols() -> Protocols {
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    protocols
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .half_close(true);
    protocols
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(H2_SEND_BYTES)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(HEAD_TIMEOUT);
    protocols
}

async fn serve_connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    protocols: Protocols,
    stop: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let first_request_by = Instant::now() + HEAD_TIMEOUT;
    // Answers are one packet; waiting for more would only delay them. A socket that refuses the option still works.
    stream.set_nodelay(true).ok();
    match tls {
        None => serve_http(stream, site, &protocols, first_request_by, stop).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout_at(first_request_by, tls.accept(stream)).await {
                serve_http(stream, site, &protocols, first_request_by, stop).await;
            }
        }
    }
    drop(permit);
}

async fn serve_http<S>(
    stream: S,
    site: Arc<Site>,
    protocols: &Protocols,
    first_request_by: Instant,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let activity = Activity::default();
    let service = service_fn(|request| {
        let (site, in_progress) = (site.clone(), activity.begin());
        async move {
            let answer = respond(site, request).await;
            drop(in_progress);
            answer
        }
    });
    let mut connection = pin!(protocols.serve_connection(TokioIo::new(stream), service));
    // What ends a connection early (a reset, a timeout, bytes that are no HTTP) is the peer's affair, and the error's
    // text is none of the log's.
    let last = tokio::select! {
        _ = connection.as_mut() => return,
        () = activity.first_missing(first_request_by) => return,
        () = activity.idle() => GOODBYE,
        () = sleep(LIFETIME) => LAST_REQUEST,
        _ = stop.wait_for(|&stop| stop) => LAST_REQUEST,
    };
    connection.as_mut().graceful_shutdown();
    timeout(last, connection).await.ok();
}

/// The requests of one connection, counted so that it can be seen to be idle: protocol detection and HTTP/2 have no
/// limit of their own, and a peer that does not read its answers looks the same from here.
#[derive(Debug, Default)]
struct Activity(watch::Sender<Requests>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Requests {
    begun: u64,
    ended: u64,
}

/// A request until its answer is made, or its stream is given up.
struct InProgress(watch::Sender<Requests>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.send_modify(|requests| requests.ended += 1);
    }
}

impl Activity {
    fn begin(&self) -> InProgress {
        self.0.send_modify(|requests| requests.begun += 1);
        InProgress(self.0.clone())
    }

    /// Ends when no request has begun in time.
    async fn first_missing(&self, by: Instant) {
        sleep_until(by).await;
        if self.0.borrow().begun > 0 {
            std::future::pending().await
        }
    }

    /// Ends when there has been no request for [`HEAD_TIMEOUT`] after an earlier one.
    async fn idle(&self) {
        let mut requests = self.0.subscribe();
        let gone = "the sender lives as long as the connection";
        loop {
            let seen = *requests.wait_for(|now| now.begun > 0 && now.begun == now.ended).await.expect(gone);
            if timeout(HEAD_TIMEOUT, requests.wait_for(|now| *now != seen)).await.is_err() {
                return;
            }
        }
    }
}
