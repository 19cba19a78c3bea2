//! The device: what it collects, keeps, spends and sends, and how its owner sees all of it.
//!
//! Three programs share this crate and meet only in files and on D-Bus: `hubbubd` ([`daemon`]) collects and makes
//! reports, `hubbub-upload` ([`upload`]) sends files of the outbox and can read nothing else, `hubbubctl` ([`ctl`]) speaks
//! D-Bus for the computer's owner. The generator of the operating system is opened in the binaries and passed down.

pub mod bus;
pub mod catalogue;
pub mod clock;
pub mod ctl;
pub mod daemon;
pub mod device;
pub mod event;
pub mod odds;
pub mod outbox;
pub mod probes;
pub mod quota;
pub mod store;
pub mod upload;

/// Where finished reports wait unless `--outbox` says otherwise.
pub const OUTBOX: &str = "/var/lib/hubbub-outbox";

/// The end of every program's `--help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 refused, 2 wrong input or usage, 3 input/output, 4 something needed \
                              is unavailable.";

/// Sends diagnostics to stderr, as much as `RUST_LOG` asks for; by default what an administrator wants to see. No value
/// is ever logged.
pub fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,hubbub_collector=info"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(false).init();
}
