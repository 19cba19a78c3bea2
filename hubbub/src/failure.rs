//! What ends this program early, and with which exit code.

use std::panic;

use hubbub_estimator::EstimateError;
use hubbub_privacy::Exit;
use hubbub_privacy::registry::ReadError;
use thiserror::Error;

use crate::audit::AuditError;
use crate::demo::DemoError;
use crate::filters::FilterError;
use crate::plan::PlanningError;
use crate::registry::CheckError;

/// Anything that ends this program early.
#[derive(Debug, Error)]
pub enum Failure {
    /// The registry does not pass, or could not be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// A filter stopped.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The counters cannot be estimated.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// The audit did not pass, or could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// There is no plan, or nothing to explain.
    #[error(transparent)]
    Planning(#[from] PlanningError),
    /// The demo stopped.
    #[error(transparent)]
    Demo(#[from] DemoError),
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Check(error) => error.exit(),
            Self::Registry(error) => error.exit(),
            Self::Filter(error) => error.exit(),
            Self::Estimate(error) => error.exit(),
            Self::Audit(error) => error.exit(),
            Self::Planning(error) => error.exit(),
            Self::Demo(error) => error.exit(),
        }
    }
}

/// Keeps the panics of the Parquet readers, which the estimator catches and turns into a message that names the damaged
/// file, from printing their own. All other panics print as usual.
pub fn silence_parquet_readers() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        if !["/parquet-", "/polars-", "/arrow-"].iter().any(|reader| file.contains(reader)) {
            usual(panic);
        }
    }));
}
