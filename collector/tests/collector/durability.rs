//! Acknowledged means on the disk.

use std::time::Duration;

use zbus::Variant;

use crate::bench::Bench;
use crate::registry::STANDARD;

fn times(bench: &Bench, metric: &str, value: &str) -> u64 {
    let stored = bench.json(&["show", metric])["stored"].clone();
    stored[0]["values"][value].as_u64().unwrap_or(0)
}

/// Several applications record as fast as they can; the daemon is killed in the middle. Whatever was acknowledged is
/// there afterwards.
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let mut bench = Bench::consenting(&STANDARD);
    let mut applications = Vec::new();
    for _ in 0..8 {
        let application = bench.application().await;
        applications.push(tokio::spawn(async move {
            let mut acknowledged = 0u64;
            let event = ("test.session", Variant::from("network"));
            while application.call::<_, _, ()>("RecordEvent", &event).await.is_ok() {
                acknowledged += 1;
            }
            acknowledged
        }));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    bench.kill();
    let mut acknowledged = 0;
    for application in applications {
        acknowledged += application.await.unwrap();
    }
    assert!(acknowledged > 20, "only {acknowledged} events were recorded");
    bench.start();
    let stored = times(&bench, "test.session", "network");
    // At most one call of each application was stored but not yet acknowledged.
    assert!((acknowledged..=acknowledged + 8).contains(&stored), "{acknowledged} acknowledged, {stored} stored");
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let mut bench = Bench::consenting(&STANDARD);
    let application = bench.application().await;
    let () = application.call("RecordEvent", &("test.session", Variant::from("network"))).await.unwrap();
    bench.close_week("2026-W48", 6);
    let () = application.call("RecordEvent", &("test.session", Variant::from("display"))).await.unwrap();
    let kept = |bench: &Bench| {
        (bench.json(&["status"]), bench.log(), bench.json(&["ledger"]), bench.json(&["show", "test.session"]))
    };
    let before = kept(&bench);
    assert_eq!(bench.stop(), Some(0));
    bench.start();
    assert_eq!(kept(&bench), before);
    bench.kill();
    bench.start();
    assert_eq!(kept(&bench), before);
    assert_eq!(times(&bench, "test.session", "display"), 1);
}
