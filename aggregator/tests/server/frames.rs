//! HTTP/2 by hand, so that its rules can be broken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::server::DEADLINE;

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// Setting: how much may be sent to us before we ask for more.
pub const INITIAL_WINDOW: u16 = 4;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// One setting.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A header field as HPACK without compression, entered into the dynamic table or not.
pub fn field(name: &str, value: &str, indexed: bool) -> Vec<u8> {
    let mut bytes = vec![if indexed { 0x40 } else { 0 }];
    for text in [name, value] {
        // A length of seven bits and more, least significant first.
        let mut rest = text.len();
        if rest < 127 {
            bytes.push(rest as u8);
        } else {
            bytes.push(127);
            rest -= 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The fields of a request without a body yet.
pub fn head(method: &str, path: &str) -> Vec<u8> {
    [field(":method", method, false), field(":path", path, false), vec![0x86], field(":authority", "a", false)].concat()
}

/// One received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection for which this end's kernel keeps next to nothing that is not read.
pub fn deaf_stream(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// A connection that has said hello.
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn new(address: SocketAddr, settings: &[u8]) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), settings)
    }

    pub fn over(stream: TcpStream, settings: &[u8]) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut peer = Self(stream);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        peer.send(&frame(SETTINGS, 0, 0, settings));
        peer
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends until all is sent or the server has closed the connection; says whether all was.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame, or none when the connection is closed. Panics when the server says nothing for too long.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        if !self.read(&mut head) {
            return None;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        self.read(&mut payload).then_some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn read(&mut self, bytes: &mut [u8]) -> bool {
        match self.0.read_exact(bytes) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("neither a frame nor the end came")
            }
            Err(_) => false,
        }
    }

    /// All frames until the server closes the connection. Pings are answered, as a healthy peer does.
    pub fn until_closed(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(received) = self.next() {
            if received.kind == PING && received.flags & ACK == 0 {
                self.try_send(&frame(PING, ACK, 0, &received.payload));
            }
            frames.push(received);
        }
        frames
    }
}
