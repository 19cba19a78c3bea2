//! What a system call does to files, names and peers.

use std::path::{Path, PathBuf};

use super::call::{Call, bytes, decode, target};

/// What stands behind a descriptor when it is written to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A file, by the path it had then.
    File(PathBuf),
    /// A connection, by both its ends: `TCP:[server->client]`.
    Connection(String),
    /// A Unix socket, by what the system calls it.
    UnixSocket(String),
    /// A pipe, a terminal, an event counter.
    Other(String),
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A file was opened.
    Open {
        /// Its path.
        path: PathBuf,
        /// It is created when it is missing.
        create: bool,
        /// It is emptied.
        truncate: bool,
        /// Its descriptor.
        descriptor: i64,
    },
    /// A descriptor was copied.
    Duplicate {
        /// The old one.
        from: i64,
        /// The new one.
        to: i64,
    },
    /// A descriptor was closed.
    Close {
        /// Which.
        descriptor: i64,
    },
    /// Bytes left the process.
    Write {
        /// By this descriptor.
        descriptor: i64,
        /// To this.
        target: Target,
        /// At this offset; where the last write ended, if none.
        offset: Option<usize>,
        /// These.
        bytes: Vec<u8>,
    },
    /// A file was cut or lengthened.
    SetLength {
        /// By this descriptor.
        descriptor: i64,
        /// To so many bytes.
        length: usize,
    },
    /// A sync began: what was done before is meant by it.
    SyncBegan {
        /// Of this descriptor.
        descriptor: i64,
    },
    /// The sync that this thread had begun succeeded.
    SyncDone {
        /// Of this descriptor.
        descriptor: i64,
    },
    /// A file took another name.
    Rename {
        /// The old one.
        from: PathBuf,
        /// The new one.
        to: PathBuf,
    },
    /// A name was removed.
    Unlink {
        /// Which.
        path: PathBuf,
    },
    /// A directory was made.
    MakeDirectory {
        /// Which.
        path: PathBuf,
    },
    /// A call by which bytes could leave the process unseen by this reader.
    Unreadable {
        /// The call.
        call: String,
    },
}

/// An operation of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The thread.
    pub thread: u32,
    /// What it did.
    pub operation: Operation,
}

/// The operations of successful calls in the order of time. What a call gives (a descriptor, durability) is there at its
/// end; what it may have done is taken as done at its beginning. A call that a kill cut off is left out: what is printed of
/// it cannot be relied on, and whether it was made can only be seen by what it left.
pub fn events(calls: Vec<Call<'_>>) -> Vec<Event> {
    let mut timed: Vec<(usize, Event)> = Vec::new();
    for call in calls {
        let thread = call.thread;
        timed.extend(operations(&call).into_iter().map(|(at, operation)| (at, Event { thread, operation })));
    }
    timed.sort_by_key(|(at, _)| *at);
    timed.into_iter().map(|(_, event)| event).collect()
}

fn operations(call: &Call<'_>) -> Vec<(usize, Operation)> {
    let Some(returned) = call.returned.filter(|returned| *returned >= 0) else { return Vec::new() };
    let descriptor = |number: usize| descriptor(call, number);
    let began = |operation| vec![(call.began, operation)];
    match call.name {
        "open" | "openat" | "creat" => opened(call, returned),
        "dup" | "dup2" | "dup3" => duplicated(call, returned),
        "fcntl" if call.arguments[1].starts_with("F_DUPFD") => duplicated(call, returned),
        "close" => began(Operation::Close { descriptor: descriptor(0) }),
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" => {
            began(written(call, returned))
        }
        "ftruncate" => began(Operation::SetLength { descriptor: descriptor(0), length: number(&call.arguments[1]) }),
        "fallocate" if call.arguments[1] == "0" => {
            let length = number(&call.arguments[2]) + number(&call.arguments[3]);
            began(Operation::SetLength { descriptor: descriptor(0), length })
        }
        "fsync" | "fdatasync" => {
            let done = (call.ended, Operation::SyncDone { descriptor: descriptor(0) });
            vec![(call.began, Operation::SyncBegan { descriptor: descriptor(0) }), done]
        }
        "rename" => began(Operation::Rename { from: path(&call.arguments[0]), to: path(&call.arguments[1]) }),
        "renameat" | "renameat2" => began(Operation::Rename { from: path_at(call, 0), to: path_at(call, 2) }),
        "unlink" | "rmdir" => began(Operation::Unlink { path: path(&call.arguments[0]) }),
        "unlinkat" => began(Operation::Unlink { path: path_at(call, 0) }),
        "mkdir" => began(Operation::MakeDirectory { path: path(&call.arguments[0]) }),
        "mkdirat" => began(Operation::MakeDirectory { path: path_at(call, 0) }),
        "mmap" if !is_shared_and_writable(call) => Vec::new(),
        "fcntl" | "sync_file_range" | "exit_group" => Vec::new(),
        _ => began(Operation::Unreadable { call: format!("{}({})", call.name, call.arguments.join(", ")) }),
    }
}

