//! Every mechanism of Hubbub, both halves in one file each: how a device randomizes a value, and what the sums of many
//! reports say about the population.
//!
//! A randomizer is a family of sets. Truth `x` owns a set `S(x)` of outputs; with probability `T / 2^64` the report is
//! uniform in `S(x)`, otherwise uniform outside ([`TwoLevel`]). [`Subset`], [`Cyclotomic`] and [`Window`] are such laws;
//! [`FoldedGeometric`] has a row of integer weights per truth instead. Coins compare uniform 64-bit words with these integers, and the privacy loss and
//! the estimator are computed from the same integers: no float ever decides.
//!
//! The only way from a value to a report is [`release`]. [`choice`] is `auto`, and
//! [`Plan`] resolves the mechanism of every metric of a registry; [`accuracy`] predicts errors;
//! [`conformance`] is the kit that every mechanism must pass, and that must reject planted mutants.

pub mod accuracy;
pub mod choice;
pub mod conformance;
mod correlation;
mod cyclotomic;
mod exact;
mod folded_geometric;
mod mechanism;
mod payload;
mod plan;
mod prime;
pub mod questionnaire;
mod release;
mod subset;
mod support;
mod two_level;
pub mod uniform;
mod weighted;
mod window;

pub use cyclotomic::Cyclotomic;
pub use exact::ExpBound;
pub use folded_geometric::{BoundExceeded, FoldedGeometric};
pub use mechanism::Mechanism;
pub use payload::PayloadError;
pub use plan::{Plan, PlanError};
pub use release::{ReleaseError, release};
pub use subset::Subset;
pub use support::Support;
pub use two_level::TwoLevel;
pub use window::Window;
