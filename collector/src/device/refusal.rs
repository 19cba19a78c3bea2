//! Why a call was refused, in words for whoever called.

use hubbub_privacy::ledger;
use hubbub_privacy::registry::Category;
use thiserror::Error;

use crate::catalogue::Unusable;
use crate::event::WrongType;
use crate::quota::CALLS_PER_HOUR;

/// Why a call was refused. The D-Bus names are those of `org.hubbub.Metrics1.Error`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody has said yes.
    #[error("metrics are off on this computer; `hubbubctl consent` asks whether to switch them on")]
    Off,
    /// One of the five switches is off.
    #[error("{metric} belongs to {category}, which is off; `hubbubctl on {category}` switches it on")]
    CategoryOff {
        /// The metric.
        metric: String,
        /// Its switch.
        category: Category,
    },
    /// Its time is over, here or at the server.
    #[error("{metric} is no longer collected")]
    Ended {
        /// The metric.
        metric: String,
    },
    /// This program has no way to collect it.
    #[error("{metric} cannot be collected: {reason}")]
    Unusable {
        /// The metric.
        metric: String,
        /// Why not.
        reason: Unusable,
    },
    /// No metric of that name.
    #[error("metric `{0}` is not in the registry; ListMetrics names those that are")]
    UnknownMetric(String),
    /// It comes from a probe.
    #[error("{metric} takes no events: the computer itself reads it ({source_name})")]
    NotAnEvent {
        /// The metric.
        metric: String,
        /// Its probe.
        source_name: String,
    },
    /// No switch of that name.
    #[error("category `{0}` does not exist; the categories are hardware, settings, usage, performance and problems")]
    UnknownCategory(String),
    /// A yes to nothing.
    #[error("consent to no category at all; name at least one, or refuse")]
    NoCategory,
    /// Another type than the metric's.
    #[error("{metric}: {reason}")]
    WrongType {
        /// The metric.
        metric: String,
        /// Both types.
        reason: WrongType,
    },
    /// A number for a metric that counts nothing.
    #[error("{metric} is a {kind} metric and counts nothing; use RecordEvent")]
    NotACount {
        /// The metric.
        metric: String,
        /// Its kind.
        kind: &'static str,
    },
    /// Too many calls.
    #[error("more than {CALLS_PER_HOUR} calls in an hour; try again in the next")]
    QuotaExceeded,
    /// There will be no report of this metric any more.
    #[error("{metric} will not be reported: {cap}")]
    BudgetExhausted {
        /// The metric.
        metric: String,
        /// Which budget is used up.
        cap: ledger::Refusal,
    },
    /// Only the administrator may do that.
    #[error("only the administrator may {deed}; try again as root")]
    NotAuthorized {
        /// What was tried.
        deed: &'static str,
    },
    /// The daemon could not do what it should.
    #[error("{0}")]
    Failed(String),
    /// The daemon is on its way out.
    #[error("hubbubd is stopping; try again")]
    Stopping,
}

impl Refusal {
    /// The D-Bus error's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off | Self::CategoryOff { .. } | Self::Ended { .. } | Self::Unusable { .. } => {
                "org.hubbub.Metrics1.Error.Disabled"
            }
            Self::UnknownMetric(_) | Self::NotAnEvent { .. } => "org.hubbub.Metrics1.Error.UnknownMetric",
            Self::WrongType { .. } | Self::NotACount { .. } | Self::UnknownCategory(_) | Self::NoCategory => {
                "org.hubbub.Metrics1.Error.WrongType"
            }
            Self::QuotaExceeded => "org.hubbub.Metrics1.Error.QuotaExceeded",
            Self::BudgetExhausted { .. } => "org.hubbub.Metrics1.Error.BudgetExhausted",
            Self::NotAuthorized { .. } => "org.hubbub.Metrics1.Error.NotAuthorized",
            Self::Failed(_) => "org.freedesktop.DBus.Error.IOError",
            Self::Stopping => "org.freedesktop.DBus.Error.Disconnected",
        }
    }
}
