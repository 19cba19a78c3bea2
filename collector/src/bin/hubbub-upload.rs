//! The one-shot uploader.

use std::process::ExitCode;

use clap::Parser;
use hubbub_collector::upload::{self, Arguments};
use rand::rngs::SysRng;

fn main() -> ExitCode {
    hubbub_collector::log_to_stderr();
    match upload::run(&Arguments::parse(), SysRng) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hubbub-upload: {error}");
            error.exit().into()
        }
    }
}
