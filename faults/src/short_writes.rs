//! Short writes and interrupted calls, by a small library that is loaded before the C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::figures::{Breach, Figures, Finding};
use crate::life::Life;
use crate::rounds::{self, Bounds, Round};
use crate::server::run_command;

const SOURCE: &str = include_str!("short_writes.c");
/// The server serves for up to so long in a round.
const LONGEST_MS: u64 = 600;

/// The library, built for this run.
struct Shim {
    directory: TempDir,
}

impl Shim {
    fn build() -> Result<Self, String> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let source = directory.path().join("short_writes.c");
        fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(directory.path().join("short_writes.so")).arg(&source);
        match compile.arg("-ldl").output() {
            Err(_) => Err("there is no C compiler (cc)".to_owned()),
            Ok(output) if !output.status.success() => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Ok(_) => Ok(Self { directory }),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("short_writes.so")
    }
}

/// How many writes to files and to sockets were short, and how many calls were interrupted.
fn read_counts(path: &Path) -> [u64; 3] {
    let bytes = fs::read(path).unwrap();
    let count = |at: usize| u64::from_ne_bytes(bytes[at * 8..(at + 1) * 8].try_into().unwrap());
    [count(0), count(1), count(2)]
}

/// Serves under short writes once a round, ended by a kill or a stop.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let shim: OnceLock<Result<Shim, String>> = OnceLock::new();
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| match shim.get_or_init(Shim::build) {
        Err(why) => Round::Impossible { what: "short writes".to_owned(), why: why.clone() },
        Ok(shim) => serve(shim, bounds, rng, figures),
    };
    rounds::run("short-writes", bounds, one, |_| Vec::new())
}

fn serve(shim: &Shim, bounds: &Bounds, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Round {
    let mut life = Life::new(&bounds.program, 1, rng);
    let counts = life.place.path("short");
    fs::write(&counts, [0; 24]).unwrap();
    let mut command = run_command(&life.place);
    command.env("LD_PRELOAD", shim.path()).env("SHORT_FIGURES", &counts);
    command.env("SHORT_EVERY", rng.random_range(1..6).to_string());
    // An interruption at every second call is a storm; at each it would be a standstill.
    command.env("INTERRUPT_EVERY", rng.random_range(2..9).to_string());
    let server = match life.start_by(command) {
        Ok(server) => server,
        Err(finding) => return Round::Made(vec![finding]),
    };
    let time = Duration::from_millis(rng.random_range(LONGEST_MS / 4..LONGEST_MS));
    let stops = rng.random_ratio(1, 2);
    let mut code = None;
    let mut findings = life.under_load(server, rng, |mut server| {
        std::thread::sleep(time);
        if stops {
            server.signal(Signal::TERM);
            code = server.wait().code();
        }
    });
    if stops && code != Some(0) {
        findings.push(Finding::new(Breach::WrongEnd, format!("SIGTERM ends it with {code:?}")));
    }
    let [files, sockets, interrupted] = read_counts(&counts);
    if files + sockets == 0 {
        let why = "the program does not write through the C library".to_owned();
        return Round::Impossible { what: "short writes".to_owned(), why };
    }
    figures.add("short writes to files", files);
    figures.add("short sends", sockets);
    figures.add("interrupted calls", interrupted);
    findings.extend(life.compare());
    if findings.is_empty() {
        findings = life.settle(rng);
    }
    Round::Made(findings)
}
