//! Files that are either the old or the new one, whatever happens in between.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The name under which the next content of `path` is written.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// The directory that holds `path`.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts the finished file at `from` in the place of `to`, durably.
pub fn put_in_place(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(from, to)?;
    sync_directory(directory(to))
}

/// A new, empty file under the temporary name of `path`. What a failed attempt left
/// there is gone.
pub fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    let temporary = temporary(path);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
    Ok((temporary, file))
}

/// Creates a directory and its parents, and makes each new entry durable.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = directory(path);
    if parent != path {
        create_directories(parent)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}
