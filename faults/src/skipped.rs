//! What a machine does not permit: said at once, and again at the end of a run.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that collects the lines of a whole run; `make test` prints it at its end.
const FILE: &str = "HUBBUB_SKIPPED";

/// Says that a check was left out. The line goes past what the test harness captures of a test that passes.
pub fn note(what: &str, why: impl Display) {
    let line = format!("SKIPPED: {what}: {}\n", why.to_string().trim().replace('\n', " "));
    // Without a standard error there is nobody to tell.
    std::io::stderr().write_all(line.as_bytes()).ok();
    if let Some(path) = std::env::var_os(FILE) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
