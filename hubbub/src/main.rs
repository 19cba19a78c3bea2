//! `hubbub`: the tool of analysts, reviewers and publishers.

mod audit;
mod cli;
mod clock;
mod demo;
mod failure;
mod filters;
mod plan;
mod registry;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    failure::silence_parquet_readers();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hubbub: {failure}");
            failure.exit().into()
        }
    }
}
