//! Many requests at once from one thread, by connections that stay quiet when the server goes away.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::client::{Reply, header};
use crate::crowd::Offered;
use crate::server::DEADLINE;

/// An answer that is not there by then may wait for others to fill its group.
const PROMPT: Duration = Duration::from_millis(100);

/// A connection with its answers, one after the other.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl Wire {
    /// Connects; none when nobody listens.
    pub fn open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, received: Vec::new(), ended: false })
    }

    /// Connects from an address of this machine.
    pub fn open_from(source: SocketAddr, address: SocketAddr) -> Option<Self> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(source)?;
            socket.connect(address).await?.into_std()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
        let stream = runtime.block_on(connect).ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, received: Vec::new(), ended: false })
    }

    /// Whether the server has closed it.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads what comes and looks at nothing of it, until the server closes the connection or is silent for so long.
    pub fn read_away(&mut self, silence: Duration) {
        self.received.clear();
        if self.stream.set_read_timeout(Some(silence)).is_ok() {
            let mut bytes = [0; 2048];
            while self.stream.read(&mut bytes).is_ok_and(|length| length > 0) {}
        }
    }

    /// Both its ends as the server's side names them in a trace.
    pub fn seen_by_server(&self) -> Option<String> {
        Some(format!("TCP:[{}->{}]", self.stream.peer_addr().ok()?, self.stream.local_addr().ok()?))
    }

    /// Sends bytes; whether the connection took them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next answer; none when there is none within the time, or no more.
    pub fn reply(&mut self, within: Duration) -> Option<Reply> {
        self.stream.set_read_timeout(Some(within)).ok()?;
        loop {
            if let Some(reply) = self.take() {
                return Some(reply);
            }
            let mut bytes = [0; 2048];
            match self.stream.read(&mut bytes) {
                Ok(length) if length > 0 => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                _ => {
                    self.ended = true;
                    return None;
                }
            }
        }
    }

    fn take(&mut self) -> Option<Reply> {
        let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
        let body = self.received.get(end..end + length)?;
        let body = String::from_utf8(body.to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        self.received.drain(..end + length);
        Some(Reply { status, head, body })
    }
}

/// What happens to requests that are held.
#[derive(Debug, Clone, Copy)]
pub enum Offer<'a> {
    /// They are waited for.
    Wait,
    /// These further requests are sent, whose answers nobody reads.
    Fill(&'a [&'a [u8]]),
}

/// Offers reports on fresh connections, all at once, and gives the answers in order; none where the server went away.
pub fn volley(address: SocketAddr, offers: &[Offered], held: Offer<'_>) -> Vec<Option<Reply>> {
    let mut wires: Vec<Option<Wire>> = Vec::new();
    for offer in offers {
        let wire = Wire::open(address);
        let gone = wire.is_none();
        wires.push(wire);
        if gone {
            break;
        }
        let sent = wires.last_mut().and_then(Option::as_mut).is_some_and(|wire| wire.send(&offer.request));
        if !sent {
            break;
        }
    }
    wires.resize_with(offers.len(), || None);
    let mut fillers = Vec::new();
    let mut replies = Vec::new();
    for wire in &mut wires {
        let reply = wire.as_mut().and_then(|wire| match held {
            Offer::Fill(fill) if fillers.is_empty() => wire.reply(PROMPT).or_else(|| {
                fillers = fill
                    .iter()
                    .filter_map(|request| {
                        let mut wire = Wire::open(address)?;
                        wire.send(request).then_some(wire)
                    })
                    .collect();
                wire.reply(DEADLINE)
            }),
            _ => wire.reply(DEADLINE),
        });
        replies.push(reply);
    }
    replies
}
