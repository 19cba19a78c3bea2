//! The socket beside the store, by which `export`, `check`, `backup` and `purge` reach a running server.
//!
//! One line of JSON goes in, a [`Task`]; lines of JSON come out, the last of which says whether it was done.

use hubbub_privacy::Exit;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hubbub_randomizer::Plan;
use rustix::fs::Mode;
use rustix::process::umask;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use crate::committer::Message;
use crate::export::Destination;
use crate::maintenance::{self, MaintenanceError, Task};
use crate::replace_file::directory;

/// A path and a few words.
const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// An asker that does not ask makes way for the next.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A million counters take a second; a server that is silent for this long is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// What fits into a Unix socket's address, its final zero aside.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Why a running server did not do what it was asked for.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The store is in use, but nobody answers beside it.
    #[error(
        "the store is in use, and no server answers at {}: {source}; it may be starting or stopping, or another \
         command may have the store: try again, or stop the process that has the store",
        path.display()
    )]
    Unavailable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered, and could not do it.
    #[error("the running server: {message}")]
    Refused {
        /// What it said.
        message: String,
        /// The exit code that goes with it.
        exit: Exit,
    },
    /// The server is about to end.
    #[error("the server is stopping; try again when it is gone or back")]
    Stopping,
    /// The socket cannot be made.
    #[error("making the control socket {}: {source}; `store` must lie in a writable directory", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ControlError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unavailable { .. } | Self::Stopping => Exit::Unavailable,
            Self::Refused { exit, .. } => *exit,
            Self::Bind { .. } => Exit::InputOutput,
        }
    }
}

/// The socket, for the server's own user only. The store's lock must be held: what lies at the path is then a leftover.
///
/// # Errors
/// [`ControlError::Bind`].
pub fn bind(path: &Path) -> Result<UnixListener, ControlError> {
    let bind = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let before = umask(Mode::from_raw_mode(0o177));
        let bound = at(path, |path| UnixListener::bind(path));
        umask(before);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| ControlError::Bind { path: path.to_owned(), source })
}

/// Hands the socket to the runtime that this is called in.
///
/// # Errors
/// [`ControlError::Bind`].
pub fn into_tokio(listener: UnixListener, path: &Path) -> Result<tokio::net::UnixListener, ControlError> {
    tokio::net::UnixListener::from_std(listener).map_err(|source| ControlError::Bind { path: path.to_owned(), source })
}

/// Uses a socket's path even when it is longer than a socket's address may be: by way of its open directory.
fn at<T>(path: &Path, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH_BYTES {
        return use_path(path);
    }
    let open = std::fs::File::open(directory(path))?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    use_path(&Path::new("/proc/self/fd").join(open.as_raw_fd().to_string()).join(name))
}

/// What the server says to its asker, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// To be shown.
    Line(String),
    /// All lines are given.
    Done,
    /// The task was not done.
    Failed { message: String, exit: Exit },
}

/// How the server reaches what its tasks need.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The way to the committer.
    pub messages: mpsc::Sender<Message>,
    /// Where exports go.
    pub destination: Destination,
    /// The registry being served.
    pub plan: Arc<Plan>,
}

impl Desk {
    async fn perform(&self, task: Task) -> Result<Vec<String>, MaintenanceError> {
        let stopping = || MaintenanceError::Control(ControlError::Stopping);
        match task {
            Task::Purge { dry_run } => {
                let (reply, purged) = oneshot::channel();
                self.messages.send(Message::Purge { dry_run, reply }).await.map_err(|_| stopping())?;
                purged.await.map_err(|_| stopping())?
            }
            Task::Read(reading) => {
                let (reply, snapshot) = oneshot::channel();
                self.messages.send(Message::Snapshot(reply)).await.map_err(|_| stopping())?;
                let snapshot = snapshot.await.map_err(|_| stopping())??;
                let (destination, plan) = (self.destination.clone(), self.plan.clone());
                let read = move || maintenance::read(&reading, &snapshot, &destination, || Ok(plan));
                tokio::task::spawn_blocking(read).await.map_err(|_| stopping())?
            }
        }
    }
}

/// Does tasks, one after the other, for as long as the committer listens. Counting goes on beside them.
pub async fn serve(listener: tokio::net::UnixListener, desk: Desk) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = tokio::io::BufReader::new(stream.take(MAX_REQUEST_BYTES));
        let mut request = String::new();
        let read = timeout(REQUEST_TIMEOUT, stream.read_line(&mut request)).await;
        let Some(task) = read.ok().and_then(Result::ok).and_then(|_| serde_json::from_str(&request).ok()) else {
            continue;
        };
        let replies = match desk.perform(task).await {
            Ok(lines) => lines.into_iter().map(Reply::Line).chain([Reply::Done]).collect(),
            Err(error) => vec![Reply::Failed { message: error.to_string(), exit: error.exit() }],
        };
        let answer: String = replies.iter().map(|reply| format!("{}\n", json(reply))).collect();
        if let Err(error) = stream.into_inner().into_inner().write_all(answer.as_bytes()).await {
            warn!("answering an operator's request: {error}; what was asked is done");
        }
    }
}

/// Has the server at this socket do a task, and gives the lines to show.
///
/// # Errors
/// [`ControlError`].
pub fn request(path: &Path, task: &Task) -> Result<Vec<String>, ControlError> {
    let unavailable = |source| ControlError::Unavailable { path: path.to_owned(), source };
    let mut stream = at(path, |path| UnixStream::connect(path)).map_err(unavailable)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(unavailable)?;
    stream.write_all(format!("{}\n", json(task)).as_bytes()).map_err(unavailable)?;
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(unavailable)?) {
            Ok(Reply::Line(line)) => lines.push(line),
            Ok(Reply::Done) => return Ok(lines),
            Ok(Reply::Failed { message, exit }) => return Err(ControlError::Refused { message, exit }),
            Err(error) => return Err(unavailable(error.into())),
        }
    }
    Err(unavailable(io::ErrorKind::UnexpectedEof.into()))
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, paths in UTF-8 and booleans serialize")
}
