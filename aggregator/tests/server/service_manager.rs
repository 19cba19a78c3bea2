//! What systemd passes, and what it is told: through a real datagram socket and a real passed listener.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{count, offer_all};
use crate::place::*;
use crate::server::{DEADLINE, Server, run_command, until};

/// Stands in for systemd: makes sockets, and becomes the program with them as descriptors 3 and up.
const PASSES_SOCKETS: &str = r"
import os, socket, sys
made = []
for kind in sys.argv[1].split(','):
    if kind == 'unix':
        made.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    elif kind == 'udp':
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    elif kind == 'file':
        made.append(open(os.devnull))
    else:
        made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    if kind in ('udp', 'tcp', 'deaf'):
        made[-1].bind(('127.0.0.1', 0))
    if kind == 'tcp':
        made[-1].listen(64)
high = [os.dup2(one.fileno(), 100 + i) for i, one in enumerate(made)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ['LISTEN_PID'] = str(os.getpid() + int(sys.argv[2]))
os.environ['LISTEN_FDS'] = str(len(made))
os.execvp(sys.argv[3], sys.argv[3:])
";

/// A command behind a parent that passes sockets; with `pid_off` other than 0, for another process.
pub fn with_passed(server: &Command, kinds: &str, pid_off: u32) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", PASSES_SOCKETS, kinds, &pid_off.to_string()]);
    command.arg(server.get_program()).args(server.get_args());
    command
}

/// The socket that systemd would read.
pub struct Manager(UnixDatagram);

impl Manager {
    pub fn new(place: &Place, command: &mut Command) -> Self {
        let socket = UnixDatagram::bind(place.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        command.env("NOTIFY_SOCKET", place.path("notify"));
        Self(socket)
    }

    pub fn next(&self) -> Option<Vec<String>> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap().lines().map(str::to_owned).collect())
    }

    /// Reads until a message has this line.
    pub fn until(&self, line: &str) -> Vec<String> {
        until(line, || self.next().filter(|message| message.iter().any(|found| found == line)))
    }
}

#[test]
fn a_passed_socket_is_served_instead_of_the_configured_one() {
    let place = crate::new_place();
    // This one cannot be bound, so it was not tried.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    place.write_config(&place.config().replace("127.0.0.1:0", &listen));
    let server = Server::spawn(&place, with_passed(&run_command(&place), "tcp", 0));
    assert_ne!(server.address.to_string(), listen);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    place.write_config(&place.config());
    let other = Server::spawn(&place, with_passed(&run_command(&place), "tcp", 1));
    assert_eq!(other.get("/readyz").status, 200, "sockets that are meant for another process are left alone");
}

#[test]
fn passed_sockets_that_cannot_be_served_are_refused() {
    let place = crate::new_place();
    for (kinds, part) in [
        ("tcp,tcp", "2 sockets were passed"),
        ("unix", "not a valid tcp socket"),
        ("udp", "not a valid tcp socket"),
        ("file", "not a socket"),
        ("deaf", "Accept=no"),
    ] {
        let output = with_passed(&run_command(&place), kinds, 0).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{kinds}: {message}");
        assert!(message.contains(part), "{kinds}: {message}");
    }
}

#[test]
fn systemds_own_activator_starts_it_with_the_first_connection() {
    let place = crate::new_place();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = run_command(&place);
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(free.to_string()).arg(server.get_program()).args(server.get_args());
    // It starts the program when somebody connects, so somebody does, until the program has said where it listens.
    let activated = std::thread::scope(|scope| {
        scope.spawn(|| until("the activator", || std::net::TcpStream::connect(free).ok()));
        match Command::new("systemd-socket-activate").arg("--version").output() {
            Ok(_) => Some(Server::spawn(&place, command)),
            Err(error) => {
                println!("SKIPPED: socket activation by systemd-socket-activate: {error}");
                None
            }
        }
    });
    let Some(server) = activated else { return };
    assert_eq!(server.address, free);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
}

#[test]
fn the_manager_is_told_of_every_state() {
    let place = crate::new_place();
    let mut command = run_command(&place);
    let manager = Manager::new(&place, &mut command);
    command.env("WATCHDOG_USEC", "10000000");
    let server = Server::spawn(&place, command);
    assert_eq!(manager.until("READY=1"), ["READY=1", "STATUS=serving"]);
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    server.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    let monotonic = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(monotonic.parse::<u64>().unwrap() > 0);
    assert_eq!(manager.until("READY=1"), ["READY=1", "STATUS=serving"]);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    assert_eq!(manager.until("STOPPING=1")[0], "STOPPING=1");
    assert_eq!(manager.next(), None, "nothing is told after that");
}

#[test]
fn without_a_watchdog_nobody_is_told_that_all_is_well() {
    let place = crate::new_place();
    let mut command = run_command(&place);
    let manager = Manager::new(&place, &mut command);
    let server = Server::spawn(&place, command);
    manager.until("READY=1");
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(3) {
        assert_eq!(manager.next(), None);
    }
    drop(server);
}

/// How long each fsync is made to take.
const STUCK_S: u64 = 5;

#[test]
fn a_server_that_hangs_in_a_commit_stops_feeding_the_watchdog() {
    let place = crate::new_place();
    // The store exists before, so that only the commit is slow.
    assert!(Server::start(&place).terminate().success());
    let slowly = || {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e"]);
        command.arg(format!("inject=fsync,fdatasync:delay_enter={}", STUCK_S * 1_000_000));
        command
    };
    match slowly().arg("true").output() {
        Ok(output) if output.status.success() => {}
        refused => {
            println!("SKIPPED: a watchdog that is not fed: strace: {refused:?}");
            return;
        }
    }
    let server = run_command(&place);
    let mut command = slowly();
    command.arg(server.get_program()).args(server.get_args());
    let manager = Manager::new(&place, &mut command);
    command.env("WATCHDOG_USEC", "10000000");
    let server = Server::spawn(&place, command);
    manager.until("READY=1");
    manager.until("WATCHDOG=1");
    let store = place.path("store.redb");
    let before = fs::metadata(&store).unwrap().modified().unwrap();
    let started = Instant::now();
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 202), 32, "the commit lasts longer than the hold");
    let mut fed = 0;
    while started.elapsed() < Duration::from_secs(STUCK_S - 1) {
        fed += usize::from(manager.next().is_some_and(|message| message == ["WATCHDOG=1"]));
    }
    assert!(fs::metadata(&store).unwrap().modified().unwrap() > before, "no commit was under way");
    assert!(fed <= 1, "the watchdog was fed {fed} times while nothing could be committed");
    let again = Instant::now();
    while manager.next().is_none_or(|message| message != ["WATCHDOG=1"]) {
        assert!(again.elapsed() < DEADLINE, "the watchdog is not fed after the commit");
    }
}