fn is_shared_and_writable(call: &Call<'_>) -> bool {
    let (protection, flags, file) = (&call.arguments[2], &call.arguments[3], &call.arguments[4]);
    protection.contains("PROT_WRITE") && flags.contains("MAP_SHARED") && file != "-1"
}

fn opened(call: &Call<'_>, descriptor: i64) -> Vec<(usize, Operation)> {
    let (path, flags) = match call.name {
        "openat" => (path_at(call, 0), call.arguments[2].as_str()),
        "creat" => (path(&call.arguments[0]), "O_CREAT|O_TRUNC"),
        _ => (path(&call.arguments[0]), call.arguments[1].as_str()),
    };
    let has = |flag: &str| flags.split('|').any(|set| set == flag);
    let (create, truncate) = (has("O_CREAT"), has("O_TRUNC"));
    vec![(call.ended, Operation::Open { path, create, truncate, descriptor })]
}

fn duplicated(call: &Call<'_>, to: i64) -> Vec<(usize, Operation)> {
    vec![(call.ended, Operation::Duplicate { from: descriptor(call, 0), to })]
}

fn written(call: &Call<'_>, returned: i64) -> Operation {
    let text = &call.arguments[1];
    let mut bytes = match call.name {
        "writev" | "pwritev" | "pwritev2" | "sendmsg" => parts(text),
        _ => bytes(text),
    };
    bytes.truncate(usize::try_from(returned).expect("a call that failed is left out"));
    let offset = call.name.starts_with("pwrite").then(|| number(&call.arguments[3]));
    Operation::Write { descriptor: descriptor(call, 0), target: to_target(target(&call.arguments[0])), offset, bytes }
}

/// The bytes of all `iov_base`s.
fn parts(text: &str) -> Vec<u8> {
    let mut gathered = Vec::new();
    for part in text.split("iov_base=").skip(1) {
        let end = part[1..].find('"').expect("a string has an end") + 2;
        assert!(!part[end..].starts_with("..."), "a string that was cut short: {part:.80}");
        gathered.extend(bytes(&part[..end]));
    }
    gathered
}

fn to_target(text: &str) -> Target {
    if text.starts_with("TCP") {
        return Target::Connection(text.to_owned());
    }
    if text.starts_with("UNIX") {
        return Target::UnixSocket(text.to_owned());
    }
    let name = String::from_utf8_lossy(&decode(text)).into_owned();
    if name.starts_with('/') { Target::File(name.into()) } else { Target::Other(name) }
}

fn descriptor(call: &Call<'_>, argument: usize) -> i64 {
    let text = &call.arguments[argument];
    let digits = text.find('<').unwrap_or(text.len());
    text[..digits].parse().unwrap_or_else(|_| panic!("{}: `{text:.80}` is no descriptor", call.name))
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

fn path(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes(text)).into()
}

/// A path relative to the directory that the argument before it names.
fn path_at(call: &Call<'_>, argument: usize) -> PathBuf {
    let directory = decode(target(&call.arguments[argument]));
    let directory = String::from_utf8_lossy(&directory).into_owned();
    Path::new(&directory).join(path(&call.arguments[argument + 1]))
}
