//! This machine as a device: the shipped daemon on a private bus, its owner's commands, and the uploader.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hubbub_privacy::Period;
use serde_json::Value;

use super::programs::{self, PATIENCE, Programs, Running};
use super::{DemoError, say};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// Every report is due within three days of its week's end.
const ALL_DUE_S: i64 = 4 * DAY_S;
/// The uploader offers a pending report again after some hours.
const OFFERED_AGAIN_S: i64 = 12 * HOUR_S;
/// A device is asked little in a week, and often about what no application has told it. The demo sets up new devices
/// until one is asked about something that was seen; with the starting set about one in seven is, so this many attempts
/// fail less than once in a million demos.
const ATTEMPTS: usize = 100;

const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// This machine's device.
pub struct Device<'a> {
    programs: &'a Programs,
    registry: PathBuf,
    directory: PathBuf,
    bus: Running,
    address: String,
    daemon: Option<Running>,
    time_s: i64,
}

impl<'a> Device<'a> {
    /// Starts a private bus and, in the middle of `period`, a daemon on it.
    ///
    /// # Errors
    /// When either does not start.
    pub fn start(programs: &'a Programs, registry: &Path, out: &Path, period: Period) -> Result<Self, DemoError> {
        let directory = out.join("device");
        std::fs::create_dir_all(&directory).map_err(|source| DemoError::io(&directory, source))?;
        let config = directory.join("bus.conf");
        std::fs::write(&config, BUS_CONFIG).map_err(|source| DemoError::io(&config, source))?;
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg("--print-address").arg(format!("--config-file={}", config.display()));
        let mut bus = Running::start("dbus-daemon", &mut command, &directory.join("bus.log"))?;
        let address = bus.first_line()?;
        let time_s = period.start() + 3 * DAY_S;
        let registry = registry.to_owned();
        let mut device = Self { programs, registry, directory, bus, address, daemon: None, time_s };
        device.start_daemon()?;
        Ok(device)
    }

    /// Says yes for this machine, and shows what one report would look like.
    ///
    /// # Errors
    /// When a program fails.
    pub fn consent_and_show(&mut self) -> Result<(), DemoError> {
        for attempt in 1..=ATTEMPTS {
            self.owner(&["consent", "--answer", "yes"])?;
            let asked = self.questions()?;
            if let Some(seen) = self.first_with_a_value(&asked)? {
                say!(
                    "2. Device number {attempt} on this machine says yes and is asked {} this week: {}.",
                    if asked.len() == 1 { "one question".to_owned() } else { format!("{} questions", asked.len()) },
                    asked.join(", ")
                );
                say!("   What it would say (`hubbubctl preview {seen}`):\n");
                say!("{}", indented(&self.owner(&["preview", seen])?));
                return Ok(());
            }
            self.start_afresh()?;
        }
        Err(DemoError::TimedOut { event: "a device that is asked about something it has seen" })
    }

    /// Advances the clock past the end of `period`, and waits until the reports are in the outbox.
    ///
    /// # Errors
    /// When they do not come.
    pub fn close_the_week(&mut self, period: Period) -> Result<(), DemoError> {
        let asked = self.questions()?.len();
        self.set_clock(period.end() + HOUR_S)?;
        wait("the week to close", || Ok((self.log()?.len() == asked).then_some(())))?;
        say!("\n3. The week is over: {asked} of {asked} questions are in the ledger and in the outbox.");
        Ok(())
    }

    /// Uploads what is due.
    ///
    /// # Errors
    /// When the uploader fails.
    pub fn upload(&mut self, endpoint: &str) -> Result<(), DemoError> {
        self.set_clock(self.time_s + ALL_DUE_S)?;
        let mut command = self.programs.command("hubbub-upload");
        command.arg("--outbox").arg(self.directory.join("outbox")).arg("--endpoint").arg(endpoint);
        programs::run("hubbub-upload", command.arg("--test-clock").arg(self.clock()))?;
        say!("   Uploaded. The server counts a report only together with 31 others of its metric.");
        Ok(())
    }

