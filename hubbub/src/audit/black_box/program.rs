//! The program under audit: a child in a process group of its own, ended with everything it started however the audit ends.

use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::BlackBoxError;

/// How long a program may take to end once it has closed its output; generous, because machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a program that is asked to stop may take.
const GRACE: Duration = Duration::from_secs(3);
/// How often a waiting thread looks.
const STEP: Duration = Duration::from_millis(5);
/// What shells report for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// The running program's group, so that a signal to this one ends it too. Whoever ends a program waits for this.
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on SIGINT, SIGTERM and SIGHUP end the running program before they end this one.
///
/// # Errors
/// When the system refuses a thread or a signal handler.
pub fn end_on_a_signal() -> Result<(), BlackBoxError> {
    let failed = |source| BlackBoxError::Start { program: "the signal handler".to_owned(), source };
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
        // Held to the end, so that the audit does not pronounce on a program that was ended from here.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = *running {
            end(group);
        }
        eprintln!("hubbub audit: interrupted; the program it started was ended");
        std::process::exit(INTERRUPTED);
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(())
}

/// Asks a group to stop, waits for its leader for a while, and then ends whatever is left. The leader must not have been
/// reaped, so that the group's number is still its own. A group that has ended by itself is as good.
fn end(group: Pid) {
    kill_process_group(group, Signal::TERM).ok();
    wait_for(group, GRACE);
    kill_process_group(group, Signal::KILL).ok();
}

/// Waits, without reaping, until the leader has ended; whether it has.
fn wait_for(leader: Pid, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(leader), options) {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(STEP),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// A running program that is ended when this value is dropped.
pub struct Program {
    child: Child,
    group: Pid,
    /// Then the group's number may be somebody else's.
    reaped: bool,
}

impl Program {
    /// Starts a program with pipes to it and from it; its stderr is this one's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<(Self, ChildStdin, ChildStdout), BlackBoxError> {
        let program = command.get_program().to_string_lossy().into_owned();
        // Held while it starts, so that no signal falls between its start and its entry.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let spawned = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|source| BlackBoxError::Start { program, source })?;
        let group = Pid::from_child(&child);
        *running = Some(group);
        let pipes = (child.stdin.take(), child.stdout.take());
        drop(running);
        let (Some(stdin), Some(stdout)) = pipes else { unreachable!("both were asked for") };
        Ok((Self { child, group, reaped: false }, stdin, stdout))
    }

    /// Waits, patiently, until it ends, and ends what is left of its group; nothing if it does not end by itself.
    pub fn ended(mut self) -> Option<ExitStatus> {
        let by_itself = wait_for(self.group, PATIENCE);
        self.end().filter(|_| by_itself)
    }

    /// Ends its group and reaps it.
    fn end(&mut self) -> Option<ExitStatus> {
        end(self.group);
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.reaped = true;
        self.child.wait().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.reaped {
            self.end();
        }
    }
}
