//! Every byte that a server hands to the system, as seen by `strace`, in the order of time.

mod call;
mod operation;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::Place;
use crate::server::until;
pub use operation::{Event, Operation, Target};

/// The calls that change what files hold or bear as names, that send, or that could do either unseen; descriptors are
/// followed through the rest.
const CALLS: &str = "openat,open,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,\
                     sendmmsg,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,msync,rename,renameat,\
                     renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,mmap,sendfile,splice,\
                     tee,vmsplice,copy_file_range,io_uring_setup,process_vm_writev,memfd_create,exit_group";
/// Longer than anything that is written at once; a string that is cut all the same is refused by the reader.
const MAX_STRING: usize = 1 << 24;

/// Why nothing can be traced here, if so.
pub fn refused() -> Option<String> {
    let tried = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).output();
    match tried {
        Err(error) => Some(format!("strace cannot be run: {error}")),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(format!("strace may not trace: {}", said.lines().next().unwrap_or("it gave no reason")))
        }
        Ok(_) => None,
    }
}

/// The log of one traced process.
#[derive(Debug)]
pub struct Capture {
    log: PathBuf,
}

impl Capture {
    /// `command` under `strace`, whose log goes to the place's file `name`. The command's process stays a child of who
    /// starts it, so signals reach it. `inject` is what strace takes after `-e inject=`.
    pub fn of(place: &Place, name: &str, command: &Command, inject: Option<&str>) -> (Self, Command) {
        let log = place.path(name);
        let mut traced = Command::new("strace");
        // -D: the tracer is the grandchild; -xx: all bytes in hexadecimal; -yy: descriptors with what they stand for.
        traced.args(["-D", "-f", "-xx", "-yy", "-s", &MAX_STRING.to_string(), "-o"]).arg(&log);
        traced.arg("-e").arg(format!("trace={CALLS}"));
        if let Some(inject) = inject {
            traced.arg("-e").arg(format!("inject={inject}"));
        }
        traced.arg("--").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(key, value),
                None => traced.env_remove(key),
            };
        }
        (Self { log }, traced)
    }

    /// What the process `pid` did, once it has ended.
    pub fn events(&self, pid: u32) -> Vec<Event> {
        let log = until("the end of the trace", || {
            let log = fs::read_to_string(&self.log).unwrap();
            log.lines().any(|line| ended(line, pid)).then_some(log)
        });
        operation::events(call::calls(&log))
    }

    /// The log's path.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn ended(line: &str, pid: u32) -> bool {
    let Some((thread, rest)) = line.split_once(' ') else { return false };
    thread.parse() == Ok(pid) && rest.trim_start().starts_with("+++ ")
}
