//! The system clock, asked only by commands.

use std::time::SystemTime;

/// Seconds since the Unix epoch.
pub fn now_s() -> i64 {
    let since =
        |earlier: SystemTime, later: SystemTime| later.duration_since(earlier).map(|time| time.as_secs() as i64);
    let now = SystemTime::now();
    since(SystemTime::UNIX_EPOCH, now).unwrap_or_else(|_| -since(now, SystemTime::UNIX_EPOCH).unwrap_or(0))
}
