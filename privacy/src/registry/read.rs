//! Reading a registry's directory: the only input this crate does, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Files, Findings, Registry};
use crate::Exit;

/// Definition files of a real registry have some kilobytes; anything near this is an attack or a mistake.
const MAX_DEFINITION_BYTES: u64 = 4 << 20;
/// 2^20 values of 32 bytes.
const MAX_VALUES_BYTES: u64 = 32 << 20;
/// One file per namespace.
const MAX_FILES: usize = 1000;

/// Why a registry could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The directory or a file in it cannot be read.
    #[error("reading registry {}: {source}; name a readable directory of *.toml files", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory holds no definitions, or more than any registry has.
    #[error("registry {}: found {found} *.toml files; a registry has 1 to {MAX_FILES}", path.display())]
    FileCount {
        /// The directory.
        path: PathBuf,
        /// How many definition files it holds.
        found: usize,
    },
    /// The files are there, but wrong.
    #[error("registry {} has errors:\n{findings}", path.display())]
    Invalid {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        findings: Findings,
    },
}

impl ReadError {
    /// The exit code of a program that stops because of it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::InputOutput,
            Self::FileCount { .. } | Self::Invalid { .. } => Exit::BadInput,
        }
    }
}

/// Reads and checks all `*.toml` files of `directory` and the value lists they name.
///
/// # Errors
/// [`ReadError`]: what could not be read, or findings with file and line.
pub fn read(directory: &Path) -> Result<Registry, ReadError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io(directory))? {
        let name = entry.map_err(io(directory))?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".toml") && !name.starts_with('.')) {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() || names.len() > MAX_FILES {
        return Err(ReadError::FileCount { path: directory.to_owned(), found: names.len() });
    }
    let mut files = Files::default();
    for name in names {
        let path = directory.join(&name);
        files.definitions.insert(name, read_bounded(&path, MAX_DEFINITION_BYTES).map_err(io(&path))?);
    }
    for name in files.value_lists() {
        let path = directory.join(&name);
        // A list that cannot be read gets a finding that names the metric; the rest of the registry is checked too.
        let list = read_inside(directory, &path).map_err(|error| error.to_string());
        files.values.insert(name, list);
    }
    Registry::parse(&files).map_err(|findings| ReadError::Invalid { path: directory.to_owned(), findings })
}

/// A value list, which no link may move out of the registry's directory.
fn read_inside(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
    if !path.canonicalize()?.starts_with(directory.canonicalize()?) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link leads out of the registry's directory"));
    }
    read_bounded(path, MAX_VALUES_BYTES)
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer that never comes.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}
