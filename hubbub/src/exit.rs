//! What ends this program early, and with which exit code.

use hubbub_estimator::EstimateError;
use hubbub_privacy::Exit;
use hubbub_privacy::registry::ReadError;
use thiserror::Error;

use crate::demo::DemoError;
use crate::filters::FilterError;
use crate::registry::CheckFailed;

/// Anything that ends this program early.
#[derive(Debug, Error)]
pub enum Failure {
    /// The registry does not pass.
    #[error(transparent)]
    Check(#[from] CheckFailed),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// A filter stopped.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The counters cannot be estimated.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// The demo stopped.
    #[error(transparent)]
    Demo(#[from] DemoError),
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Check(_) => Exit::CheckFailed,
            Self::Registry(error) => of_registry(error),
            Self::Filter(error) => error.exit(),
            Self::Estimate(error) => of_estimate(error),
            Self::Demo(error) => error.exit(),
        }
    }
}

/// The exit code of a registry that cannot be used.
pub fn of_registry(error: &ReadError) -> Exit {
    match error {
        ReadError::Io { .. } => Exit::InputOutput,
        ReadError::FileCount { .. } | ReadError::Invalid { .. } => Exit::BadInput,
    }
}

/// The exit code of counters that cannot be estimated.
pub fn of_estimate(error: &EstimateError) -> Exit {
    if error.is_bad_input() { Exit::BadInput } else { Exit::InputOutput }
}
