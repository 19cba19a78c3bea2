//! Exit codes, the same for all programs of Hubbub.

use std::process::ExitCode;

/// Why a program gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did its work, and the answer is no.
    CheckFailed,
    /// What it was given is wrong: arguments, a registry, a configuration.
    BadInput,
    /// A file or directory could not be read or written.
    InputOutput,
    /// Something it needs is not there: a bus, a server, the name on the bus.
    Unavailable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::CheckFailed => 1,
            Exit::BadInput => 2,
            Exit::InputOutput => 3,
            Exit::Unavailable => 4,
        })
    }
}
