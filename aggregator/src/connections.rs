//! Connections: accepted, bounded in number, time and memory, and forgotten.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::http::{Site, respond};

/// Connections served at once; more wait in the kernel's queue. Each takes about 20 KiB when it reads.
const MAX_CONNECTIONS: usize = 12_288;
/// File descriptors left for the store, the control socket and exports.
const OTHER_FILES: u64 = 64;
/// TLS is negotiated in a few packets.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head has one packet, and so long may a connection be idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Whatever a peer does, its connection ends after this: no trick holds one for ever.
const LIFETIME: Duration = Duration::from_secs(300);
/// What a connection gets to finish its last request: the hold, and a slow body.
const LAST_REQUEST: Duration = Duration::from_secs(5);
/// When no connection can be accepted (out of descriptors), the next attempt waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A request of a device has a few hundred bytes of head; proxies add some.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// A device sends one report per connection, a proxy a few side by side.
const MAX_STREAMS: u32 = 16;
/// Window of an HTTP/2 connection and stream: a few bodies.
const H2_WINDOW: u32 = 64 << 10;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const H2_PING: Duration = Duration::from_secs(20);

type Protocols = auto::Builder<TokioExecutor>;

/// Serves connections until `stop` turns true, then lets those that are open finish.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
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
                let (tls, site, stop, protocols) = (tls.clone(), site.clone(), stop.clone(), protocols.clone());
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
        .half_close(true);
    protocols
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
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
    // Answers are one packet; waiting for more would only delay them. A socket that refuses the option still works.
    stream.set_nodelay(true).ok();
    match tls {
        None => serve_http(stream, site, &protocols, stop).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                serve_http(stream, site, &protocols, stop).await;
            }
        }
    }
    drop(permit);
}

async fn serve_http<S>(stream: S, site: Arc<Site>, protocols: &Protocols, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        respond(site.clone(), request)
    });
    let mut connection = pin!(protocols.serve_connection(TokioIo::new(stream), service));
    // What ends a connection early (a reset, a timeout, bytes that are no HTTP) is the peer's affair, and the error's
    // text is none of the log's.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = first_request_missing(&asked) => return,
        () = sleep(LIFETIME) => {}
        _ = stop.wait_for(|&stop| stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(LAST_REQUEST, connection).await.ok();
}

/// Ends when the first request has not come in time; neither protocol detection nor HTTP/2 has such a limit itself.
async fn first_request_missing(asked: &AtomicBool) {
    sleep(HEAD_TIMEOUT).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}
