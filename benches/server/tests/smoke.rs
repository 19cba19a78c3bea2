//! The load generator against the report server: as many reports are counted as were answered so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hubbub_aggregator::{Clock, Config, Reading, Setup, Task, maintain, run};
use hubbub_bench_server::{Offering, Requests, Totals, large, offer, repeat, write};
use hubbub_privacy::registry;
use hubbub_randomizer::Plan;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves on its own thread; gives the address, and what ends it.
fn serve(config: Config) -> (SocketAddr, impl FnOnce()) {
    let (listening, address) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let setup = Setup::prepare(&config, Clock::System).unwrap();
            listening.send(listener.local_addr().unwrap()).unwrap();
            run(listener, setup, async { stopped.await.unwrap() }).await.unwrap();
        });
    });
    let end = move || {
        stop.send(()).unwrap();
        thread.join().unwrap();
    };
    (address.recv().unwrap(), end)
}

#[test]
fn every_report_answered_200_is_in_the_counters_and_no_other() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::create_dir(path("registry")).unwrap();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    write(&large(2, 20, 1, now_s).unwrap(), &path("registry")).unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstore = {:?}\nregistry = {:?}\nexport_dir = {:?}\nnode = \"a\"\n",
        path("store.redb"),
        path("registry"),
        path("counters")
    );
    std::fs::write(path("aggregator.toml"), text).unwrap();
    let config = Config::read(&path("aggregator.toml")).unwrap();
    let (address, end) = serve(Config::read(&path("aggregator.toml")).unwrap());
    let plan = Plan::new(registry::read(&path("registry")).unwrap());
    let requests = Requests::new(&plan, 2, now_s, 1);
    let measured = Duration::from_millis(200);
    let offering = Offering { address, connections: 200, warm_up: Duration::ZERO, measured };
    let outcome = offer(offering, &requests).unwrap();
    assert_eq!(outcome.lost, 0);
    let answered = |status| outcome.answers.get(&status).copied().unwrap_or(0);
    assert_eq!(outcome.answers.values().sum::<u64>(), answered(200) + answered(202), "{:?}", outcome.answers);
    // Of two hundred at once, some metric has its group.
    assert!(answered(200) >= 32, "{:?}", outcome.answers);
    assert_eq!(answered(202), outcome.pending.len() as u64);
    // Those that were told to come again are counted since, or still wait.
    let counted = answered(200) + repeat(address, &requests, &outcome.pending).unwrap();
    end();
    maintain(&config, Task::Read(Reading::Export)).unwrap();
    assert_eq!(Totals::of(&path("counters")).unwrap().reports, counted);
}
