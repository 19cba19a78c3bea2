//! Load on a report server: a registry of realistic metrics, reports drawn from their mechanisms, honest and slow clients.
//!
//! The generator shares the machine with the server that it measures. So everything about a request but its id is made
//! beforehand, and one thread drives all connections.

mod latencies;
mod offer;
mod registry;
mod requests;
mod slow;
mod totals;

pub use latencies::Latencies;
pub use offer::{Offering, Outcome, offer, repeat};
pub use registry::{large, mixed, write};
pub use requests::Requests;
pub use slow::{Slowness, Trickle, trickle};
pub use totals::Totals;
