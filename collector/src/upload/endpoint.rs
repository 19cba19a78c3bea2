//! Where the server is.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::Scheme;
use thiserror::Error;

/// The server's only path for reports.
const REPORTS: &str = "/v1/reports";

/// Why a URL is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("endpoint `{url}`: {reason}")]
pub struct EndpointError {
    url: String,
    reason: &'static str,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    is_tls: bool,
    path: String,
}

impl Endpoint {
    /// The endpoint of a URL: `https://host[:port][/prefix]`, or `http` for this machine itself.
    ///
    /// # Errors
    /// [`EndpointError`] saying what to write instead.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let refused = |reason| EndpointError { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|_| refused("not a URL; write https://metrics.example.org, say"))?;
        let authority = uri.authority().ok_or_else(|| refused("no host; write https://metrics.example.org, say"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(refused("user names and queries are refused: nothing identifying may stand in the URL"));
        }
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(refused("not http or https")),
        };
        let prefix = uri.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix(REPORTS).unwrap_or(prefix);
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let endpoint = Self { host, port, is_tls, path: format!("{prefix}{REPORTS}") };
        if !is_tls && !endpoint.is_loopback() {
            return Err(refused("plain http is only for a server on this machine; write https"));
        }
        Ok(endpoint)
    }

    /// Whether the server is this machine itself.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether to speak TLS.
    pub(super) const fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The value of the Host header.
    pub(super) fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.host_header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_endpoints() {
        for (url, host, path) in [
            ("https://metrics.example.org", "metrics.example.org", "/v1/reports"),
            ("https://metrics.example.org:8443/", "metrics.example.org:8443", "/v1/reports"),
            ("https://example.org/hubbub/", "example.org", "/hubbub/v1/reports"),
            ("https://example.org/v1/reports", "example.org", "/v1/reports"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/v1/reports"),
            ("http://[::1]:8080", "[::1]:8080", "/v1/reports"),
            ("http://localhost", "localhost", "/v1/reports"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.host_header().as_str(), endpoint.path()), (host, path), "{url}");
        }
    }

    #[test]
    fn urls_that_could_identify_or_be_overheard_are_refused() {
        for url in [
            "http://metrics.example.org",
            "http://192.168.0.1",
            "https://me@example.org",
            "https://example.org/?device=7",
            "ftp://example.org",
            "example.org",
            "/v1/reports",
            "",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url} was accepted");
        }
    }
}
