//! packaging/nginx.conf before three shipped nodes, run by a real nginx without privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use hubbub_privacy::{Payload, REPORT_BODY_BYTES, Report};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::client::post_with;
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{DEADLINE, Server, export, until};

/// Where the devices of these tests come from: an address that nothing else here has.
const DEVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// `nobody`, when the test itself runs as root.
const NOBODY: u32 = 65_534;

/// A running nginx; killed when dropped.
struct Nginx {
    directory: TempDir,
    process: Child,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Nginx {
    /// The shipped file, with other addresses and paths.
    fn start(nodes: [SocketAddr; 3]) -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(path("certificate.pem"), made.cert.pem()).unwrap();
        fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let address = free_address();
        let mut text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/nginx.conf")).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|module| format!("    {module}_temp_path {};\n", path(module)))
            .concat();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "packaging/nginx.conf has no `{from}`");
            text = text.replace(from, to);
        };
        for (number, node) in nodes.iter().enumerate() {
            replace(&format!("10.0.0.{}:8080", number + 1), &node.to_string());
        }
        replace("listen 443 ", &format!("listen {address} "));
        replace("/etc/hubbub/certificate.pem", &path("certificate.pem"));
        replace("/etc/hubbub/key.pem", &path("key.pem"));
        replace("/run/nginx.pid", &path("nginx.pid"));
        replace("/var/log/nginx/error.log", &path("error.log"));
        // This machine may allow fewer descriptors.
        replace("worker_rlimit_nofile 32768;\n", "");
        replace("worker_connections 12288;", "worker_connections 512;");
        replace("http {\n", &format!("http {{\n{temporary}"));
        fs::write(path("nginx.conf"), text).unwrap();

        let mut command = unprivileged(directory.path());
        let output = fs::File::create(path("output")).unwrap();
        command.args(["nginx", "-p", &path(""), "-e", &path("error.log"), "-c", &path("nginx.conf")]);
        command.args(["-g", "daemon off;"]).stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::null());
        let mut process = command.spawn().expect("scripts/need nginx=nginx-light");
        until("nginx", || {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("{status}: {}", fs::read_to_string(directory.path().join("output")).unwrap());
            }
            TcpStream::connect(address).ok()
        });
        Self { directory, process, address, certificate: made.cert.der().clone() }
    }

    /// What a client remembers between its connections.
    fn client(&self) -> Arc<ClientConfig> {
        self.client_of(rustls::DEFAULT_VERSIONS)
    }

    fn client_of(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// One request on a fresh connection from the devices' address: status, whole answer, kind of handshake.
    fn ask(&self, client: &Arc<ClientConfig>, bytes: &[u8]) -> (u16, String, HandshakeKind) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((DEVICE, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream =
            StreamOwned::new(ClientConnection::new(client.clone(), name).unwrap(), TcpStream::from(socket));
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // nginx may end without TLS's own goodbye.
        stream.read_to_end(&mut answer).ok();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{answer:?}"))[..3].parse().unwrap();
        (status, answer, stream.conn.handshake_kind().unwrap())
    }

    /// Offers all at the same time, some at once; status by report, all that was answered when one was offered often.
    fn offer(&self, reports: &[Report]) -> BTreeMap<String, BTreeSet<u16>> {
        let (client, next) = (self.client(), Mutex::new(reports.iter()));
        let answers = Mutex::new(BTreeMap::<String, BTreeSet<u16>>::new());
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    loop {
                        let Some(report) = next.lock().unwrap().next() else { break };
                        let (status, _, _) = self.ask(&client, &honey(report));
                        answers.lock().unwrap().entry(report.id.to_string()).or_default().insert(status);
                    }
                });
            }
        });
        answers.into_inner().unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends its workers; a killed one would leave them behind.
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}

/// The beginning of a command that runs without privileges and owns this directory.
fn unprivileged(directory: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    for entry in fs::read_dir(directory).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]);
    command
}

const HONEY: [&str; 4] = ["HoneyAgent/77.1", "203.0.113.77", "honey-cookie", "honey-via"];

/// A report with everything that must not travel further.
fn honey(report: &Report) -> Vec<u8> {
    let headers = "Content-Type: application/json\r\nUser-Agent: HoneyAgent/77.1\r\nX-Forwarded-For: 203.0.113.77\r\n\
                   Cookie: a=honey-cookie\r\nVia: honey-via\r\nConnection: close\r\n";
    post_with(headers, report.encode_padded(REPORT_BODY_BYTES).as_bytes())
}

/// Every report three times, in an order of its own.
fn shuffled(reports: &[Report]) -> Vec<Report> {
    let all: Vec<&Report> = reports.iter().chain(reports).chain(reports).collect();
    // A step without a common factor visits each place once.
    let step =
        (101..).find(|step| (0..all.len()).map(|n| n * step % all.len()).collect::<BTreeSet<_>>().len() == all.len());
    (0..all.len()).map(|n| all[n * step.unwrap() % all.len()].clone()).collect()
}

/// One report for each output of [`MARKER`] in a week.
fn markers_of(week: &str, ids: u32) -> Vec<Report> {
    (0..256).map(|y| report(MARKER, week, ids + y, Payload::Number(y))).collect()
}

/// Three nodes whose addresses stay the same over restarts.
struct Nodes([(Place, SocketAddr, Option<Server>); 3]);

impl Nodes {
    fn start() -> Self {
        Self(["a", "b", "c"].map(|name| {
            let (place, address) = (crate::new_place(), free_address());
            let config = place.config().replace("127.0.0.1:0", &address.to_string());
            place.write_config(&config.replace("node = \"a\"", &format!("node = {name:?}")));
            let server = Server::start(&place);
            (place, address, Some(server))
        }))
    }

