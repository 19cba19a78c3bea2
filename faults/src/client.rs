//! A client of raw bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use hubbub_privacy::{REPORT_BODY_BYTES, Report};

use crate::server::DEADLINE;

/// An HTTP/1.1 answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Status line and headers, with their final empty line.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// `status` and `code` of an answer to a report.
    pub fn verdict(&self) -> (u16, String, String) {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let field = |name: &str| json[name].as_str().unwrap().to_owned();
        (self.status, field("status"), field("code"))
    }
}

/// A connection that stays open.
pub struct Connection(pub TcpStream);

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(stream)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next answer, or none when the server has closed the connection.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !matches!(self.0.read(&mut byte), Ok(1)) {
                return None;
            }
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Reply { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// Offers a report and waits for the answer.
    pub fn offer(&mut self, report: &Report) -> Option<Reply> {
        self.send(&post(report.encode_padded(REPORT_BODY_BYTES).as_bytes()));
        self.reply()
    }
}

/// The value of a header.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The bytes of a good request.
pub fn post(body: &[u8]) -> Vec<u8> {
    post_with("Content-Type: application/json\r\n", body)
}

/// The bytes of a request with these headers.
pub fn post_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /v1/reports HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// One request on a fresh connection.
pub fn request(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(bytes);
    connection.reply().expect("an answer")
}

/// Offers a report on a fresh connection.
pub fn offer(address: SocketAddr, report: &Report) -> Reply {
    Connection::open(address).offer(report).expect("an answer")
}

/// Offers all at the same time, each on its own connection, and gives the answers in order; none where the server went
/// away.
pub fn offer_all(address: SocketAddr, reports: &[Report]) -> Vec<Option<Reply>> {
    std::thread::scope(|scope| {
        let offers: Vec<_> = reports
            .iter()
            .map(|report| {
                scope.spawn(move || {
                    let stream = TcpStream::connect(address).ok()?;
                    stream.set_read_timeout(Some(DEADLINE)).ok()?;
                    let mut connection = Connection(stream);
                    connection.0.write_all(&post(report.encode_padded(REPORT_BODY_BYTES).as_bytes())).ok()?;
                    connection.reply()
                })
            })
            .collect();
        offers.into_iter().map(|offer| offer.join().unwrap()).collect()
    })
}

/// How many answers have this status.
pub fn count(replies: &[Option<Reply>], status: u16) -> usize {
    replies.iter().flatten().filter(|reply| reply.status == status).count()
}
