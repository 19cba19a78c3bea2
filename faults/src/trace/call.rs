//! One system call as `strace` prints it.

use std::collections::HashMap;

/// A finished system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// The thread that made it.
    pub thread: u32,
    pub name: &'a str,
    pub arguments: Vec<String>,
    /// What it returned; none when the thread ended in it.
    pub returned: Option<i64>,
    /// What stands behind the returned descriptor.
    pub returned_target: String,
    /// The numbers of the lines at which it began and ended.
    pub began: usize,
    pub ended: usize,
}

/// All calls of a log, in the order of their ends. Threads interleave: a call that another thread interrupts is printed in
/// two parts.
pub fn calls(log: &str) -> Vec<Call<'_>> {
    let mut open: HashMap<u32, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    let mut last = 0;
    for (number, line) in log.lines().enumerate() {
        last = number;
        let (thread, rest) = line.split_once(' ').unwrap_or_else(|| panic!("trace line {number}: {line}"));
        let thread = thread.parse().unwrap_or_else(|_| panic!("trace line {number}: no thread in {line}"));
        let rest = rest.trim_start();
        // Signals, ends, and calls that a kill cut off before their numbers could be read.
        if ["---", "+++", "???"].iter().any(|mark| rest.starts_with(mark)) {
            continue;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").expect("a resumed call says so");
            // Its beginning is missing when it was one of the unreadable.
            let Some((began, start)) = open.remove(&thread) else { continue };
            calls.push(call(thread, &format!("{start}{end}"), start, began, number));
        } else if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (number, start));
        } else {
            calls.push(call(thread, rest, rest, number, number));
        }
    }
    // A thread that was killed in a call: the call may have been made.
    for (thread, (began, start)) in open {
        calls.push(call(thread, &format!("{start}) = ?"), start, began, last + 1));
    }
    calls
}

fn call<'a>(thread: u32, text: &str, source: &'a str, began: usize, ended: usize) -> Call<'a> {
    let (name, _) = source.split_once('(').unwrap_or_else(|| panic!("no call: {source:.200}"));
    let (_, rest) = text.split_once('(').expect("the text begins like its source");
    let (arguments, after) = arguments(rest);
    let result =
        after.trim_start().strip_prefix("= ").unwrap_or_else(|| panic!("{name} without a result: {after:.200}"));
    let digits = result.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(result.len());
    let returned = match result[..digits].strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|address| address.cast_signed()),
        // A signal came first: the call is made again, and printed again.
        None if result.starts_with("? ERESTART") => Some(-1),
        None => result[..digits].parse().ok(),
    };
    let returned_target = target(&result[digits..]).to_owned();
    Call { thread, name, arguments, returned, returned_target, began, ended }
}

/// Splits `a, {b, c}, "d")rest` at the commas outside of brackets and strings; gives the arguments and the rest.
fn arguments(text: &str) -> (Vec<String>, &str) {
    let (mut depth, mut quoted, mut before) = (0, false, ' ');
    let (mut arguments, mut start) = (Vec::new(), 0);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' | '<' => depth += 1,
            // An arrow stands between the two ends of a connection, and before what a call changed.
            '>' if before == '-' || before == '=' => {}
            ')' if depth == 0 => {
                arguments.push(text[start..at].trim().to_owned());
                return (arguments, &text[at + 1..]);
            }
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(text[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    panic!("a call without an end: {text:.200}")
}

/// What stands in `<...>` after a descriptor.
pub fn target(text: &str) -> &str {
    let Some((_, rest)) = text.split_once('<') else { return "" };
    let end =
        rest.char_indices().find(|&(at, c)| c == '>' && !rest[..at].ends_with('-')).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

/// The bytes of `"\x68\x69"`.
pub fn bytes(text: &str) -> Vec<u8> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.unwrap_or_else(|| panic!("a string that was cut short, or is none: {text:.80}"));
    decode(inner)
}

/// Characters with `\xHH` among them.
pub fn decode(text: &str) -> Vec<u8> {
    let source = text.as_bytes();
    let mut decoded = Vec::with_capacity(source.len() / 4);
    let mut at = 0;
    while at < source.len() {
        if source[at..].starts_with(b"\\x") {
            let digits = text.get(at + 2..at + 4).expect("two digits follow");
            decoded.push(u8::from_str_radix(digits, 16).expect("strace prints hexadecimal digits"));
            at += 4;
        } else {
            decoded.push(source[at]);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_in_two_parts_is_one_call() {
        let log = "7  pwrite64(13<\\x2f\\x61>, \"\\x01\\x02\", 2, 4096 <unfinished ...>\n\
                   8  close(4<TCP:[127.0.0.1:1->127.0.0.1:2]>) = 0\n\
                   7  <... pwrite64 resumed>)          = 2\n\
                   7  openat(AT_FDCWD<\\x2f>, \"\\x61\", O_RDWR) = 5<\\x2f\\x61>\n\
                   9  fdatasync(13<\\x2f\\x61> <unfinished ...>\n\
                   8  writev(4<\\x2f>, [{iov_base=\"\\x01\", iov_len=1}], 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n\
                   9  +++ killed by SIGKILL +++\n";
        let calls = calls(log);
        assert_eq!(
            calls.iter().map(|call| call.name).collect::<Vec<_>>(),
            ["close", "pwrite64", "openat", "writev", "fdatasync"]
        );
        let write = &calls[1];
        assert_eq!((write.thread, write.began, write.ended, write.returned), (7, 0, 2, Some(2)));
        assert_eq!(write.arguments, ["13<\\x2f\\x61>", "\"\\x01\\x02\"", "2", "4096"]);
        assert_eq!(bytes(&write.arguments[1]), [1, 2]);
        assert_eq!(target(&calls[0].arguments[0]), "TCP:[127.0.0.1:1->127.0.0.1:2]");
        assert_eq!((calls[2].returned, calls[2].returned_target.as_str()), (Some(5), "\\x2f\\x61"));
        assert_eq!((calls[3].returned, calls[4].returned), (Some(-1), None), "made again, and perhaps made");
    }

    #[test]
    #[should_panic(expected = "cut short")]
    fn a_string_that_was_cut_is_refused() {
        bytes("\"\\x01\"...");
    }
}
