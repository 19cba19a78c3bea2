//! Feeding true values to the program and reading its reports, at the same time.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::process::{ChildStdin, Command};

use indicatif::ProgressBar;

use super::BlackBoxError;
use super::inputs::Order;
use super::program::Program;
use super::tally::{Half, Tally};
use super::transcript::{Rule, Transcript};

/// A longer line is no report, and nothing after it is read.
const MAX_LINE_BYTES: u64 = 1 << 16;
/// The progress bar moves every so many lines.
const STEP: u64 = 1 << 12;
/// What a shell says of a program that it may not run or does not find.
const NOT_STARTED: [i32; 2] = [126, 127];

/// What is asked of the program.
pub struct Questions {
    /// The text of every input.
    pub lines: Vec<String>,
    /// Which input each line is.
    pub order: Order,
    /// How many lines.
    pub draws: u64,
}

/// Runs the program, gives it all values and counts its reports.
///
/// # Errors
/// When the program cannot be started or its output cannot be read. What it does wrong is in the transcript.
pub fn hold(
    command: &mut Command,
    questions: Questions,
    transcript: &mut Transcript<'_>,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), BlackBoxError> {
    let (program, stdin, stdout) = Program::start(command)?;
    let (mut order, draws) = (questions.order.clone(), questions.draws);
    // Not joined: a program that stops reading may block it, until the program is ended.
    let feeder = std::thread::Builder::new().name("values".to_owned()).spawn(move || feed(stdin, questions));
    feeder.map_err(|source| BlackBoxError::Start { program: "the thread that writes values".to_owned(), source })?;
    let mut output = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = output.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.map_err(BlackBoxError::Read)? == 0 {
            break;
        }
        if transcript.lines() == draws {
            transcript.broken(Rule::OnePerValue, || format!("more than {draws} lines for {draws} values"));
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            let number = transcript.lines() + 1;
            transcript.broken(Rule::WellFormed, || format!("line {number} is longer than {MAX_LINE_BYTES} bytes"));
            transcript
                .broken(Rule::OnePerValue, || format!("{} lines for {draws} values, then an endless one", number - 1));
            return Ok(());
        }
        let half = if transcript.lines() < draws / 2 { Half::First } else { Half::Second };
        let input = order.draw();
        if let Some((payload, id)) = transcript.read(line.strip_suffix(b"\n").unwrap_or(&line)) {
            tally.add(half, input, payload, id);
        }
        if transcript.lines().is_multiple_of(STEP) {
            bar.set_position(transcript.lines());
        }
    }
    let status = program.ended();
    let lines = transcript.lines();
    if let Some(code) = status.and_then(|status| status.code()).filter(|code| lines == 0 && NOT_STARTED.contains(code))
    {
        return Err(BlackBoxError::NotStarted { code });
    }
    if lines < draws {
        transcript.broken(Rule::OnePerValue, || format!("{lines} lines for {draws} values"));
    }
    match status {
        Some(status) if status.success() => (),
        Some(status) => transcript.broken(Rule::CleanEnd, || format!("the program ended with {status}")),
        None => transcript.broken(Rule::CleanEnd, || "the program closed its output and went on".to_owned()),
    }
    Ok(())
}

/// Writes all values. A program that stops reading is noticed by its missing reports.
fn feed(stdin: ChildStdin, mut questions: Questions) {
    let mut stdin = BufWriter::new(stdin);
    for _ in 0..questions.draws {
        if writeln!(stdin, "{}", questions.lines[questions.order.draw()]).is_err() {
            return;
        }
    }
    stdin.flush().ok();
}
