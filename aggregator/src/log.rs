//! Messages on standard error: one line each, `key=value`.
//!
//! In the journal a line begins with its priority, as journald reads it, and has no time of its own; anywhere else it
//! begins with the time. Nothing is configurable, so that no setting can bring an address, a body or an id into a log.

use std::fmt;

use rustix::fs::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Rfc3339};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Sends this program's own messages to standard error. Libraries are not heard: they may log what they read from peers.
pub fn to_stderr() {
    let own = Targets::new().with_target("hubbub_aggregator", Level::INFO);
    let lines = Lines { journal: is_journal() };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(lines);
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
}

/// Whether standard error is the stream that `JOURNAL_STREAM` (device:inode) names.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(std::io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (priority, level) = match *event.metadata().level() {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (6, "info"),
            Level::DEBUG | Level::TRACE => (7, "debug"),
        };
        if self.journal {
            write!(line, "<{priority}>")?;
        } else {
            line.write_str("time=")?;
            Rfc3339.format_time(&mut line)?;
            line.write_char(' ')?;
        }
        write!(line, "level={level}")?;
        let mut fields = Pairs { line: &mut line, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        writeln!(line)
    }
}

struct Pairs<'a, 'w> {
    line: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Pairs<'_, '_> {
    fn pair(&mut self, key: &str, value: &str) {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
        let written = if !value.is_empty() && value.chars().all(plain) {
            write!(self.line, " {key}={value}")
        } else {
            write!(self.line, " {key}={value:?}")
        };
        self.written = self.written.and(written);
    }
}

impl Visit for Pairs<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.pair(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.pair(field.name(), &format!("{value:?}"));
    }
}
