//! The contract on the bus: signatures, types, errors.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use crate::bench::{Bench, error_name};
use crate::registry::STANDARD;

const XML: &str = include_str!("../../dbus/org.hubbub.Metrics1.xml");

/// The interface's element without white space and comments.
fn interface(xml: &str) -> String {
    let mut text = String::new();
    let mut rest = xml;
    while let Some((before, after)) = rest.split_once("<!--") {
        text += before;
        rest = after.split_once("-->").unwrap().1;
    }
    text += rest;
    let start = text.find("<interface name=\"org.hubbub.Metrics1\"").unwrap();
    let end = start + text[start..].find("</interface>").unwrap();
    text[start..end].split_whitespace().collect::<Vec<_>>().join(" ").replace("> <", "><").replace(" />", "/>")
}

#[tokio::test]
async fn the_running_service_is_what_its_description_says() {
    let bench = Bench::started(&STANDARD);
    let application = bench.application().await;
    let found = application.introspect().await.unwrap();
    assert_eq!(interface(&found), interface(XML), "{found}");
}

#[tokio::test]
async fn every_wrong_call_has_its_error() {
    let bench = Bench::consenting(&STANDARD);
    bench.ctl(&["off", "usage"]);
    let application = bench.application().await;
    let event = |metric: &'static str, value: Variant<'static>| {
        let application = &application;
        async move { application.call::<_, _, ()>("RecordEvent", &(metric, value)).await }
    };
    for (metric, value, error) in [
        ("test.nothing", Variant::from(true), "UnknownMetric"),
        ("test.cpu_vendor", Variant::from("amd"), "UnknownMetric"),
        ("", Variant::from("amd"), "UnknownMetric"),
        ("test.panel", Variant::from("network"), "Disabled"),
        ("test.session", Variant::from(7u32), "WrongType"),
        ("test.session", Variant::from(vec!["network"]), "WrongType"),
        ("test.dark", Variant::from("true"), "WrongType"),
        ("test.dark", Variant::from(1i32), "WrongType"),
        ("test.crashes", Variant::from("1"), "WrongType"),
        ("test.crashes", Variant::from(1.5f64), "WrongType"),
    ] {
        let name = error_name(event(metric, value).await);
        assert_eq!(name, format!("org.hubbub.Metrics1.Error.{error}"), "{metric}");
    }
    for (metric, error) in [("test.nothing", "UnknownMetric"), ("test.dark", "WrongType"), ("test.panel", "WrongType")]
    {
        let refused = application.call::<_, _, ()>("RecordCount", &(metric, 1u32)).await;
        let expected = if metric == "test.panel" { "Disabled" } else { error };
        assert_eq!(error_name(refused), format!("org.hubbub.Metrics1.Error.{expected}"), "{metric}");
    }
    let unknown = application.call::<_, _, HashMap<String, OwnedVariant>>("Preview", &"test.nothing").await;
    assert_eq!(error_name(unknown), "org.hubbub.Metrics1.Error.UnknownMetric");
    let category = application.call::<_, _, ()>("SetCategory", &("colour", true)).await;
    assert_eq!(error_name(category), "org.hubbub.Metrics1.Error.WrongType");
    assert_eq!(bench.json(&["show", "test.session"])["stored"], serde_json::json!([]), "a refused call stores nothing");
}

#[tokio::test]
async fn right_calls_of_every_type_are_tallied() {
    let bench = Bench::consenting(&STANDARD);
    let application = bench.application().await;
    for (metric, value) in [
        ("test.panel", Variant::from("network")),
        ("test.panel", Variant::from("a panel nobody listed")),
        ("test.dark", Variant::from(true)),
        ("test.crashes", Variant::from(2u8)),
        ("test.crashes", Variant::from(3i64)),
    ] {
        let () = application.call("RecordEvent", &(metric, value)).await.unwrap();
    }
    let () = application.call("RecordCount", &("test.crashes", 10u32)).await.unwrap();
    let values: Vec<HashMap<String, OwnedVariant>> = application.call("LocalValues", &()).await.unwrap();
    let text = |metric: &str| {
        let row = values.iter().find(|row| *row["metric"] == Variant::from(metric)).unwrap();
        String::try_from(row["value"].try_clone().unwrap()).unwrap()
    };
    assert_eq!(text("test.panel"), "network, other");
    assert_eq!(text("test.dark"), "true");
    assert_eq!(text("test.crashes"), "15");
    assert_eq!(text("test.cpu_vendor"), "amd");
    assert!(!bench.state_contains("a panel nobody listed"), "an unlisted value must not be stored");
    let paused: u64 = application.get_property("PausedUntil").await.unwrap();
    let digest: String = application.get_property("RegistryDigest").await.unwrap();
    assert_eq!((paused, digest.starts_with("sha256:")), (0, true));
}

#[tokio::test]
async fn a_preview_is_made_with_fresh_noise_until_the_report_exists() {
    let bench = Bench::consenting(&STANDARD);
    let application = bench.application().await;
    let preview = || async {
        let preview: HashMap<String, OwnedVariant> = application.call("Preview", &"test.cpu_vendor").await.unwrap();
        let text = |key: &str| String::try_from(preview[key].try_clone().unwrap()).unwrap();
        (text("bytes"), text("value"), bool::try_from(&*preview["rehearsal"]).unwrap(), text("odds"))
    };
    let (first, second) = (preview().await, preview().await);
    assert_ne!(first.0, second.0, "the same noise twice");
    assert_eq!((first.0.len(), first.1.as_str(), first.2), (512, "amd", true));
    assert!(first.3.contains("at most 57 %"), "{}", first.3);
    bench.close_week("2026-W48", 6);
    let (bytes, value, rehearsal, _) = preview().await;
    assert_eq!((value.as_str(), rehearsal), ("amd", false));
    assert!(bench.outbox().iter().any(|(_, content)| content == bytes.as_bytes()), "the very bytes that will be sent");
    assert_eq!(preview().await.0, bytes);
    assert_eq!(bench.log().len(), 6, "a preview makes no report");
}
