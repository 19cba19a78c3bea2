//! The shipped programs as child processes, each ended by its process id when the demo is over, however it ends.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

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
        let stderr = std::fs::File::create(log).map_err(|source| DemoError::io(log, source))?;
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().map_err(|source| {
                match (name, source.kind()) {
                    ("dbus-daemon", ErrorKind::NotFound) => DemoError::NoBus,
                    _ => DemoError::start(name, source),
                }
            })?;
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
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(|source| DemoError::start(self.name, source))? {
                return succeeded(self.name, status, "");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(DemoError::DoesNotStop { program: self.name })
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
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::KILL).is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Runs a program to its end and gives its stdout.
///
/// # Errors
/// When it cannot be started, or fails; with what it said.
pub fn run(name: &'static str, command: &mut Command) -> Result<String, DemoError> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|source| DemoError::start(name, source))?;
    succeeded(name, status, &String::from_utf8_lossy(&stderr))?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn succeeded(program: &'static str, status: ExitStatus, said: &str) -> Result<(), DemoError> {
    if status.success() { Ok(()) } else { Err(DemoError::Failed { program, status, said: said.trim().to_owned() }) }
}
