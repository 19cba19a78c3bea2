//! The release: where a private value stops being one.

use hubbub_privacy::ledger::Grant;
use hubbub_privacy::{Observation, Report, ReportId};
use rand_core::TryCryptoRng;
use thiserror::Error;

use crate::Mechanism;

/// Why no report was made.
#[derive(Debug, Error)]
pub enum ReleaseError<E: std::error::Error> {
    /// The grant was paid for another question.
    #[error("the budget was granted for another metric, version or period")]
    WrongGrant,
    /// No randomness, no report.
    #[error("the random generator failed: {0}")]
    Randomness(E),
}

/// Makes the one report that `grant` paid for; consumes both, so that no value is answered twice and no answer is free.
///
/// ```compile_fail
/// # use hubbub_privacy::{Observation, ledger::Grant};
/// # use hubbub_randomizer::{Mechanism, release};
/// # fn f(a: Observation, b: Observation, grant: Grant, m: &Mechanism, rng: &mut impl rand_core::CryptoRng) {
/// let first = release(a, grant, m, rng);
/// let second = release(b, grant, m, rng); // the grant is spent
/// # }
/// ```
///
/// # Errors
/// [`ReleaseError`]; the budget stays spent.
pub fn release<R: TryCryptoRng + ?Sized>(
    observation: Observation,
    grant: Grant,
    mechanism: &Mechanism,
    rng: &mut R,
) -> Result<Report, ReleaseError<R::Error>> {
    if observation.question() != grant.question() {
        return Err(ReleaseError::WrongGrant);
    }
    let (metric, version, period) = grant.question();
    let mut id = [0; 16];
    rng.try_fill_bytes(&mut id).map_err(ReleaseError::Randomness)?;
    let payload = mechanism.randomize(observation.value().expose(), rng).map_err(ReleaseError::Randomness)?;
    Ok(Report { metric, version, period, id: ReportId(id), payload })
}
