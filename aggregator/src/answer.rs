//! What a device is told: counted, pending, or a reason why not.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;

/// The length of every answer's body, padded with spaces: the longest code fits, and all answers look alike.
pub const ANSWER_BYTES: usize = 64;
/// How long an overloaded or full server asks devices to stay away: they come back with jitter, hours are nothing to
/// them.
pub const RETRY_AFTER_S: &str = "120";

/// The outcome of one offered report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is in the committed counters.
    Counted,
    /// It waits in memory for others; the device keeps it.
    Pending,
    /// It was not taken.
    Rejected(Rejection),
}

/// An enum that can list itself: who describes all reasons cannot miss one.
macro_rules! listed {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$about])*
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every one, as declared.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

listed! {
/// Why a report was not taken. That is the peer's affair, or a matter of time; never an error of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Not POST.
    Method,
    /// No such path.
    Path,
    /// Not `application/json`.
    ContentType,
    /// Compressed bodies are refused: their expansion has no bound.
    ContentEncoding,
    /// More than [`crate::MAX_BODY_BYTES`].
    BodyTooLarge,
    /// The body ended before the length it declared.
    BodyIncomplete,
    /// Not a report.
    Malformed,
    /// A report of a format version that is not spoken here.
    UnsupportedFormat,
    /// A metric that the registry does not have, or only as a draft.
    UnknownMetric,
    /// Another version of the metric than the registry's.
    UnknownVersion,
    /// A metric that is over.
    MetricExpired,
    /// A server that will never count again.
    Retired,
    /// A metric that is not collected now.
    MetricPaused,
    /// A payload that the metric's mechanism cannot give.
    Payload,
    /// A period that has not begun.
    PeriodFuture,
    /// A period whose grace is over.
    PeriodClosed,
    /// As many reports of this metric wait in memory as may.
    MetricBusy,
    /// As many reports wait in memory as may.
    Busy,
    /// The disk is full; counting resumes by itself when there is room.
    StorageFull,
    /// The server is about to end.
    Stopping,
}
}

impl Rejection {
    /// The reason in the answer, and in `/metrics`.
    pub const fn code(self) -> &'static str {
        self.http().1
    }

    /// Status and code: the one place that maps rejections to HTTP.
    pub const fn http(self) -> (StatusCode, &'static str) {
        match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Path => (StatusCode::NOT_FOUND, "path"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type"),
            Self::ContentEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyIncomplete => (StatusCode::BAD_REQUEST, "body_incomplete"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            Self::UnsupportedFormat => (StatusCode::BAD_REQUEST, "unsupported_format"),
            Self::UnknownMetric => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_metric"),
            Self::UnknownVersion => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_version"),
            Self::MetricExpired => (StatusCode::GONE, "metric_expired"),
            Self::Retired => (StatusCode::GONE, "retired"),
            Self::MetricPaused => (StatusCode::UNPROCESSABLE_ENTITY, "metric_paused"),
            Self::Payload => (StatusCode::UNPROCESSABLE_ENTITY, "payload"),
            Self::PeriodFuture => (StatusCode::UNPROCESSABLE_ENTITY, "period_future"),
            Self::PeriodClosed => (StatusCode::UNPROCESSABLE_ENTITY, "period_closed"),
            Self::MetricBusy => (StatusCode::TOO_MANY_REQUESTS, "metric_busy"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "storage_full"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        }
    }
}

impl Answer {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Counted => StatusCode::OK,
            Self::Pending => StatusCode::ACCEPTED,
            Self::Rejected(rejection) => rejection.http().0,
        }
    }

    /// The value of `Retry-After`, where the contract has one.
    pub fn retry_after(self) -> Option<&'static str> {
        let later = matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        later.then_some(RETRY_AFTER_S)
    }

    /// `status` and `code` of the body.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Counted => ("counted", "counted"),
            Self::Pending => ("pending", "pending"),
            Self::Rejected(rejection) => ("rejected", rejection.code()),
        }
    }

    /// The body, always [`ANSWER_BYTES`] long.
    pub fn body(self) -> Bytes {
        static COUNTED: LazyLock<String> = LazyLock::new(|| Answer::Counted.padded());
        match self {
            // Nearly all of a busy server's answers.
            Self::Counted => Bytes::from_static(COUNTED.as_bytes()),
            Self::Pending | Self::Rejected(_) => self.padded().into(),
        }
    }

    fn padded(self) -> String {
        let (status, code) = self.words();
        let json = format!(r#"{{"status":"{status}","code":"{code}"}}"#);
        format!("{json:<ANSWER_BYTES$}")
    }
}
