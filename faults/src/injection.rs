//! strace as a source of faults: a kill or an error at the Nth system call of a kind, on one file or on sockets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::place::Place;
use crate::server::{run_command, until};

/// Calls that change a disk, read what must be there, or answer a peer. Not every machine has all of them.
const CALLS: &str = "?pread64,?pwrite64,?pwritev,?pwritev2,?write,?writev,?fdatasync,?fsync,?sync_file_range,\
                     ?ftruncate,?fallocate,?rename,?renameat,?renameat2,?unlink,?unlinkat,?openat,?mkdir,?sendto,\
                     ?sendmsg";

/// What happens instead of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process is killed before it.
    Kill,
    /// It fails with this error.
    Error(&'static str),
}

/// What a call is made on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A file or directory of the place, by its path below it.
    File(String),
    /// Any socket.
    Socket,
}

/// One point at which a fault is injected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The system call.
    pub call: String,
    /// What it is made on.
    pub object: Object,
    /// Which of a thread's calls of this kind.
    pub number: u64,
    /// What happens instead.
    pub fault: Fault,
}

impl Point {
    /// Whether a failure here means that data did not become durable.
    pub fn is_failed_sync_of(&self, file: &str) -> bool {
        let sync = self.call == "fdatasync" || self.call == "fsync";
        sync && self.object == Object::File(file.to_owned()) && matches!(self.fault, Fault::Error("EIO" | "ENOSPC"))
    }

    /// Whether it is a disk without room in the middle of a commit: the one error that passes by itself.
    pub fn is_full_disk(&self) -> bool {
        let grows = ["pwrite64", "ftruncate", "fallocate"].contains(&self.call.as_str());
        grows && self.object == Object::File("store.redb".to_owned()) && self.fault == Fault::Error("ENOSPC")
    }
}

/// What may go wrong at a call: errors that a kernel gives, so no `EAGAIN` that nothing would wake from.
fn faults(call: &str, object: &Object) -> &'static [Fault] {
    use Fault::{Error, Kill};
    match (object, call) {
        (Object::Socket, _) => &[Kill, Error("ECONNRESET"), Error("EINTR")],
        (Object::File(_), "pread64") => &[Kill, Error("EIO"), Error("EINTR")],
        (Object::File(_), "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "mkdir") => {
            &[Kill, Error("EIO"), Error("ENOSPC")]
        }
        (Object::File(_), _) => &[Kill, Error("EIO"), Error("ENOSPC"), Error("EINTR")],
    }
}

/// Why calls cannot be traced here; none when they can.
pub fn impossible() -> Option<&'static str> {
    let tried = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output();
    match tried {
        Err(_) => Some("strace is not installed"),
        Ok(output) if !output.status.success() => Some("strace may not trace processes"),
        Ok(_) => None,
    }
}

/// The command that runs a place's server under strace, as the caller's own child.
fn traced(place: &Place, options: &[String]) -> Command {
    let run = run_command(place);
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-ttt", "-s", "16", "-o"]).arg(place.path("trace")).args(options);
    command.arg("--").arg(run.get_program()).args(run.get_args());
    command
}

/// The server, watched at all calls.
pub fn watched(place: &Place) -> Command {
    traced(place, &["-e".to_owned(), format!("trace={CALLS}")])
}

/// The server, with one fault.
pub fn injected(place: &Place, point: &Point) -> Command {
    let Point { call, object, number, fault } = point;
    let mut options = Vec::new();
    if let Object::File(below) = object {
        let path = if below.is_empty() { directory(place) } else { place.path(below).display().to_string() };
        options.extend(["-P".to_owned(), path]);
    }
    let fault = match fault {
        Fault::Kill => "signal=SIGKILL".to_owned(),
        Fault::Error(name) => format!("error={name}"),
    };
    options.extend(["-e".to_owned(), format!("trace={call}")]);
    options.extend(["-e".to_owned(), format!("inject={call}:{fault}:when={number}")]);
    traced(place, &options)
}

fn directory(place: &Place) -> String {
    place.path("trace").parent().unwrap().display().to_string()
}

/// The trace of a server that has ended, once the tracer has written all of it.
pub fn trace(place: &Place, pid: u32) -> String {
    let path = place.path("trace");
    let ended = [format!("{pid} "), "+++ ".to_owned()];
    until("the tracer's end", || {
        let text = fs::read_to_string(&path).ok()?;
        let last = text.lines().rev().find(|line| line.starts_with(&ended[0]))?;
        last.contains(&ended[1]).then_some(text)
    })
}

