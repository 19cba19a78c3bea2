//! A server that answers what a test tells it and keeps every byte it was sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request, on one connection.
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
    pub peer: SocketAddr,
}

/// A listening server with its answers.
pub struct Server {
    pub url: String,
    received: Receiver<Received>,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

/// An answer of the contract.
pub fn answer(status: u16, word: &str, code: &str) -> String {
    let body = format!("{{\"status\":\"{word}\",\"code\":\"{code}\"}}");
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer with a `Retry-After`.
pub fn slow_down(status: u16, seconds: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n")
}

impl Server {
    /// A server that gives `answers` one after the other, and the last one for ever. An empty answer closes the
    /// connection without a word.
    pub fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (send, received) = channel();
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut answers = answers.into_iter().peekable();
            let mut current = String::new();
            for stream in listener.incoming() {
                if stopped.try_recv().is_ok() {
                    return;
                }
                let mut stream = stream.unwrap();
                if let Some(next) = answers.next() {
                    current = next;
                }
                let Some(request) = read(&mut stream) else { continue };
                if !current.is_empty() {
                    stream.write_all(current.as_bytes()).unwrap();
                }
                if send.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url: format!("http://{address}"), received, stop, thread: Some(thread), address }
    }

    /// Everything received until now.
    pub fn received(&self) -> Vec<Received> {
        self.received.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send(()).unwrap();
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let peer = stream.peer_addr().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.expect("every report has a length");
    let mut body = bytes.split_off(head_end);
    while body.len() < length {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).unwrap() {
            0 => break,
            n => body.extend_from_slice(&chunk[..n]),
        }
    }
    Some(Received { head, body, peer })
}
