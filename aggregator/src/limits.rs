//! What the process asks of the system before it serves.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of open files to what the administrator allows (connections need them) and forbids core dumps:
/// reports that wait in memory belong in no file.
pub fn set() -> std::io::Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let core = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum })?;
    Ok(())
}
