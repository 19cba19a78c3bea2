//! Reading lines with a bound on their length, naming the line that is wrong.

use std::io::{BufRead, Read};

use super::{FilterError, LineDefect};

/// Room for a set of thousands of labels, or a report many times over.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Calls `each` with the number (from 1) and the text of every line, without its line end.
///
/// # Errors
/// The input's, a line's own defect, or what `each` finds.
pub fn for_each<R: BufRead>(
    mut input: R,
    mut each: impl FnMut(u64, &str) -> Result<(), FilterError>,
) -> Result<(), FilterError> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let limit = MAX_LINE_BYTES as u64 + 2;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
        if read.map_err(|source| FilterError::Read { after_line: number, source })? == 0 {
            return Ok(());
        }
        number += 1;
        let defect = |defect| FilterError::Line { number, defect };
        let mut text = line.as_slice();
        text = text.strip_suffix(b"\n").unwrap_or(text);
        text = text.strip_suffix(b"\r").unwrap_or(text);
        if number == 1 {
            // A byte order mark is no part of the first value.
            text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        }
        if text.len() > MAX_LINE_BYTES {
            return Err(defect(LineDefect::TooLong));
        }
        each(number, std::str::from_utf8(text).map_err(|_| defect(LineDefect::NotUtf8))?)?;
    }
}
