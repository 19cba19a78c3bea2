//! The socket beside the store, by which `export` asks a running server for its files.
//!
//! One line goes in (`export`); a line per file written comes out, then `done`; or `failed` and the reason.

use hubbub_privacy::Exit;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;

use crate::committer::Message;
use crate::replace_file::directory;

const REQUEST: &str = "export\n";
const WROTE: &str = "wrote ";
const FAILED: &str = "failed ";
const DONE: &str = "done";
/// An asker that does not ask makes way for the next.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A million counters take a second; a server that is silent for this long is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// What fits into a Unix socket's address, its final zero aside.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Why a running server's export failed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The store is in use, but nobody answers beside it.
    #[error(
        "the store is in use, and no server answers at {}: {source}; it may be starting or stopping, or another export \
         may be running: try again, or stop the process that has the store",
        path.display()
    )]
    Unavailable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server answered, and could not export.
    #[error("the running server could not export: {0}")]
    Refused(String),
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
            Self::Unavailable { .. } => Exit::Unavailable,
            Self::Refused(_) | Self::Bind { .. } => Exit::InputOutput,
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

/// Answers export requests, one after the other, for as long as the committer listens.
pub async fn serve(listener: tokio::net::UnixListener, messages: mpsc::Sender<Message>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; REQUEST.len()];
        let read = timeout(REQUEST_TIMEOUT, stream.read_exact(&mut request)).await;
        if !matches!(read, Ok(Ok(_))) || request != REQUEST.as_bytes() {
            continue;
        }
        let (reply, exported) = oneshot::channel();
        if messages.send(Message::Export(reply)).await.is_err() {
            return;
        }
        let mut answer = String::new();
        match exported.await {
            Ok(Ok(files)) => {
                files.iter().for_each(|file| answer.push_str(&format!("{WROTE}{}\n", file.display())));
                answer.push_str(DONE);
            }
            Ok(Err(error)) => answer.push_str(&format!("{FAILED}{}", error.to_string().replace('\n', " "))),
            Err(_) => answer.push_str(&format!("{FAILED}the server is stopping")),
        }
        answer.push('\n');
        if let Err(error) = stream.write_all(answer.as_bytes()).await {
            warn!("answering an export request: {error}; the files are written");
        }
    }
}

/// Has the server at this socket export, and gives the files it wrote.
///
/// # Errors
/// [`ControlError`].
pub fn request_export(path: &Path) -> Result<Vec<PathBuf>, ControlError> {
    let unavailable = |source| ControlError::Unavailable { path: path.to_owned(), source };
    let mut stream = at(path, |path| UnixStream::connect(path)).map_err(unavailable)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(unavailable)?;
    stream.write_all(REQUEST.as_bytes()).map_err(unavailable)?;
    let mut files = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(unavailable)?;
        match (line.strip_prefix(WROTE), line.strip_prefix(FAILED)) {
            (Some(file), _) => files.push(file.into()),
            (_, Some(reason)) => return Err(ControlError::Refused(reason.to_owned())),
            _ if line == DONE => return Ok(files),
            _ => return Err(ControlError::Refused(format!("it answered `{line}`"))),
        }
    }
    Err(unavailable(io::ErrorKind::UnexpectedEof.into()))
}
