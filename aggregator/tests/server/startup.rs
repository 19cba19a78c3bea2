//! Starts that must be refused, with a message that names the thing and the remedy.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use hubbub_aggregator::Config;

use crate::client::{count, offer_all};
use crate::place::*;
use crate::server::{Server, export, refused, run_command};

fn expect(place: &Place, code: i32, parts: &[&str]) {
    let (found, message) = refused(place);
    assert_eq!(found, Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn the_sample_configuration_is_one() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/aggregator.toml");
    let config = Config::read(sample.as_ref()).unwrap();
    assert!(config.listen.ip().is_loopback());
    // The keys that are commented out are real ones too.
    let place = crate::new_place();
    let all = fs::read_to_string(sample).unwrap().replace("\n#tls_", "\ntls_").replace("\n#retired", "\nretired");
    place.write_config(&all);
    let config = Config::read(&place.path("aggregator.toml")).unwrap();
    assert!(config.tls().is_some() && config.retired);
}

#[test]
fn a_wrong_configuration_is_refused() {
    let place = crate::new_place();
    let good = place.config();
    for (bad, part) in [
        (format!("{good}color = 1\n"), "unknown field `color`"),
        (good.replace("node = \"a\"\n", ""), "missing field `node`"),
        (good.replace("127.0.0.1:0", "localhost"), "listen"),
        (good.replace("\"a\"", "\"../a\""), "node `../a`"),
        (good.replace("\"a\"", "\"offline\""), "node `offline`"),
        (format!("{good}tls_key = \"/k\"\n"), "tls_certificate and tls_key"),
        (good.replace("127.0.0.1:0", "0.0.0.0:0"), "--test-clock"),
    ] {
        place.write_config(&bad);
        expect(&place, 2, &[part]);
    }
    fs::remove_file(place.path("aggregator.toml")).unwrap();
    expect(&place, 3, &["aggregator.toml", "--config"]);
    let usage = Command::new(env!("CARGO_BIN_EXE_hubbub-aggregator")).arg("serve").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_port_in_use_is_named() {
    let place = crate::new_place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.write_config(&place.config().replace("127.0.0.1:0", &address));
    expect(&place, 4, &[&address, "choose another `listen`"]);
}

#[test]
fn a_registry_that_cannot_be_counted_by_is_refused() {
    let place = crate::new_place();
    let good = registry_text(&standard_metrics());
    place.write_registry(&good.replace("kind = \"boolean\"", "kind = \"bool\""));
    expect(&place, 2, &["has errors", "test.toml:", "test.flag"]);
    place.write_registry(&good.replace("Question?", "Another question?"));
    expect(&place, 2, &["not approved", "[covers]", "test.flag"]);
    place.write_registry("schema = ");
    expect(&place, 2, &["test.toml:1"]);
    let mut metrics = standard_metrics();
    metrics[1].mechanism = "window";
    place.write_registry(&registry_text(&metrics));
    expect(&place, 2, &["test.colour", "`window` does not serve kind categorical"]);
    fs::remove_file(place.path("registry/test.toml")).unwrap();
    expect(&place, 2, &["registry", "*.toml"]);
    fs::remove_dir(place.path("registry")).unwrap();
    expect(&place, 3, &["reading registry", "registry"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = crate::new_place();
    fs::write(place.path("file"), "").unwrap();
    let below = place.path("file").join("store.redb");
    let store = place.path("store.redb");
    place.write_config(&place.config().replace(&format!("{store:?}"), &format!("{below:?}")));
    expect(&place, 3, &["file/store.redb", "writable directory"]);

    let below = place.path("file").join("counters");
    place.write_config(&place.config().replace(&format!("{:?}", place.path("counters")), &format!("{below:?}")));
    expect(&place, 3, &["export_dir", "file/counters"]);
}

#[test]
fn a_read_only_disk_is_named() {
    let place = crate::new_place();
    let mount = place.path("mount");
    let Some(mut command) = crate::full_disk::with_tmpfs(&mount, "ro") else { return };
    let store = mount.join("store.redb");
    place.write_config(&place.config().replace(&format!("{:?}", place.path("store.redb")), &format!("{store:?}")));
    let server = run_command(&place);
    let output = command.arg(server.get_program()).args(server.get_args()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("mount/store.redb") && message.contains("Read-only"), "{message}");
}

#[test]
fn one_store_serves_one_server() {
    let place = crate::new_place();
    let _server = Server::start(&place);
    expect(&place, 4, &["store.redb", "in use by another process"]);
}

#[test]
fn an_export_without_an_answer_from_the_stores_owner_says_so() {
    let place = crate::new_place();
    let server = Server::start(&place);
    fs::remove_file(place.path("store.redb.sock")).unwrap();
    let output = export(&place);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no server answers"));
    drop(server);
}

#[test]
fn a_corrupted_store_is_refused_and_left_alone() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    let store = place.path("store.redb");
    let good = fs::read(&store).unwrap();
    let needle: Vec<u8> = (0..32u32).flat_map(|n| flags(n..n + 1)[0].id.0).take(32).collect();
    let ids = good.windows(32).position(|bytes| bytes == needle).expect("the ids are in the store");
    let mut flipped = good.clone();
    flipped[ids + 5] ^= 1;
    for (why, bytes) in [
        ("garbage", b"not a store at all, but long enough to be looked at".repeat(100)),
        ("nothing", Vec::new()),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("a flipped bit among the ids", flipped),
    ] {
        fs::write(&store, &bytes).unwrap();
        let (code, message) = refused(&place);
        assert_eq!(code, Some(3), "{why}: {message}");
        assert!(message.contains("corrupted") && message.contains("store.redb"), "{why}: {message}");
        assert_eq!(export(&place).status.code(), Some(3), "{why}");
        assert!(fs::read(&store).unwrap() == bytes, "{why}: the store was changed");
    }
    fs::write(&store, good).unwrap();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
}

#[test]
fn a_store_of_another_format_is_refused() {
    let place = crate::new_place();
    assert!(Server::start(&place).terminate().success());
    let meta: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(place.path("store.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(meta).unwrap().insert("format", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    expect(&place, 3, &["format 99", "reads format 2"]);
}

#[test]
fn what_a_version_means_cannot_be_changed() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    let mut metrics = standard_metrics();
    metrics[0].epsilon = "0.5";
    place.write_registry(&registry_text(&metrics));
    expect(&place, 2, &["test.flag", "epsilon", "raise the metric's version"]);
    metrics[0].data = "kind = \"categorical\"\nvalues = [\"no\", \"yes\"]\nabsent = \"no\"\nother = \"yes\"";
    metrics[0].epsilon = "1.0";
    place.write_registry(&registry_text(&metrics));
    expect(&place, 2, &["test.flag", "list of values"]);
    metrics[0].version = 2;
    place.write_registry(&registry_text(&metrics));
    assert!(Server::start(&place).terminate().success());
}
