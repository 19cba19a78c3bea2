//! The directory between the daemon and the uploader: finished reports one way, results the other.
//!
//! A report's file is named `<due in Unix seconds, 12 digits>-<16 hex digits>.json` and holds exactly the bytes that are
//! sent. The hex digits are drawn for this file only; the due time is the only part that ever changes.

mod attempt;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use attempt::{Attempt, Outcome};

/// Where results lie, below the outbox.
const RESULTS: &str = "results";
/// Where the uploader puts what is no report, below the outbox.
const REFUSED: &str = "refused";
/// The group of the outbox is the uploader's, so both users can work in it and nobody else can look.
const DIRECTORY_MODE: u32 = 0o770;
const FILE_MODE: u32 = 0o640;
/// The server takes bodies of at most 4 KiB, so no report is longer.
pub const MAX_REPORT_BYTES: u64 = 4096;
/// A result has about 150 bytes.
const MAX_RESULT_BYTES: u64 = 4096;
const DUE_DIGITS: usize = 12;
const KEY_DIGITS: usize = 16;

/// What the daemon or the uploader could not do in the outbox.
#[derive(Debug, Error)]
#[error("{deed} {}: {source}", path.display())]
pub struct OutboxError {
    deed: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What stays the same in the name of a report's file; says nothing about the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The key of 64 random bits.
    pub fn new(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// The key of that text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == KEY_DIGITS && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a report's file. Names sort by due time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// When it may be sent, in Unix seconds.
    pub due_s: i64,
    /// What stays the same when the due time moves.
    pub key: Key,
}

impl FileName {
    /// The parts of a name, if it is one.
    pub fn parse(name: &str) -> Option<Self> {
        let (due, key) = name.strip_suffix(".json")?.split_once('-')?;
        let all_digits = due.len() == DUE_DIGITS && due.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self { due_s: all_digits.then(|| due.parse().ok())??, key: Key::parse(key)? })
    }

    fn stem(&self) -> String {
        format!("{:0DUE_DIGITS$}-{}", self.due_s.max(0), self.key)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.json", self.stem())
    }
}

/// What lies in an outbox.
#[derive(Debug, Default)]
pub struct Listing {
    /// Reports, the one due first first.
    pub reports: Vec<FileName>,
    /// Names of everything that is no report's file.
    pub strangers: Vec<String>,
}

/// An outbox directory.
#[derive(Debug, Clone)]
pub struct Outbox {
    directory: PathBuf,
}

impl Outbox {
    /// The outbox at `directory`, made if it is missing.
    ///
    /// # Errors
    /// [`OutboxError`] when it cannot be made.
    pub fn create(directory: &Path) -> Result<Self, OutboxError> {
        let outbox = Self { directory: directory.to_owned() };
        make_directory(directory)?;
        make_directory(&outbox.directory.join(RESULTS))?;
        Ok(outbox)
    }

    /// The outbox at `directory`, which must exist.
    ///
    /// # Errors
    /// [`OutboxError`] when it is missing or cannot be read.
    pub fn open(directory: &Path) -> Result<Self, OutboxError> {
        let outbox = Self { directory: directory.to_owned() };
        fs::read_dir(directory).map_err(failed("reading outbox", directory))?;
        make_directory(&outbox.directory.join(RESULTS))?;
        Ok(outbox)
    }

    /// Puts a report into the outbox; it is on the disk, whole, when this returns.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file; then no part of it is visible under its name.
    pub fn place(&self, name: &FileName, bytes: &str) -> Result<(), OutboxError> {
        write_whole(&self.directory, &name.to_string(), bytes.as_bytes())
    }