    fn addresses(&self) -> [SocketAddr; 3] {
        self.0.each_ref().map(|node| node.1)
    }

    /// What each node has counted of a week's markers.
    fn counted(&self, week: &str) -> [Vec<i64>; 3] {
        let mut names = ["a", "b", "c"].iter();
        self.0.each_ref().map(|(place, _, _)| {
            let output = export(place);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let name = names.next().unwrap();
            let file = place.path(&format!("counters/metric=test.marker/version=1/period={week}/node={name}.parquet"));
            if file.exists() { read_counters(&file).1 } else { vec![0; 256] }
        })
    }
}

/// Each marker at most once over all nodes, and those that were answered 200 exactly once.
fn assert_once(counted: &[Vec<i64>; 3], sent: &[Report], answers: &BTreeMap<String, BTreeSet<u16>>) {
    for report in sent {
        let Payload::Number(y) = report.payload else { unreachable!() };
        let total: i64 = counted.iter().map(|node| node[y as usize]).sum();
        let acknowledged = answers[&report.id.to_string()].contains(&200);
        assert!(total == 1 || total == 0 && !acknowledged, "marker {y} was counted {total} times");
    }
}

#[test]
fn reports_through_nginx_are_counted_once_whichever_node_dies() {
    let mut nodes = Nodes::start();
    let nginx = Nginx::start(nodes.addresses());
    let first = markers_of("2026-W47", 1000);
    nginx.offer(&shuffled(&first));
    let answers = nginx.offer(&shuffled(&first));
    assert!(answers.values().flatten().all(|status| matches!(status, 200 | 202)), "{answers:?}");
    let counted = nodes.counted("2026-W47");
    assert_once(&counted, &first, &answers);
    let shares = counted.each_ref().map(|node| node.iter().sum::<i64>());
    assert!(shares.iter().all(|&share| share >= 32), "{shares:?}: somebody has no share");
    // At most 31 wait on each node.
    assert!(shares.iter().sum::<i64>() >= 256 - 3 * 31, "{shares:?}");

    // A node dies. Only what it would get is refused, always the same, and nobody else takes it.
    nodes.0[1].2.take().unwrap().kill();
    let second = markers_of("2026-W46", 2000);
    let answers = nginx.offer(&shuffled(&second));
    let refused: BTreeSet<&String> =
        answers.iter().filter(|(_, found)| found.contains(&502)).map(|(id, _)| id).collect();
    assert!((32..=192).contains(&refused.len()), "{} of 256 were refused", refused.len());
    for (id, statuses) in &answers {
        assert!(!refused.contains(id) || statuses.len() == 1, "{id} had a second home: {statuses:?}");
    }
    nodes.0[1].2 = Some(Server::start(&nodes.0[1].0));
    let answers = nginx.offer(&shuffled(&second));
    assert!(answers.values().flatten().all(|status| matches!(status, 200 | 202)), "{answers:?}");
    assert_once(&nodes.counted("2026-W46"), &second, &answers);

    // What is refused on the way, for the logs to have something to say.
    let client = nginx.client();
    assert_eq!(nginx.ask(&client, &post_with("Connection: close\r\n", &[b' '; 5000])).0, 413);
    assert_eq!(nginx.ask(&client, b"POST /v1/reports HTTP/1.1\r\nHost: HoneyAgent/77.1\r\n\r\n").0, 400);
    for path in ["/healthz", "/readyz", "/metrics", "/", "/v1/reports/"] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(nginx.ask(&client, get.as_bytes()).0, 404, "{path}");
    }
    let (status, page, _) = nginx.ask(&client, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(status == 200 && page.contains("\"openapi\": \"3.1.0\""), "{page}");

    let mut secrets: Vec<String> = HONEY.iter().map(|&honey| honey.to_owned()).collect();
    secrets.push(DEVICE.to_string());
    secrets.extend(first.iter().chain(&second).map(|report| report.id.to_string()));
    let mut files: Vec<(PathBuf, Vec<u8>)> = nodes.0.iter().flat_map(|(place, _, _)| place.all_files()).collect();
    collect(nginx.directory.path(), &mut files);
    assert!(files.iter().any(|(path, bytes)| path.ends_with("error.log") && !bytes.is_empty()), "nginx logs its start");
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(&bytes);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {}", path.display());
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(bytes) = fs::read(&path) {
            files.push((path, bytes));
        }
    }
}

#[test]
fn nginx_passes_on_nothing_of_a_peer_and_resumes_nothing() {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::start([node.local_addr().unwrap(); 3]);
    let report = flags(0..1).remove(0);
    let (sent, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let (mut stream, _) = node.accept().unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b" ") {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).unwrap();
                assert!(length > 0);
                bytes.extend_from_slice(&part[..length]);
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8(bytes).unwrap()
        });
        (nginx.ask(&nginx.client(), &honey(&report)), seen.join().unwrap())
    });
    assert_eq!(sent.0, 202);
    for secret in HONEY.iter().copied().chain(["127.0.0.2"]) {
        assert!(!seen.contains(secret), "{seen}");
    }
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, report.encode_padded(REPORT_BODY_BYTES));
    let names: BTreeSet<String> =
        head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_ascii_lowercase()).collect();
    assert!(names.iter().map(String::as_str).eq(["content-length", "content-type", "host"]), "{names:?}");

    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = nginx.client_of(&[version]);
        for connection in 0..3 {
            let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            assert_eq!(nginx.ask(&client, get).2, HandshakeKind::Full, "connection {connection}, {version:?}");
        }
    }
}
