//! A private bus, a daemon on it, and the directories they work in. Every process ends with its bench, by its own id.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hubbub_privacy::Period;
use serde_json::Value;
use tempfile::TempDir;

use crate::registry::{self, Spec};

/// Generous, because machines are busy; a passing test never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"#;

/// A child that is killed by its id when it goes out of scope.
pub struct Process(pub Child);

impl Process {
    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        eventually("a process to end", || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

/// Asks until there is an answer, or patience ends.
pub fn eventually<T>(event: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {event}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The Monday of a week of the tests' year.
pub fn week(text: &str) -> Period {
    text.parse().unwrap()
}

pub fn binary(name: &str) -> &'static str {
    match name {
        "hubbubd" => env!("CARGO_BIN_EXE_hubbubd"),
        "hubbubctl" => env!("CARGO_BIN_EXE_hubbubctl"),
        "hubbub-upload" => env!("CARGO_BIN_EXE_hubbub-upload"),
        other => panic!("there is no {other}"),
    }
}

/// Runs a program to its end.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(binary(name)).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Asserts an exit code, and that stderr names each of `words`.
pub fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in: {stderr}");
    }
}

/// A private bus.
pub struct Bus {
    pub address: String,
    _daemon: Process,
}

impl Bus {
    pub fn start(directory: &Path) -> Self {
        let (config, socket) = (directory.join("bus.conf"), directory.join("bus"));
        fs::write(&config, BUS_CONFIG.replace("SOCKET", socket.to_str().unwrap())).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(directory.join("bus.log")).unwrap())
            .spawn()
            .expect("dbus-daemon (Debian package dbus-daemon) is installed");
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().to_owned(), _daemon: Process(daemon) }
    }
}

/// A bus, a registry, a clock, and a daemon when it is started.
pub struct Bench {
    pub dir: TempDir,
    pub bus: Bus,
    pub daemon: Option<Process>,
    /// What probes read; the recorded x86 machine unless a test says otherwise.
    pub root: PathBuf,
}

impl Bench {
    /// Everything but the daemon. The time is the Tuesday of 2026-W47.
    pub fn new(specs: &[Spec]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bus = Bus::start(dir.path());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots/x86_64");
        let bench = Self { dir, bus, daemon: None, root };
        fs::create_dir(bench.path("registry")).unwrap();
        fs::write(bench.path("registry/test.toml"), registry::text(specs)).unwrap();
        bench.set_clock(week("2026-W47").start() + 24 * 3600);
        bench
    }

    /// With a daemon that reads the recorded x86 machine.
    pub fn started(specs: &[Spec]) -> Self {
        let mut bench = Self::new(specs);
        bench.start();
        bench
    }

    /// With a daemon that may collect everything.
    pub fn consenting(specs: &[Spec]) -> Self {
        let bench = Self::started(specs);
        bench.ctl(&["consent", "--answer", "yes"]);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn set_clock(&self, now_s: i64) {
        fs::write(self.path("clock.new"), now_s.to_string()).unwrap();
        fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    /// The daemon's command line; it waits for nothing.
    pub fn daemon_command(&self) -> Command {
        let mut command = Command::new(binary("hubbubd"));
        command.arg("--registry").arg(self.path("registry")).arg("--state").arg(self.path("state"));
        command.arg("--outbox").arg(self.path("outbox")).arg("--bus").arg(&self.bus.address);
        command.arg("--root").arg(&self.root).arg("--test-clock").arg(self.path("clock"));
        command.stdin(Stdio::null());
        command
    }

    pub fn start(&mut self) {
        let mut command = self.daemon_command();
        let log = fs::File::options().create(true).append(true).open(self.path("hubbubd.log")).unwrap();
        self.daemon = Some(Process(command.stderr(log).spawn().unwrap()));
        eventually("hubbubd on its bus", || {
            let ended = self.daemon.as_mut().unwrap().0.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(self.path("hubbubd.log")).unwrap());
            self.try_ctl(&["status"]).status.success().then_some(())
        });
    }

    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().0.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// SIGTERM; gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take().unwrap();
        let pid = rustix::process::Pid::from_child(&daemon.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        daemon.wait().code()
    }

    pub fn try_ctl(&self, arguments: &[&str]) -> Output {
        run("hubbubctl", &[&["--bus", &self.bus.address], arguments].concat())
    }

    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.try_ctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ctl(&[&["--json"], arguments].concat())).unwrap()
    }

    pub fn log(&self) -> Vec<Value> {
        self.json(&["log"]).as_array().unwrap().clone()
    }

    /// Advances the clock to the start of a week and waits until the week before has given `reports` in all.
    pub fn close_week(&self, next: &str, reports: usize) {
        self.set_clock(week(next).start());
        eventually("the week to close", || {
            (self.log().len() == reports && self.outbox().len() == reports).then_some(())
        });
    }

    /// Names and contents of the reports in the outbox.
    pub fn outbox(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path("outbox")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && !name.starts_with('.') {
                found.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    /// Whether any file of the daemon's state contains `text`.
    pub fn state_contains(&self, text: &str) -> bool {
        fs::read_dir(self.path("state")).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    /// A raw connection to the bus, as an application has one.
    pub async fn application(&self) -> zbus::Proxy<'static> {
        let connection = zbus::connection::Builder::address(self.bus.address.as_str()).build().await.unwrap();
        zbus::Proxy::new(&connection, "org.hubbub.Metrics1", "/org/hubbub/Metrics1", "org.hubbub.Metrics1")
            .await
            .unwrap()
    }
}

/// The name of the error on the bus.
pub fn error_name<T: std::fmt::Debug>(result: zbus::Result<T>) -> String {
    match result.unwrap_err() {
        zbus::Error::MethodError(name, ..) => name.to_string(),
        zbus::Error::FDO(error) => zbus::DBusError::name(&*error).to_string(),
        other => panic!("not an error of the daemon: {other}"),
    }
}
