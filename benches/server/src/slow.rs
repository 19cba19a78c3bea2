//! Dishonest clients: each sends a byte of a request's head now and then, and comes again when it is cut off.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;

const EVENTS: usize = 1_024;
const HEAD: &[u8] = b"POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";

/// What is asked of [`trickle`].
#[derive(Debug, Clone, Copy)]
pub struct Slowness {
    /// The server.
    pub address: SocketAddr,
    /// Connections held open.
    pub connections: usize,
    /// The time between two bytes of one connection.
    pub every: Duration,
    /// How long to go on.
    pub lasts: Duration,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Trickle {
    /// Connections begun.
    pub opened: u64,
    /// Connections that the server ended.
    pub cut_off: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// Keeps slow connections for as long as asked.
///
/// # Errors
/// When the system gives no more sockets.
pub fn trickle(slowness: Slowness) -> io::Result<Trickle> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let mut clients: Vec<Option<(TcpStream, usize)>> = (0..slowness.connections).map(|_| None).collect();
    let mut outcome = Trickle::default();
    let begin = Instant::now();
    let mut turns = 0;
    while begin.elapsed() < slowness.lasts {
        // Everyone has a turn in each interval, evenly over it.
        let due = begin.elapsed().as_secs_f64() / slowness.every.as_secs_f64() * slowness.connections as f64;
        while turns < due as usize {
            let number = turns % slowness.connections;
            turns += 1;
            let client = &mut clients[number];
            match client {
                None => {
                    let mut stream = TcpStream::connect(slowness.address)?;
                    poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
                    *client = Some((stream, 0));
                    outcome.opened += 1;
                }
                Some((stream, sent)) => {
                    let byte = HEAD.get(*sent).copied().unwrap_or(b'x');
                    // Not yet connected, or cut off: the next event says so.
                    if stream.write(&[byte]).is_ok() {
                        *sent += 1;
                        outcome.bytes += 1;
                    }
                }
            }
        }
        match poll.poll(&mut events, Some(Duration::from_millis(2))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let client = &mut clients[event.token().0];
            let Some((stream, _)) = client else { continue };
            let mut bytes = [0; 1024];
            let open = match stream.read(&mut bytes) {
                Ok(length) => length > 0,
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected),
            };
            if !open {
                outcome.cut_off += 1;
                *client = None;
            }
        }
    }
    Ok(outcome)
}
