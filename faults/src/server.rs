//! A server process that ends with its test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
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

/// A start that came to nothing.
#[derive(Debug)]
pub struct NoServer {
    /// The process's id.
    pub pid: u32,
    /// How the process ended; none when it did not, and was killed.
    pub status: Option<ExitStatus>,
    /// What it said.
    pub said: String,
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
    pub fn spawn(place: &Place, command: Command) -> Self {
        Self::try_spawn(place, command).unwrap_or_else(|none| panic!("no server: {none:?}"))
    }

    /// Starts a command that may end up as a server.
    ///
    /// # Errors
    /// [`NoServer`].
    pub fn try_spawn(place: &Place, mut command: Command) -> Result<Self, NoServer> {
        let log = File::options().create(true).append(true).open(place.path("log")).unwrap();
        let before = log.metadata().unwrap().len();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (sender, first_line) = mpsc::channel();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            // An unreadable line is no line, and whoever no longer waits has killed the process.
            output.read_line(&mut line).ok();
            sender.send(line).ok();
        });
        let line = first_line.recv_timeout(DEADLINE).unwrap_or_default();
        if let Some(url) = line.strip_prefix("listening on ").map(str::trim) {
            let address = url.split_once("://").unwrap().1.parse().unwrap();
            return Ok(Self { child, address, url: url.to_owned() });
        }
        let ended = Instant::now();
        let mut status = child.try_wait().unwrap();
        while status.is_none() && line.is_empty() && ended.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
            status = child.try_wait().unwrap();
        }
        if status.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let log = std::fs::read(place.path("log")).unwrap();
        let said = String::from_utf8_lossy(&log[usize::try_from(before).unwrap()..]).into_owned();
        Err(NoServer { pid: child.id(), status, said })
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

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// How it ends within some time; none when it does not.
    pub fn ends(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < within {
            let ended = self.ended();
            if ended.is_some() {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
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
