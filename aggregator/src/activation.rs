//! A listening socket that the service manager has made and passed on.

use std::io;
use std::net::TcpListener;

use hubbub_privacy::Exit;
use listenfd::ListenFd;
use socket2::SockRef;
use thiserror::Error;

/// Why what was passed cannot be served.
#[derive(Debug, Error)]
pub enum ActivationError {
    /// More or fewer than one.
    #[error("{passed} sockets were passed, and one is served; give the socket unit exactly one ListenStream=")]
    Number {
        /// How many.
        passed: usize,
    },
    /// Not TCP.
    #[error("the passed socket: {source}; give the socket unit a ListenStream= of address and port")]
    NotTcp {
        /// What it is instead.
        source: io::Error,
    },
    /// A connection, or a socket that was never told to listen.
    #[error("the passed socket does not listen; the socket unit must have Accept=no")]
    NotListening,
    /// The system's refusal.
    #[error("using the passed socket: {source}")]
    Io {
        /// What the system said.
        source: io::Error,
    },
}

impl ActivationError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Number { .. } | Self::NotTcp { .. } | Self::NotListening => Exit::BadInput,
            Self::Io { .. } => Exit::InputOutput,
        }
    }
}

/// The socket that `LISTEN_FDS` announces, if it is meant for this process. To be called before other threads run, for
/// it removes the announcement from the environment.
pub fn passed_listener() -> Result<Option<TcpListener>, ActivationError> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => return Ok(None),
        1 => {}
        passed => return Err(ActivationError::Number { passed }),
    }
    let Some(listener) = passed.take_tcp_listener(0).map_err(|source| ActivationError::NotTcp { source })? else {
        return Ok(None);
    };
    let io = |source| ActivationError::Io { source };
    if !SockRef::from(&listener).is_listener().map_err(io)? {
        return Err(ActivationError::NotListening);
    }
    listener.set_nonblocking(true).map_err(io)?;
    Ok(Some(listener))
}