    /// Offers pending reports again, and shows the device's own log.
    ///
    /// # Errors
    /// When the uploader fails, or its results do not arrive.
    pub fn upload_again(&mut self, endpoint: &str) -> Result<(), DemoError> {
        self.set_clock(self.time_s + OFFERED_AGAIN_S)?;
        let mut command = self.programs.command("hubbub-upload");
        command.arg("--outbox").arg(self.directory.join("outbox")).arg("--endpoint").arg(endpoint);
        programs::run("hubbub-upload", command.arg("--test-clock").arg(self.clock()))?;
        wait("the server's second answer in the device's log", || {
            let answered = |entry: &Value| entry["state"] == "counted" || entry["attempts"].as_u64() >= Some(2);
            Ok(self.log()?.iter().all(answered).then_some(()))
        })?;
        say!("   This machine's own log (`hubbubctl log`):\n\n{}", indented(&self.owner(&["log"])?));
        Ok(())
    }

    /// Stops daemon and bus.
    ///
    /// # Errors
    /// When one does not stop.
    pub fn stop(mut self) -> Result<(), DemoError> {
        self.daemon.take().map_or(Ok(()), Running::stop)?;
        self.bus.stop()
    }

    fn start_daemon(&mut self) -> Result<(), DemoError> {
        self.set_clock(self.time_s)?;
        let mut command = self.programs.command("hubbubd");
        command.arg("--registry").arg(&self.registry);
        command.arg("--state").arg(self.directory.join("state"));
        command.arg("--outbox").arg(self.directory.join("outbox"));
        command.arg("--bus").arg(&self.address).arg("--test-clock").arg(self.clock());
        self.daemon = Some(Running::start("hubbubd", &mut command, &self.directory.join("hubbubd.log"))?);
        wait("hubbubd on its bus", || Ok(self.owner(&["status"]).ok().map(drop)))
    }

    /// A new installation: everything of the one before is removed, as removing the package does.
    fn start_afresh(&mut self) -> Result<(), DemoError> {
        self.daemon.take().map_or(Ok(()), Running::stop)?;
        for name in ["state", "outbox"] {
            let path = self.directory.join(name);
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(|source| DemoError::io(&path, source))?;
            }
        }
        self.start_daemon()
    }

    fn clock(&self) -> PathBuf {
        self.directory.join("clock")
    }

    fn set_clock(&mut self, time_s: i64) -> Result<(), DemoError> {
        self.time_s = time_s;
        let (path, new) = (self.clock(), self.directory.join("clock.new"));
        let written = std::fs::write(&new, time_s.to_string()).and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|source| DemoError::io(&path, source))
    }

    /// `hubbubctl` as the owner types it.
    fn owner(&self, arguments: &[&str]) -> Result<String, DemoError> {
        let mut command = self.programs.command("hubbubctl");
        programs::run("hubbubctl", command.arg("--bus").arg(&self.address).args(arguments))
    }

    fn owner_json(&self, arguments: &[&str]) -> Result<Value, DemoError> {
        let text = self.owner(&[&["--json"], arguments].concat())?;
        serde_json::from_str(&text).map_err(|_| DemoError::Output { program: "hubbubctl", text })
    }

    /// The names of this week's questions.
    fn questions(&self) -> Result<Vec<String>, DemoError> {
        let status = self.owner_json(&["status"])?;
        let asked = status["asked_this_week"].as_array();
        let names = asked.map(|asked| asked.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
        names.ok_or_else(|| DemoError::Output { program: "hubbubctl status", text: status.to_string() })
    }

    /// The first of these metrics of which this machine has a value.
    fn first_with_a_value<'n>(&self, names: &'n [String]) -> Result<Option<&'n String>, DemoError> {
        for name in names {
            if self.owner_json(&["preview", name])?["absent"] == false {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn log(&self) -> Result<Vec<Value>, DemoError> {
        match self.owner_json(&["log"])? {
            Value::Array(entries) => Ok(entries),
            other => Err(DemoError::Output { program: "hubbubctl log", text: other.to_string() }),
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect::<String>().trim_end().to_owned()
}

/// Asks `ready` until it gives something, patiently.
fn wait<T>(event: &'static str, mut ready: impl FnMut() -> Result<Option<T>, DemoError>) -> Result<T, DemoError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(DemoError::TimedOut { event })
}
