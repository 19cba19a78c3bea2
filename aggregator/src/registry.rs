//! The registry that the server counts by, refused as a whole when a part of it could not be counted.

use std::path::Path;

use hubbub_privacy::Exit;
use hubbub_privacy::registry::{self, Findings, ReadError};
use hubbub_randomizer::{Plan, PlanError};
use thiserror::Error;

use crate::MAX_BODY_BYTES;

/// Why a registry cannot be served.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// It cannot be read, or is wrong.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A metric that is more than a draft was not approved as it stands.
    #[error("registry {directory} is not approved:\n{findings}")]
    NotApproved {
        /// The directory.
        directory: String,
        /// What is missing.
        findings: Findings,
    },
    /// A collected metric has no mechanism.
    #[error("{0}; change the metric, or set status = \"draft\"")]
    NoMechanism(#[from] PlanError),
    /// A collected metric's reports would all be refused.
    #[error(
        "metric {metric}: its reports have {bytes} bytes, and the server takes at most {MAX_BODY_BYTES}; \
         use fewer values or a larger epsilon"
    )]
    ReportTooLong {
        /// The metric's full name.
        metric: String,
        /// The length of its uploads.
        bytes: usize,
    },
}

impl RegistryError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Read(error) => error.exit(),
            Self::NotApproved { .. } | Self::NoMechanism(_) | Self::ReportTooLong { .. } => Exit::BadInput,
        }
    }
}

/// Reads a registry and resolves its mechanisms, at a time in Unix seconds. Drafts may stand in it; they are not
/// counted.
///
/// # Errors
/// [`RegistryError`]: nothing of a registry is served when one collected metric cannot be.
pub fn load_plan(directory: &Path, now_s: i64) -> Result<Plan, RegistryError> {
    let registry = registry::read(directory)?;
    registry
        .require_approved(now_s)
        .map_err(|findings| RegistryError::NotApproved { directory: directory.display().to_string(), findings })?;
    let plan = Plan::new(registry);
    for metric in plan.registry().metrics().filter(|metric| metric.status.is_collected()) {
        let (_, mechanism) = plan.get(metric.id)?;
        let bytes = mechanism.body_bytes();
        if bytes > MAX_BODY_BYTES {
            return Err(RegistryError::ReportTooLong { metric: metric.name.clone(), bytes });
        }
    }
    Ok(plan)
}
