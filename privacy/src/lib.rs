//! The vocabulary of Hubbub: what a metric is, what a report costs, and what the bytes that pass between the three
//! programs mean.
//!
//! Everything here is arithmetic on values: no clock, no randomness, no network. The one place that touches a disk is
//! [`registry::read`], because the three programs must read the same registry in the same bounded way.
//!
//! The types follow a report on its way: [`Private`] values make an [`Observation`]; a [`ledger::Charge`] that has been
//! written down becomes a [`ledger::Grant`]; both together are consumed to make a [`Report`]; reports are folded into
//! [`Counters`].

pub mod budget;
pub mod certificate;
mod counters;
mod domain;
mod epsilon;
mod exit;
pub mod ledger;
mod observation;
mod period;
mod private;
pub mod registry;
mod report;
mod shuffle;

pub use counters::{Counters, CountersHeader, HeaderError, Series, SeriesPathError};
pub use domain::{Domain, Goal, Value, ValueError};
pub use epsilon::{Decimal, DecimalError, Epsilon, Probability};
pub use exit::Exit;
pub use observation::Observation;
pub use period::{Period, PeriodError};
pub use private::Private;
pub use registry::{Metric, MetricId, Registry};
pub use report::{MalformedReport, Payload, REPORT_BODY_BYTES, REPORT_FORMAT, Report, ReportId};
pub use shuffle::{Shuffle, ShuffleError};
