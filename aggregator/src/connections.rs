//! Connections: accepted, bounded in number, time and memory, and forgotten.

use std::io::Read;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::activity::{Activity, HEAD_TIMEOUT, LAST_REQUEST, polled};
use crate::http::{Site, respond};
use crate::tls::Tls;

/// Connections served at once; more wait in the kernel's queue. Each takes about 12 KiB.
const MAX_CONNECTIONS: usize = 12_288;
/// File descriptors left for the store, the control socket and exports.
const OTHER_FILES: u64 = 64;
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

/// How a peer begins that speaks HTTP/2 without TLS; no method of HTTP/1 does.
const H2_BEGINS: &[u8; 3] = b"PRI";
/// What TLS calls HTTP/2.
const H2_ALPN: &[u8] = b"h2";

/// What all connections share.
struct House {
    site: Arc<Site>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    stop: watch::Receiver<bool>,
}

/// Serves connections until `stop` turns true, then lets those that are open finish.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    bound_buffers(&listener);
    let limit = max_connections();
    let permits = Arc::new(Semaphore::new(limit));
    let house = Arc::new(House { site, http1: http1(), http2: http2(), stop: stop.clone() });
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
                let activity = Activity::new(Instant::now());
                // Answers are one packet; waiting for more would only delay them. A socket that refuses the option
                // still works.
                stream.set_nodelay(true).ok();
                // Most connections are the plain HTTP/1.1 of a proxy; what others need must not make theirs larger.
                match tls.as_ref().map(Tls::acceptor) {
                    None => drop(tokio::spawn(house.clone().serve_plain(stream, activity, permit))),
                    Some(tls) => drop(tokio::spawn(house.clone().serve_tls(stream, tls, activity, permit))),
                }
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

/// Serves one stream to its end; `first` is what it begins with.
pub async fn serve_stream<S>(stream: S, site: Arc<Site>, first: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (_never, stop) = watch::channel(false);
    let house = House { site, http1: http1(), http2: http2(), stop };
    let activity = Activity::new(Instant::now());
    if first.starts_with(H2_BEGINS) {
        house.serve_http2(stream, activity).await;
    } else {
        house.serve_http1(stream, activity).await;
    }
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

fn http1() -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // The time for a head is that of all idleness, see `Activity`.
    http1.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS).half_close(true);
    http1
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_send_buf_size(H2_SEND_BYTES)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(HEAD_TIMEOUT);
    http2
}

impl House {
    async fn serve_plain(self: Arc<Self>, stream: TcpStream, activity: Arc<Activity>, permit: OwnedSemaphorePermit) {
        match timeout_at(activity.first_request_by(), begins_http2(&stream)).await {
            Ok(Ok(false)) => self.serve_http1(stream, activity).await,
            Ok(Ok(true)) => Box::pin(self.serve_http2(stream, activity)).await,
            // Too little came, or the peer has gone. Bytes left unread would make a reset of the end.
            Ok(Err(_)) | Err(_) => drop((&*SockRef::from(&stream)).read(&mut [0; H2_BEGINS.len()])),
        }
        drop(permit);
    }

    async fn serve_tls(
        self: Arc<Self>,
        stream: TcpStream,
        tls: TlsAcceptor,
        activity: Arc<Activity>,
        permit: OwnedSemaphorePermit,
    ) {
        if let Ok(Ok(stream)) = timeout_at(activity.first_request_by(), Box::pin(tls.accept(stream))).await {
            if stream.get_ref().1.alpn_protocol() == Some(H2_ALPN) {
                Box::pin(self.serve_http2(stream, activity)).await;
            } else {
                self.serve_http1(stream, activity).await;
            }
        }
        drop(permit);
    }

    async fn serve_http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin, activity: Arc<Activity>) {
        let service = service_fn(|request| respond(self.site.clone(), request, activity.begin()));
        let connection = pin!(self.http1.serve_connection(TokioIo::new(stream), service));
        self.attend(connection, http1::Connection::graceful_shutdown, &activity).await;
    }

    async fn serve_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin, activity: Arc<Activity>) {
        let service = service_fn(|request| polled(respond(self.site.clone(), request, activity.begin())));
        let connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        self.attend(connection, http2::Connection::graceful_shutdown, &activity).await;
    }

    /// Serves a connection until it ends, or until it should.
    async fn attend<C: Future>(&self, mut connection: Pin<&mut C>, end: impl FnOnce(Pin<&mut C>), activity: &Activity) {
        let mut stop = self.stop.clone();
        // What ends a connection early (a reset, bytes that are no HTTP) is the peer's affair, and the error's text is
        // none of the log's.
        let last = tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            last = activity.over() => last,
            _ = stop.wait_for(|&stop| stop) => LAST_REQUEST,
        };
        end(connection.as_mut());
        timeout(last, connection).await.ok();
    }
}

/// Whether a peer without TLS speaks HTTP/2. What it sent stays in the socket.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; H2_BEGINS.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == first.len() || seen == 0 || !H2_BEGINS.starts_with(&first[..seen]) {
            return Ok(first == *H2_BEGINS);
        }
        // Until more has come. A peer that closes after so little is not told apart, and has the head's time.
        stream
            .async_io(Interest::READABLE, || match SockRef::from(stream).peek(&mut [MaybeUninit::uninit(); 3])? {
                now if now > seen => Ok(()),
                _ => Err(std::io::ErrorKind::WouldBlock.into()),
            })
            .await?;
    }
}
