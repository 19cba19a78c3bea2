//! HTTPS, over both protocols.

use std::fs;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::place::*;
use crate::server::{Server, refused};

fn with_certificate() -> (Place, CertificateDer<'static>) {
    let place = crate::new_place();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(place.path("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(place.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls_certificate = {:?}\ntls_key = {:?}\n", place.path("certificate.pem"), place.path("key.pem"));
    place.write_config(&(place.config() + &tls));
    (place, made.cert.der().clone())
}

#[test]
fn reports_are_taken_over_tls_with_http_1_and_2() {
    let (place, certificate) = with_certificate();
    let server = Server::start(&place);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (number, alpn) in [(0, "h2"), (1, "http/1.1")] {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let body = flags(number..number + 1)[0].encode_padded(512);
        let request = |uri: &str| {
            let request = Request::post(uri).header("content-type", "application/json").header("host", "localhost");
            request.body(Full::new(Bytes::from(body.clone()))).unwrap()
        };
        let (status, answer) = runtime.block_on(async {
            let stream = TcpStream::connect(server.address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
            let io = TokioIo::new(stream);
            let response = if alpn == "h2" {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request("https://localhost/v1/reports")).await.unwrap()
            } else {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request("/v1/reports")).await.unwrap()
            };
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        });
        assert_eq!(status, 202, "{alpn}");
        assert_eq!(answer.len(), hubbub_aggregator::ANSWER_BYTES);
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
