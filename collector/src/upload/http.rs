//! One report, one connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;

/// For connecting, and again for the answer: a busy server holds a request for about 2 s.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Answers have some dozens of bytes.
const LARGEST_ANSWER: usize = 4096;
/// Codes of the contract are short words in snake case.
const LONGEST_CODE: usize = 64;

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The contract's code; empty when the answer is not of the contract.
    pub code: String,
    /// What `Retry-After` asks for, in seconds.
    pub retry_after_s: Option<i64>,
    /// Whether the body speaks against a status of 200: cut short, somebody else's page, or another verdict.
    pub is_doubtful: bool,
}

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum PostError {
    /// No connection.
    #[error("connecting: {0}")]
    Connect(io::Error),
    /// The server could not prove who it is, or speaks no TLS.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The connection broke.
    #[error("no answer: {0}")]
    Broken(#[from] hyper::Error),
    /// Nothing came in time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
}

impl PostError {
    /// What the owner's log says.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "tls_failed",
            Self::Broken(_) | Self::Timeout => "no_answer",
        }
    }
}

/// The body of every answer of the contract; its `status` repeats the HTTP status.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    status: String,
    #[serde(default)]
    code: String,
}

/// Sends reports to one server.
pub struct Poster {
    endpoint: Endpoint,
    tls: TlsConnector,
}

impl Poster {
    /// A poster that trusts `roots`.
    pub fn new(endpoint: Endpoint, roots: Arc<RootCertStore>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring serves TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session would tell the server that two reports came from one device.
        config.resumption = Resumption::disabled();
        Self { endpoint, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Offers a report on a connection of its own.
    ///
    /// # Errors
    /// [`PostError`] when no whole answer came.
    pub async fn post(&self, report: Bytes) -> Result<Answer, PostError> {
        let within = |work| tokio::time::timeout(TIMEOUT, work);
        let stream = within(TcpStream::connect(self.endpoint.address())).await;
        let stream = stream.map_err(|_| PostError::Timeout)?.map_err(PostError::Connect)?;
        if !self.endpoint.is_tls() {
            return self.exchange(stream, report).await;
        }
        let name = server_name(self.endpoint.address().0)?;
        let stream = tokio::time::timeout(TIMEOUT, self.tls.connect(name, stream)).await;
        self.exchange(stream.map_err(|_| PostError::Timeout)?.map_err(PostError::Tls)?, report).await
    }

    async fn exchange<S>(&self, stream: S, report: Bytes) -> Result<Answer, PostError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        // Host, Content-Type and, from the body's size, Content-Length: nothing that tells devices apart.
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.path())
            .header(HOST, self.endpoint.host_header())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(report))
            .expect("the endpoint was a URL");
        let answer = tokio::time::timeout(TIMEOUT, async {
            let response = sender.send_request(request).await?;
            Ok(read(response).await)
        })
        .await;
        driver.abort();
        answer.map_err(|_| PostError::Timeout)?
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, PostError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(host.to_owned()).map_err(|error| PostError::Tls(io::Error::other(error)))
}

/// A body that is cut short or not of the contract makes a 200 doubtful; other statuses stand without it.
async fn read(response: Response<Incoming>) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|text| text.trim().parse().ok());
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.ok().map(|body| body.to_bytes());
    let said: Option<Said> = body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
    let is_doubtful = match (&body, &said) {
        (_, Some(said)) => !matches!(said.status.as_str(), "" | "counted"),
        (Some(body), None) => !body.is_empty(),
        (None, None) => true,
    };
    let is_code = |code: &String| {
        code.len() <= LONGEST_CODE && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let code = said.map(|said| said.code).filter(is_code).unwrap_or_default();
    Answer { status, code, retry_after_s, is_doubtful }
}
