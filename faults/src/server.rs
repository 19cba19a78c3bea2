//! A server process that ends with its test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{self, Reply};
use crate::place::Place;

/// How long anything that should happen may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The same, as it says it.
    pub url: String,
}

/// The command that runs the server of a place.
pub fn run_command(place: &Place) -> Command {
    let mut command = Command::new(place.program());
    command.arg("run").arg("--config").arg(place.path("aggregator.toml"));
    command.arg("--test-clock").arg(place.path("clock"));
    command
}

/// Runs `export` to its end.
pub fn export(place: &Place) -> Output {
    let mut command = Command::new(place.program());
    command.arg("export").arg("--config").arg(place.path("aggregator.toml")).output().unwrap()
}

/// A start that is expected to fail: exit code and messages.
pub fn refused(place: &Place) -> (Option<i32>, String) {
    let output = run_command(place).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

impl Server {
    /// Starts the server of a place and waits until it listens.
    pub fn start(place: &Place) -> Self {
        Self::spawn(place, run_command(place))
    }

    /// Starts a command that ends up as a server; its log goes to the place's file `log`.
    pub fn spawn(place: &Place, mut command: Command) -> Self {
        let log = File::options().create(true).append(true).open(place.path("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.strip_prefix("listening on ").map(str::trim) else {
            child.kill().unwrap();
            panic!("no server: {line:?}, {}", std::fs::read_to_string(place.path("log")).unwrap());
        };
        let address = url.split_once("://").unwrap().1.parse().unwrap();
        Self { child, address, url: url.to_owned() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and the status the process ends with.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the server ends", || self.child.try_wait().unwrap())
    }

    /// `GET path` on a fresh connection.
    pub fn get(&self, path: &str) -> Reply {
        client::request(self.address, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// Asks until there is an answer, or fails naming what was awaited.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
