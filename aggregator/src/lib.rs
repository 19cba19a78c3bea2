//! The server of Hubbub: it counts randomized reports and keeps nothing but sums.
//!
//! A report passes through here in one direction: the bytes of a request become a checked report or a [`Rejection`]
//! (`ingest`); it waits in memory with others of the same metric, version and period (`pending`); at least
//! [`COMMIT_GROUP`] of them together become sums and single-use ids in one durable transaction (`committer`, `store`),
//! and are answered only then; closed periods leave as Parquet files (`export`, [`counters_file`]).
//!
//! [`run()`] serves until it is told to stop. Listener, clock and shutdown are arguments. The peer's address is dropped
//! where a connection is accepted; no type of this crate holds one.

mod activity;
mod answer;
mod check;
mod clock;
mod committer;
mod config;
mod connections;
mod control;
pub mod counters_file;
mod definition;
pub mod doors;
mod export;
mod http;
mod ingest;
mod maintenance;
mod openapi;
mod pending;
mod published;
mod readiness;
mod registry;
mod replace_file;
mod room;
mod run;
mod store;
mod tls;

pub use answer::{ANSWER_BYTES, Answer, Rejection};
pub use clock::{Clock, ClockError};
pub use config::{Config, ConfigError};
pub use control::ControlError;
pub use export::ExportError;
pub use ingest::MAX_BODY_BYTES;
pub use maintenance::{MaintenanceError, Reading, Task, maintain};
pub use pending::COMMIT_GROUP;
pub use registry::{RegistryError, load_plan};
pub use run::{RunError, Setup, run};
pub use store::StoreError;
pub use tls::{Tls, TlsError};
