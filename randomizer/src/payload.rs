//! What can be wrong with a report's payload.

use thiserror::Error;

/// Why a payload cannot have come from a mechanism.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// A number where an array belongs, or the other way round.
    #[error("the payload must be {expected}")]
    Shape {
        /// What the mechanism's reports are.
        expected: &'static str,
    },
    /// Too few or too many indices.
    #[error("the payload must hold {expected} indices, not {found}")]
    Length {
        /// How many every report has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Indices that are not strictly ascending.
    #[error("the payload's indices must ascend strictly")]
    Order,
    /// An index outside the mechanism's outputs.
    #[error("index {index} is not below {size}")]
    Range {
        /// The index.
        index: u32,
        /// How many outputs there are.
        size: usize,
    },
}
