//! The exit codes of every Hubbub program.

use std::process::ExitCode;

/// Why a program stopped, for scripts. 0 is success; a wrong command line is bad input too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exit {
    /// 1: a check was made and did not pass, or the answer is no.
    CheckFailed,
    /// 2: what it was given is wrong: the command line, a registry, a configuration, a line of input.
    BadInput,
    /// 3: a file, directory or stream could not be read or written.
    InputOutput,
    /// 4: something it needs is not there: a bus, a server, another program, a free port.
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
