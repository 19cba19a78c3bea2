//! The shipped programs, as a stranger runs them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of a shipped program. `cargo test --workspace` builds them all, because their packages have tests of their own.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.is_file(), "{} is not built; run cargo test --workspace", path.display());
    path
}

/// Runs `hubbub` with some input.
pub fn hubbub(arguments: &[&str], input: &[u8]) -> Output {
    run(Command::new(program("hubbub")).args(arguments), input)
}

/// Runs a command with some input.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that stops early closes the pipe; its exit code is what the test looks at.
        scope.spawn(move || stdin.write_all(input).map_or((), |()| ()));
        child.wait_with_output().unwrap()
    })
}

/// Asserts a program's exit code and gives what it said on stderr.
pub fn stderr_of(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// The standard output of a program that succeeded.
pub fn stdout_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