    /// Deletes the reports of `keys`, whatever their due times have become.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn withdraw(&self, keys: &BTreeSet<Key>) -> Result<(), OutboxError> {
        // The uploader may rename a file while this runs: the second look finds it under its new name.
        for _ in 0..2 {
            for name in self.list()?.reports.iter().filter(|name| keys.contains(&name.key)) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Everything in the outbox but directories and unfinished files.
    ///
    /// # Errors
    /// [`OutboxError`] when the directory cannot be read.
    pub fn list(&self) -> Result<Listing, OutboxError> {
        let reading = || failed("reading outbox", &self.directory);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.directory).map_err(reading())? {
            let entry = entry.map_err(reading())?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                listing.strangers.push(entry.file_name().to_string_lossy().into_owned());
                continue;
            };
            let is_directory = entry.file_type().map_err(reading())?.is_dir();
            if is_directory || name.starts_with('.') {
                continue;
            }
            match FileName::parse(&name) {
                Some(report) => listing.reports.push(report),
                None => listing.strangers.push(name),
            }
        }
        listing.reports.sort_unstable();
        Ok(listing)
    }

    /// The bytes of a report's file. Links are not followed; a file that is gone or no plain file gives nothing.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, OutboxError> {
        let path = self.directory.join(name.to_string());
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed("reading report", &path))?,
        };
        if !metadata.is_file() {
            return Ok(Some(Vec::new()));
        }
        let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        read_bounded(file.map_err(failed("reading report", &path))?, MAX_REPORT_BYTES)
            .map(Some)
            .map_err(failed("reading report", &path))
    }

    /// Gives a report another due time. A file that is gone meanwhile (its owner said no) stays gone.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn postpone(&self, name: &FileName, due_s: i64) -> Result<(), OutboxError> {
        let later = FileName { due_s, key: name.key.clone() };
        let path = self.directory.join(name.to_string());
        forgiving_absence(fs::rename(&path, self.directory.join(later.to_string())))
            .map_err(failed("postponing report", &path))?;
        sync_directory(&self.directory)
    }

    /// Deletes a report's file.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn remove(&self, name: &FileName) -> Result<(), OutboxError> {
        let path = self.directory.join(name.to_string());
        forgiving_absence(fs::remove_file(&path)).map_err(failed("deleting report", &path))?;
        sync_directory(&self.directory)
    }

    /// Moves what is no report out of the way; gives the place where it now lies.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn set_aside(&self, name: &str) -> Result<PathBuf, OutboxError> {
        let refused = self.directory.join(REFUSED);
        make_directory(&refused)?;
        let (from, to) = (self.directory.join(name), refused.join(name));
        fs::rename(&from, &to).map_err(failed("setting aside", &from))?;
        Ok(to)
    }

    /// Writes down what happened to a report.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn add_result(&self, name: &FileName, attempt: &Attempt) -> Result<(), OutboxError> {
        let results = self.directory.join(RESULTS);
        let stem = name.stem();
        let free = (1u32..).map(|n| format!("{stem}.{n}.json")).find(|file| !results.join(file).exists());
        let file = free.expect("fewer than 2^32 results wait for the daemon");
        write_whole(&results, &file, attempt.to_json().as_bytes())
    }

    /// The results that wait, oldest first, with the paths to give to [`Outbox::forget_result`]. What is no result gives
    /// `None`.
    ///
    /// # Errors
    /// [`OutboxError`] when the directory cannot be read.
    pub fn results(&self) -> Result<Vec<(PathBuf, Option<Attempt>)>, OutboxError> {
        let directory = self.directory.join(RESULTS);
        let reading = || failed("reading results", &directory);
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(reading())? {
            let path = entry.map_err(reading())?.path();
            let is_finished = path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
            if is_finished {
                let bytes = File::open(&path).and_then(|file| read_bounded(file, MAX_RESULT_BYTES));
                found.push((path, bytes.ok().and_then(|bytes| Attempt::from_json(&bytes))));
            }
        }
        found.sort_by_key(|(path, attempt)| (attempt.as_ref().map(|attempt| attempt.at_s), path.clone()));
        Ok(found)
    }

    /// Deletes a result that has been written down elsewhere.
    ///
    /// # Errors
    /// [`OutboxError`] naming the file.
    pub fn forget_result(&self, path: &Path) -> Result<(), OutboxError> {
        forgiving_absence(fs::remove_file(path)).map_err(failed("deleting result", path))
    }
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OutboxError {
    let path = path.to_owned();
    move |source| OutboxError { deed, path, source }
}

fn forgiving_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn make_directory(path: &Path) -> Result<(), OutboxError> {
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed("creating directory", path))
}

/// Temporary name, fsync, rename, fsync of the directory: after a crash the file is whole or not there.
fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), OutboxError> {
    let temporary = directory.join(format!(".{name}.tmp"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(name))
    };
    write().map_err(failed("writing", &directory.join(name)))?;
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<(), OutboxError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed("syncing directory", directory))
}

/// At most one byte more than `limit`, so that the reader sees that it was too long.
fn read_bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
