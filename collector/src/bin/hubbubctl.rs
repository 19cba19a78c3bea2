//! The command line of the computer's owner.

use std::process::ExitCode;

use clap::Parser;
use hubbub_collector::ctl::{self, Arguments};

fn main() -> ExitCode {
    match ctl::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hubbubctl: {error}");
            error.exit().into()
        }
    }
}
