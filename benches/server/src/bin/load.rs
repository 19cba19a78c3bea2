//! The load generator. Figures go to standard output as one line of JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use hubbub_bench_server::{Offering, Requests, Slowness, Totals, large, mixed, offer, repeat, trickle, write};
use hubbub_privacy::registry;
use hubbub_randomizer::Plan;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

/// Load on a report server.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a registry that is approved today: sixty metrics of all kinds, or large ones.
    Registry {
        /// An empty directory.
        directory: PathBuf,
        /// Metrics of categories only, so many.
        #[arg(long, requires = "values")]
        metrics: Option<u32>,
        /// The number of categories of each.
        #[arg(long)]
        values: Option<u32>,
        /// The epsilon of each.
        #[arg(long, default_value_t = 1)]
        epsilon: u32,
    },
    /// Offer reports as fast as they are answered.
    Offer {
        /// The server.
        address: SocketAddr,
        /// The registry that the server counts by.
        #[arg(long)]
        registry: PathBuf,
        /// Connections, each with one report on its way.
        #[arg(long)]
        connections: usize,
        /// Seconds that figures are taken for.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// Seconds before that.
        #[arg(long, default_value_t = 2.0)]
        warm_up: f64,
        /// Only the first so many metrics.
        #[arg(long, default_value_t = usize::MAX)]
        metrics: usize,
        /// Another series of ids and payloads for each run against the same store.
        #[arg(long)]
        seed: u64,
    },
    /// Offer reports of an earlier run again, whose numbers stand on standard input as a list in JSON.
    Repeat {
        /// The server.
        address: SocketAddr,
        /// As then.
        #[arg(long)]
        registry: PathBuf,
        /// As then.
        #[arg(long, default_value_t = usize::MAX)]
        metrics: usize,
        /// As then.
        #[arg(long)]
        seed: u64,
    },
    /// Hold slow connections.
    Slow {
        /// The server.
        address: SocketAddr,
        /// Connections held open.
        #[arg(long)]
        connections: usize,
        /// Seconds between two bytes of a connection.
        #[arg(long, default_value_t = 3.0)]
        every: f64,
        /// Seconds in all.
        #[arg(long)]
        seconds: f64,
    },
    /// The reports and counters of all counters files below a directory.
    Counted {
        /// The counters directory.
        directory: PathBuf,
    },
}

fn main() -> Result<()> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    match Arguments::parse().command {
        Command::Registry { directory, metrics, values, epsilon } => {
            let files = match (metrics, values) {
                (Some(metrics), Some(values)) => large(metrics, values, epsilon, now_s),
                _ => mixed(now_s),
            };
            write(&files?, &directory).with_context(|| format!("writing into {}", directory.display()))
        }
        Command::Offer { address, registry: directory, connections, seconds, warm_up, metrics, seed } => {
            let plan = Plan::new(registry::read(&directory)?);
            let requests = Requests::new(&plan, metrics, now_s, seed);
            let (warm_up, measured) = (Duration::from_secs_f64(warm_up), Duration::from_secs_f64(seconds));
            let outcome = offer(Offering { address, connections, warm_up, measured }, &requests)
                .with_context(|| format!("offering reports to {address}"))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        Command::Repeat { address, registry: directory, metrics, seed } => {
            let plan = Plan::new(registry::read(&directory)?);
            let pending: Vec<u64> = serde_json::from_reader(std::io::stdin())?;
            let counted = repeat(address, &Requests::new(&plan, metrics, now_s, seed), &pending)
                .with_context(|| format!("offering reports to {address} again"))?;
            println!("{}", json!({"counted": counted}));
            Ok(())
        }
        Command::Slow { address, connections, every, seconds } => {
            let (every, lasts) = (Duration::from_secs_f64(every), Duration::from_secs_f64(seconds));
            let outcome = trickle(Slowness { address, connections, every, lasts })
                .with_context(|| format!("holding slow connections to {address}"))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        Command::Counted { directory } => {
            let totals = Totals::of(&directory)?;
            println!("{}", json!({"files": totals.files, "reports": totals.reports, "counters": totals.counters}));
            Ok(())
        }
    }
}