/// When the error of a trace came, in Unix seconds; none too when it came to a file that had been replaced.
pub fn failed_at(trace: &str) -> Option<f64> {
    let failed = trace.lines().find(|line| line.contains("(INJECTED"))?;
    let time = failed.split_whitespace().nth(1)?.parse().ok()?;
    (!failed.contains("(deleted)")).then_some(time)
}

/// Whether the error of a trace came.
pub fn failed(trace: &str) -> bool {
    trace.contains("(INJECTED")
}

/// Every point at which a watched run can be disturbed: the calls on the store, the exports, their directories and
/// sockets.
pub fn points(place: &Place, trace: &str) -> Vec<Point> {
    // strace counts the calls of each thread by itself.
    let mut counts: BTreeMap<(String, Object, String), u64> = BTreeMap::new();
    for line in trace.lines() {
        let Some((call, object, thread)) = parse(line, &place.path("")) else { continue };
        *counts.entry((call, object, thread)).or_default() += 1;
    }
    let mut most: BTreeMap<(String, Object), u64> = BTreeMap::new();
    for ((call, object, _), count) in counts {
        let most = most.entry((call, object)).or_default();
        *most = count.max(*most);
    }
    let each = |((call, object), most): ((String, Object), u64)| {
        let faults = faults(&call, &object);
        (1..=most).flat_map(move |number| {
            let (call, object) = (call.clone(), object.clone());
            faults.iter().map(move |&fault| Point { call: call.clone(), object: object.clone(), number, fault })
        })
    };
    most.into_iter().flat_map(each).collect()
}

/// Call, object and thread of a line of a trace, if it is about the store, an export or a socket.
fn parse(line: &str, directory: &Path) -> Option<(String, Object, String)> {
    let (thread, rest) = line.split_once(' ')?;
    let (_time, call) = rest.trim_start().split_once(' ')?;
    let (name, arguments) = call.split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let directory = directory.display().to_string();
    let directory = directory.trim_end_matches('/');
    let object = if let Some(at) = arguments.find(directory) {
        let path = &arguments[at + directory.len()..];
        let path = path.split(['>', '"']).next()?.trim_start_matches('/');
        let kept = path.is_empty() || path.starts_with("store.redb") || path.starts_with("counters");
        kept.then(|| Object::File(path.to_owned()))?
    } else if arguments.split_once(',')?.0.contains("<socket:") {
        Object::Socket
    } else {
        return None;
    };
    Some((name.to_owned(), object, thread.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_trace_name_call_object_and_thread() {
        let parse = |line| parse(line, Path::new("/tmp/place/"));
        let file = |call: &str, path: &str| Some((call.to_owned(), Object::File(path.to_owned()), "7".to_owned()));
        assert_eq!(
            parse(r#"7 1.5 pwrite64(13</tmp/place/store.redb>, "redb"..., 320, 0) = 320"#),
            file("pwrite64", "store.redb")
        );
        assert_eq!(
            parse(
                r#"7 1.5 openat(AT_FDCWD</tmp>, "/tmp/place/store.redb.tmp", O_RDWR) = 3</tmp/place/store.redb.tmp>"#
            ),
            file("openat", "store.redb.tmp")
        );
        assert_eq!(parse(r#"7     1.5 fsync(9</tmp/place>) = 0"#), file("fsync", ""));
        assert_eq!(
            parse(r#"7 1.5 rename("/tmp/place/store.redb.tmp", "/tmp/place/store.redb") = 0"#),
            file("rename", "store.redb.tmp")
        );
        let socket = Some(("sendto".to_owned(), Object::Socket, "7".to_owned()));
        assert_eq!(parse(r#"7 1.5 sendto(15<socket:[123]>, "HTTP/1.1 200 OK\r"..., 219, 0, NULL, 0) = 219"#), socket);
        for other in [
            r#"7 1.5 write(4<anon_inode:[eventfd]>, "\1\0\0\0\0\0\0\0", 8) = 8"#,
            r#"7 1.5 write(2</tmp/place/log>, "2026", 4) = 4"#,
            r#"7 1.5 <... fdatasync resumed>) = 0"#,
            "7 1.5 +++ exited with 0 +++",
            "7 1.5 --- SIGTERM {si_signo=SIGTERM} ---",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
