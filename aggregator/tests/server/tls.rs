//! HTTPS, over both protocols.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::place::*;
use crate::server::{Server, refused, until};

pub fn with_certificate() -> (Place, CertificateDer<'static>) {
    let place = crate::new_place();
    let certificate = certify(&place);
    (place, certificate)
}

/// Gives a place's server a certificate.
pub fn certify(place: &Place) -> CertificateDer<'static> {
    let tls = format!("tls_certificate = {:?}\ntls_key = {:?}\n", place.path("certificate.pem"), place.path("key.pem"));
    place.write_config(&(place.config() + &tls));
    renew(place)
}

/// Writes a new certificate and its key.
fn renew(place: &Place) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(place.path("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(place.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// What a client needs that trusts one certificate and speaks one protocol.
fn trusting(certificate: &CertificateDer<'static>, alpn: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await
}

fn post(uri: &str, number: u32) -> Request<Full<Bytes>> {
    let body = flags(number..number + 1)[0].encode_padded(512);
    let request = Request::post(uri).header("content-type", "application/json").header("host", "localhost");
    request.body(Full::new(Bytes::from(body))).unwrap()
}

#[test]
fn reports_are_taken_over_tls_with_http_1_and_2() {
    let (place, certificate) = with_certificate();
    let server = Server::start(&place);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (number, alpn) in [(0, "h2"), (1, "http/1.1")] {
        let (status, answer) = runtime.block_on(async {
            let stream = connect(server.address, &trusting(&certificate, alpn)).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
            let io = TokioIo::new(stream);
            let response = if alpn == "h2" {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(post("https://localhost/v1/reports", number)).await.unwrap()
            } else {
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(post("/v1/reports", number)).await.unwrap()
            };
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        });
        assert_eq!(status, 202, "{alpn}");
        assert_eq!(answer.len(), hubbub_aggregator::ANSWER_BYTES);
    }
}

/// Waits until the log has said this so many times.
fn logged(place: &Place, what: &str, times: usize) {
    until(what, || {
        let log = fs::read_to_string(place.path("log")).unwrap();
        (log.matches(what).count() >= times).then_some(())
    });
}

#[test]
fn a_renewed_certificate_is_read_again_and_a_bad_one_is_not_taken() {
    let (place, old) = with_certificate();
    let server = Server::start(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accepts = |certificate| {
        let config = trusting(certificate, "http/1.1");
        runtime.block_on(async { connect(server.address, &config).await.is_ok() })
    };
    let kept = runtime.block_on(connect(server.address, &trusting(&old, "http/1.1"))).unwrap();

    let new = renew(&place);
    assert!(accepts(&old) && !accepts(&new), "nothing is read before it is asked for");
    server.signal(Signal::HUP);
    logged(&place, "read again", 1);
    assert!(accepts(&new) && !accepts(&old));

    let key = fs::read(place.path("key.pem")).unwrap();
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (times, bad) in [other.as_bytes(), b"no key", b""].into_iter().enumerate() {
        fs::write(place.path("key.pem"), bad).unwrap();
        server.signal(Signal::HUP);
        logged(&place, "the certificate that was in use stays", times + 1);
        assert!(accepts(&new), "{bad:?}");
    }
    fs::remove_file(place.path("certificate.pem")).unwrap();
    fs::write(place.path("key.pem"), key).unwrap();
    server.signal(Signal::HUP);
    logged(&place, "the certificate that was in use stays", 4);
    assert!(accepts(&new));

    // The connection from before all this still carries a report.
    let status = runtime.block_on(async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(kept)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(post("/v1/reports", 0)).await.unwrap().status()
    });
    assert_eq!(status, 202);
}

#[test]
fn a_hangup_without_tls_changes_nothing() {
    let place = crate::new_place();
    let server = Server::start(&place);
    server.signal(Signal::HUP);
    logged(&place, "no certificate to read again", 1);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn sessions_are_never_resumed_neither_before_nor_after_a_renewal() {
    let (place, certificate) = with_certificate();
    let server = Server::start(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for round in 1..=2 {
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone()).unwrap();
            // One configuration remembers what it could resume.
            let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let config = Arc::new(config);
            for connection in 0..3 {
                let kind = runtime.block_on(async {
                    let stream = connect(server.address, &config).await.unwrap();
                    let kind = stream.get_ref().1.handshake_kind();
                    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
                    tokio::spawn(driver);
                    // An answer is read, so tickets would have been too.
                    let request = Request::get("/healthz").header("host", "localhost").body(Full::<Bytes>::default());
                    assert_eq!(sender.send_request(request.unwrap()).await.unwrap().status(), 200);
                    kind
                });
                assert_eq!(kind, Some(rustls::HandshakeKind::Full), "connection {connection}, {version:?}");
            }
        }
        server.signal(Signal::HUP);
        logged(&place, "read again", round);
    }
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let (place, _) = with_certificate();
    let key = fs::read(place.path("key.pem")).unwrap();
    fs::write(place.path("key.pem"), "no key").unwrap();
    let (code, message) = refused(&place);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("key.pem") && message.contains("private key"), "{message}");
    fs::write(place.path("key.pem"), key).unwrap();
    fs::remove_file(place.path("certificate.pem")).unwrap();
    let (code, message) = refused(&place);
    assert_eq!(code, Some(3), "{message}");
    assert!(message.contains("certificate.pem"), "{message}");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(place.path("certificate.pem"), other.cert.pem()).unwrap();
    let (code, message) = refused(&place);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("do not work together"), "{message}");
}
