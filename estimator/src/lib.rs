//! From the servers' sums to what analysts read: unbiased estimates with honest errors, as Parquet.
//!
//! The route of one number: `shards` finds and checks the counters files of every node; `sum` adds them with Polars;
//! `share`, `count` and `window` turn the sums of a mechanism into estimates; `table` writes [`Row`]s. Files are read one at a
//! time and sums are decoded one metric and period at a time: of each further node only its paths and headers stay in
//! memory. Nothing is written before everything has been checked. Files of another version of a metric than the
//! registry's are skipped with a warning, unopened.
//!
//! Three numbers per statistic must not be mixed up. `estimate` is unbiased and may lie outside what is possible (a
//! share below zero); averages, trends and differences must use it. `consistent` is the estimate moved to the nearest
//! possible one, for display. `ci95_low..ci95_high` covers the truth of the population that the reporting devices were
//! drawn from.

mod count;
mod error;
mod estimate;
mod interval;
mod row;
mod shards;
mod share;
mod simplex;
#[cfg(test)]
mod studies;
mod sum;
mod table;
mod window;

pub use error::{Defect, EstimateError, OtherVersion};
pub use estimate::{Progress, Request, Step, Summary, estimate};
pub use row::{Row, Statistic};
pub use simplex::project as project_onto_simplex;
