//! From the bytes of a request to a report that may be counted, or the reason why not.

use hubbub_privacy::registry::Status;
use hubbub_privacy::{MalformedReport, Report};
use hubbub_randomizer::Plan;

use crate::Rejection;

/// The largest body: eight times the usual padded report, so that mechanisms with long reports fit, and little enough
/// that a full house of connections stays within tens of megabytes.
pub const MAX_BODY_BYTES: usize = 4 << 10;

/// Decides whether a body is a report of a question that is being asked now, at a time in Unix seconds.
///
/// # Errors
/// The [`Rejection`] that the device is told.
pub fn check(plan: &Plan, now_s: i64, body: &[u8]) -> Result<Report, Rejection> {
    let report = Report::decode(body).map_err(|malformed| match malformed {
        MalformedReport::Format(_) => Rejection::UnsupportedFormat,
        MalformedReport::NotAnObject | MalformedReport::Json(_) | MalformedReport::Period(_) | MalformedReport::Id => {
            Rejection::Malformed
        }
    })?;
    let metric = plan.registry().get(report.metric).ok_or(Rejection::UnknownMetric)?;
    match metric.status {
        Status::Draft => return Err(Rejection::UnknownMetric),
        Status::Expired | Status::Withdrawn => return Err(Rejection::MetricExpired),
        Status::Paused => return Err(Rejection::MetricPaused),
        Status::Testing | Status::Active if metric.has_expired(now_s) => return Err(Rejection::MetricExpired),
        Status::Testing | Status::Active => {}
    }
    if report.version != metric.version {
        return Err(Rejection::UnknownVersion);
    }
    let (_, mechanism) = plan.get(report.metric).map_err(|_| Rejection::UnknownMetric)?;
    mechanism.check(&report.payload).map_err(|_| Rejection::Payload)?;
    if now_s < report.period.start() {
        return Err(Rejection::PeriodFuture);
    }
    if now_s >= report.period.acceptance_end() {
        return Err(Rejection::PeriodClosed);
    }
    Ok(report)
}
