//! The uploader over TLS: only to a server that can prove who it is, and never resuming.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::bench::{assert_fails, run, week};
use crate::server::answer;

/// Serves `connections` connections and tells how each handshake went, and how long each body was.
fn serve(
    listener: TcpListener,
    made: CertifiedKey<KeyPair>,
    connections: usize,
) -> Vec<Option<(HandshakeKind, usize)>> {
    let certificates = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    let serve_one = |mut stream: StreamOwned<ServerConnection, std::net::TcpStream>| {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"  ") {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).ok()? {
                0 => return None,
                n => bytes.extend_from_slice(&chunk[..n]),
            }
        }
        stream.write_all(answer(200, "counted", "counted").as_bytes()).ok()?;
        let body = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        Some((stream.conn.handshake_kind()?, bytes.len() - body))
    };
    let accept = |_| {
        let (stream, _) = listener.accept().unwrap();
        serve_one(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream))
    };
    (0..connections).map(accept).collect()
}

#[test]
fn reports_travel_over_tls_without_resumption_and_only_to_the_right_server() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = dir.path().join("outbox");
    fs::create_dir(&outbox).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let period = week("2026-W47");
    let report = format!(
        "{{\"v\":1,\"metric\":3,\"version\":1,\"period\":\"{period}\",\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"report\":1}}"
    );
    for n in 1..=2 {
        fs::write(outbox.join(format!("{:012}-{n:016x}.json", period.end())), format!("{report:<512}")).unwrap();
    }
    let clock = dir.path().join("clock");
    fs::write(&clock, (period.end() + 10).to_string()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    // Two attempts without the authority, then two with it.
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let authority = text(&dir.path().join("ca.pem"));
    fs::write(&authority, made.cert.pem()).unwrap();
    let server = std::thread::spawn(move || serve(listener, made, 4));
    let upload = |ca: Option<String>| {
        let config = dir.path().join("upload.toml");
        fs::write(&config, ca.map_or(String::new(), |ca| format!("ca_file = \"{ca}\""))).unwrap();
        let (outbox, config, clock) = (text(&outbox), text(&config), text(&clock));
        let arguments = ["--outbox", &outbox, "--config", &config, "--endpoint", &url, "--test-clock", &clock];
        run("hubbub-upload", &arguments)
    };
    assert_fails(&upload(None), 4, &["localhost", "kept"]);
    fs::write(&clock, (period.end() + 24 * 3600).to_string()).unwrap();
    let output = upload(Some(authority));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = server.join().unwrap();
    assert_eq!(seen[..2], [None, None], "a report went to a server that could not prove who it is");
    assert_eq!(seen[2..], [Some((HandshakeKind::Full, 512)), Some((HandshakeKind::Full, 512))]);
}
