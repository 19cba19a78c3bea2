//! Honest clients: each keeps its connection, and offers its next report when the last is answered.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;

use crate::{Latencies, Requests};

/// Events taken from the system at once.
const EVENTS: usize = 1_024;
/// Longer than any answer.
const ANSWER_BYTES: usize = 4 << 10;
/// What the server's hold and a commit may take at the end of a run.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
/// How often the clock is looked at when nothing happens.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections opened before the server gets to accept: fewer than the kernel's queue holds.
const OPENED_AT_ONCE: usize = 100;

/// What is asked of [`offer`].
#[derive(Debug, Clone, Copy)]
pub struct Offering {
    /// The server.
    pub address: SocketAddr,
    /// Connections, each with one report on its way.
    pub connections: usize,
    /// How long to offer before figures are taken.
    pub warm_up: Duration,
    /// How long figures are taken.
    pub measured: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Answers a second while figures were taken.
    pub answers_per_s: f64,
    /// The median time to an answer, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of it.
    pub p99_ms: f64,
    /// All answers by status, outside the measured time too.
    pub answers: BTreeMap<u16, u64>,
    /// The numbers of the reports that were answered 202.
    pub pending: Vec<u64>,
    /// Reports without an answer: the connection ended.
    pub lost: u64,
}

struct Client {
    stream: TcpStream,
    /// The request on its way, and when it left.
    offered: Option<(u64, Instant)>,
    answer: Vec<u8>,
}

struct Load<'a> {
    requests: &'a Requests,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    answers: BTreeMap<u16, u64>,
    pending: Vec<u64>,
    lost: u64,
}

/// Offers fresh reports for as long as asked, then waits for the last answers.
///
/// # Errors
/// When connections cannot be made. Those that end later are counted.
pub fn offer(offering: Offering, requests: &Requests) -> io::Result<Outcome> {
    let mut load = Load::connect(offering.address, offering.connections, requests)?;
    let mut next = 0..u64::MAX;
    load.send_all(&mut next);
    let begin = Instant::now() + offering.warm_up;
    load.drive(begin, &mut next, |_| {})?;
    let (mut latencies, mut measured) = (Latencies::default(), 0);
    let end = begin + offering.measured;
    load.drive(end, &mut next, |latency| {
        latencies.add(latency);
        measured += 1;
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    load.drive(Instant::now() + LAST_ANSWERS, &mut std::iter::empty(), |_| {})?;
    Ok(Outcome {
        answers_per_s: f64::from(measured) / seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p99_ms: latencies.quantile_ms(0.99),
        answers: load.answers,
        pending: load.pending,
        lost: load.lost,
    })
}

/// Offers reports that were answered 202 once more, all at the same time, and says how many are counted by now.
///
/// # Errors
/// When connections cannot be made.
pub fn repeat(address: SocketAddr, requests: &Requests, pending: &[u64]) -> io::Result<u64> {
    let mut load = Load::connect(address, pending.len(), requests)?;
    load.send_all(&mut pending.iter().copied());
    load.drive(Instant::now() + LAST_ANSWERS, &mut std::iter::empty(), |_| {})?;
    Ok(load.answers.get(&200).copied().unwrap_or(0))
}

impl<'a> Load<'a> {
    fn connect(address: SocketAddr, connections: usize, requests: &'a Requests) -> io::Result<Self> {
        let mut load = Self {
            requests,
            poll: Poll::new()?,
            clients: Vec::new(),
            buffer: Vec::new(),
            answers: BTreeMap::new(),
            pending: Vec::new(),
            lost: 0,
        };
        for number in 0..connections {
            // Blocking: the connection stands before the first request.
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            load.poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            load.clients.push(Client { stream, offered: None, answer: Vec::new() });
            if number % OPENED_AT_ONCE == OPENED_AT_ONCE - 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(load)
    }

    fn send_all(&mut self, next: &mut impl Iterator<Item = u64>) {
        for number in 0..self.clients.len() {
            self.send(number, next);
        }
    }

    fn send(&mut self, number: usize, next: &mut impl Iterator<Item = u64>) {
        let client = &mut self.clients[number];
        let Some(n) = next.next() else { return };
        self.requests.write(n, &mut self.buffer);
        // An empty socket takes a request whole; one that does not is as good as broken.
        match client.stream.write(&self.buffer) {
            Ok(sent) if sent == self.buffer.len() => client.offered = Some((n, Instant::now())),
            _ => self.lost += 1,
        }
    }

    /// Takes answers and sends what is next, until `end` or until nothing is on its way.
    fn drive(
        &mut self,
        end: Instant,
        next: &mut impl Iterator<Item = u64>,
        mut taken: impl FnMut(Duration),
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while Instant::now() < end && self.clients.iter().any(|client| client.offered.is_some()) {
            match self.poll.poll(&mut events, Some(PAUSE)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                let number = event.token().0;
                if let Some(latency) = self.receive(number) {
                    taken(latency);
                    self.send(number, next);
                }
            }
        }
        Ok(())
    }

    /// Reads what has come to a client, and gives the time the answer took once it is whole.
    fn receive(&mut self, number: usize) -> Option<Duration> {
        let client = &mut self.clients[number];
        let mut bytes = [0; ANSWER_BYTES];
        match client.stream.read(&mut bytes) {
            Ok(length @ 1..) => client.answer.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            _ => {
                self.lost += u64::from(client.offered.take().is_some());
                return None;
            }
        }
        let status = whole_answer(&client.answer)?;
        client.answer.clear();
        let (n, sent) = client.offered.take()?;
        *self.answers.entry(status).or_default() += 1;
        if status == 202 {
            self.pending.push(n);
        }
        Some(sent.elapsed())
    }
}

/// The status of an answer that has arrived in full.
fn whole_answer(bytes: &[u8]) -> Option<u16> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let lower = bytes[..head].to_ascii_lowercase();
    let name = b"content-length: ";
    let at = lower.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = lower[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?;
    if bytes.len() >= head + length { status.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\nx: y\r\n\r\nabc";
        assert_eq!(whole_answer(answer), Some(202));
        for length in 0..answer.len() {
            assert_eq!(whole_answer(&answer[..length]), None, "{length}");
        }
    }
}
