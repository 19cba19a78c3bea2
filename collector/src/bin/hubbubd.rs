//! The collecting daemon.

use std::process::ExitCode;

use clap::Parser;
use hubbub_collector::daemon::{self, Arguments};
use rand::rngs::SysRng;

fn main() -> ExitCode {
    hubbub_collector::log_to_stderr();
    match daemon::run(Arguments::parse(), SysRng) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hubbubd: {error}");
            error.exit().into()
        }
    }
}
