//! The shipped programs as child processes, each ended by its process id when the demo is over, however it ends.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::DemoError;

/// How long a program may take to say that it is ready, or to stop; generous, because machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the shipped programs are: beside this one.
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The directory of the running program.
    ///
    /// # Errors
    /// When the system cannot name it, or a program is missing.
    pub fn beside_this_one() -> Result<Self, DemoError> {
        let this = std::env::current_exe().map_err(|source| DemoError::start("hubbub", source))?;
        let directory = this.parent().map(Path::to_owned).unwrap_or_default();
        for program in ["hubbubd", "hubbub-upload", "hubbubctl", "hubbub-aggregator"] {
            if !directory.join(program).is_file() {
                return Err(DemoError::MissingProgram { program, directory });
            }
        }
        Ok(Self { directory })
    }

    /// A command for one of them.
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }
}

/// The running programs, so that a signal to this one ends them too.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// From now on SIGINT, SIGTERM and SIGHUP end all running programs before they end this one.
///
/// # Errors
/// When the system refuses a thread or a signal handler.
pub fn end_all_on_a_signal() -> Result<(), DemoError> {
    let failed = |source| DemoError::start("the signal handler", source);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let signals = {
        let _entered = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal)
    };
    let [interrupt, terminate, hangup] = signals;
    let (mut interrupt, mut terminate, mut hangup) =
        (interrupt.map_err(failed)?, terminate.map_err(failed)?, hangup.map_err(failed)?);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = hangup.recv() => (),
            }
        });
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked first, so that each removes its sockets; one that has ended by itself is as good.
        for &pid in running.iter() {
            kill_process(pid, Signal::TERM).ok();
        }
        let deadline = Instant::now() + GRACE;
        for &pid in running.iter() {
            while Instant::now() < deadline && matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            kill_process(pid, Signal::KILL).ok();
        }
        eprintln!("hubbub demo: interrupted; every program it started was ended");
        std::process::exit(INTERRUPTED);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(())
}

/// How long programs may take to stop when the demo ends early.
const GRACE: Duration = Duration::from_secs(3);
/// What shells report for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// A running program that is ended when this value is dropped.
pub struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    /// Starts it; its stderr goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started or the log cannot be written.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, DemoError> {
        let stderr = File::create(log).map_err(|source| DemoError::io(log, source))?;
        Self::spawn(name, command, stderr)
    }

    fn spawn(name: &'static str, command: &mut Command, stderr: File) -> Result<Self, DemoError> {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().map_err(|source| {
                match (name, source.kind()) {
                    ("dbus-daemon", ErrorKind::NotFound) => DemoError::NoBus,
                    _ => DemoError::start(name, source),
                }
            })?;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(Pid::from_child(&child));
        Ok(Self { name, child })
    }

    /// The first line of its output.
    ///
    /// # Errors
    /// When it ends without one.
    pub fn first_line(&mut self) -> Result<String, DemoError> {
        let silent = || DemoError::Silent { program: self.name };
        let stdout = self.child.stdout.take().ok_or_else(silent)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|source| DemoError::start(self.name, source))?;
        if line.is_empty() { Err(silent()) } else { Ok(line.trim_end().to_owned()) }
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it does not stop in time or with another status than 0.
    pub fn stop(mut self) -> Result<(), DemoError> {
        self.signal(Signal::TERM)?;
        let status = self.ended()?.ok_or(DemoError::DoesNotStop { program: self.name })?;
        succeeded(self.name, status, "")
    }

    /// Waits until it ends, patiently; nothing if it does not.
    fn ended(&mut self) -> Result<Option<ExitStatus>, DemoError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.child.try_wait().map_err(|source| DemoError::start(self.name, source))?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        match kill_process(Pid::from_child(&self.child), signal) {
            // It has ended already, which is what is wanted.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(DemoError::start(self.name, errno.into())),
        }
    }
}

impl Drop for Running {
    /// Asks first, so that it removes its sockets.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::TERM).is_ok() {
            let deadline = Instant::now() + GRACE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::KILL).is_ok() {
                drop(self.child.wait());
            }
        }
        let pid = Pid::from_child(&self.child);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|running| *running != pid);
    }
}

/// Runs a program to its end, patiently, and gives its stdout.
///
/// # Errors
/// When it cannot be started, does not end, or fails; with what it said.
pub fn run(name: &'static str, command: &mut Command) -> Result<String, DemoError> {
    let log = tempfile::tempfile().map_err(|source| DemoError::start(name, source))?;
    let mut running = Running::spawn(name, command, log.try_clone().map_err(|source| DemoError::start(name, source))?)?;
    let stdout = running.child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text)).map(|_| text)
    });
    let Some(status) = running.ended()? else { return Err(DemoError::DoesNotStop { program: name }) };
    let read = |source| DemoError::start(name, source);
    let text = reader.join().unwrap_or_else(|_| Ok(String::new())).map_err(read)?;
    let (mut log, mut said) = (log, String::new());
    log.rewind().and_then(|()| log.read_to_string(&mut said)).map_err(read)?;
    succeeded(name, status, &said)?;
    Ok(text)
}

fn succeeded(program: &'static str, status: ExitStatus, said: &str) -> Result<(), DemoError> {
    if status.success() { Ok(()) } else { Err(DemoError::Failed { program, status, said: said.trim().to_owned() }) }
}
