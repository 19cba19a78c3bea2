//! The state file: who may use it, what survives, what is gone.

use std::os::unix::fs::PermissionsExt;

use hubbub_privacy::registry::Aggregate;
use hubbub_privacy::{Domain, MetricId, Private, Value};
use rand::rngs::SysRng;

use super::*;
use crate::event::{Entry, Origin};
use crate::store::tally::Row;

const METRIC: MetricId = MetricId(1);

fn directory() -> (tempfile::TempDir, StateDirectory) {
    let temporary = tempfile::tempdir().unwrap();
    let claimed = StateDirectory::claim(&temporary.path().join("state")).unwrap();
    (temporary, claimed)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_state_is_private_and_claimed_once() {
    let (_temporary, claimed) = directory();
    let store = claimed.open_or_create().unwrap();
    assert_eq!(mode(&claimed.path), 0o700);
    for entry in fs::read_dir(&claimed.path).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(matches!(StateDirectory::claim(&claimed.path), Err(StoreError::InUse { .. })));
    let pragma = |name: &str| store.db().query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, String>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    let number = |name: &str| store.db().query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    assert_eq!((number("synchronous").unwrap(), number("secure_delete").unwrap()), (2, 1));
}

#[test]
fn no_database_exists_until_one_is_needed() {
    let (_temporary, claimed) = directory();
    assert!(claimed.open().unwrap().is_none());
    assert_eq!(fs::read_dir(&claimed.path).unwrap().count(), 0);
    drop(claimed.open_or_create().unwrap());
    assert!(claimed.open().unwrap().is_some());
}

#[test]
fn a_newer_or_broken_file_is_refused_and_left_alone() {
    let (_temporary, claimed) = directory();
    let store = claimed.open_or_create().unwrap();
    store.db().pragma_update(None, "user_version", 2).unwrap();
    drop(store);
    let error = claimed.open().unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error}");

    let path = claimed.path.join(FILE);
    fs::write(&path, "this is no database, and long enough to be read as one".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(claimed.open(), Err(StoreError::Sqlite { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let (_temporary, claimed) = directory();
    let mut store = claimed.open_or_create().unwrap();
    let result: Result<(), StoreError> = store.commit(|db| {
        answers::set_consent(db, answers::Consent::Yes, 1)?;
        Err(StoreError::Corrupt { what: "a test".to_owned() })
    });
    assert!(result.is_err());
    assert_eq!(answers::consent(store.db()).unwrap(), answers::Consent::Unset);
}

#[test]
fn a_deleted_value_is_in_no_file() {
    let (_temporary, claimed) = directory();
    let store = claimed.open_or_create().unwrap();
    let domain = Domain::Boolean;
    let entry = Private::new(Entry::Text("conspicuous-value".to_owned()));
    tally::add(store.db(), (METRIC, &domain, Aggregate::Last), Origin::User(7), &entry).unwrap();
    let holds_it = || {
        fs::read_dir(&claimed.path).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(17).any(|window| window == b"conspicuous-value")
        })
    };
    assert!(holds_it());
    tally::forget_week(store.db()).unwrap();
    store.forget_deleted().unwrap();
    assert!(!holds_it());
}

#[test]
fn what_was_deleted_just_before_a_crash_is_gone_after_the_next_start() {
    let (_temporary, claimed) = directory();
    let store = claimed.open_or_create().unwrap();
    let entry = Private::new(Entry::Text("conspicuous-value".to_owned()));
    tally::add(store.db(), (METRIC, &Domain::Boolean, Aggregate::Last), Origin::User(7), &entry).unwrap();
    tally::forget_week(store.db()).unwrap();
    // What a crash leaves: the files as they are now, without the checkpoint of an orderly close.
    let (_other, crashed) = directory();
    for file in fs::read_dir(&claimed.path).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), crashed.path.join(file.file_name())).unwrap();
    }
    let holds_it = |directory: &Path| {
        fs::read_dir(directory).unwrap().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(17).any(|window| window == b"conspicuous-value")
        })
    };
    assert!(holds_it(&crashed.path));
    let reopened = crashed.open().unwrap();
    assert!(reopened.is_some() && !holds_it(&crashed.path));
}

/// Adds entries and gives the rows.
fn tallied(domain: &Domain, aggregate: Aggregate, entries: &[(Origin, Entry)]) -> Vec<Row> {
    let (_temporary, claimed) = directory();
    let store = claimed.open_or_create().unwrap();
    for (origin, entry) in entries {
        tally::add(store.db(), (METRIC, domain, aggregate), *origin, &Private::new(entry.clone())).unwrap();
    }
    tally::rows(store.db(), METRIC).unwrap()
}

#[test]
fn a_week_becomes_one_value_as_the_registry_says() {
    let (machine, anna, bert) = (Origin::Machine, Origin::User(1000), Origin::User(1001));
    let text = |origin, text: &str| (origin, Entry::Text(text.to_owned()));
    let number = |origin, number| (origin, Entry::Number(number));
    let labels = ["none", "other", "a", "b"].map(str::to_owned).to_vec();
    let categorical = Domain::Categorical { values: labels.clone(), absent: Some(0), other: Some(1) };
    let set = Domain::Set { values: labels, max_items: 2 };
    let count = Domain::Count { max: 50 };
    let items = |origin, items: &[&str]| (origin, Entry::Items(items.iter().map(|&item| item.to_owned()).collect()));
    for (domain, aggregate, entries, value) in [
        (&categorical, Aggregate::Last, vec![text(anna, "a"), text(bert, "b"), text(anna, "a")], Value::Index(2)),
        (
            &categorical,
            Aggregate::MostCommon,
            vec![text(anna, "a"), text(bert, "b"), text(machine, "b")],
            Value::Index(3),
        ),
        (&categorical, Aggregate::MostCommon, vec![text(anna, "a"), text(bert, "b")], Value::Index(3)),
        (&categorical, Aggregate::SampleOne, vec![text(anna, "b"), text(bert, "b")], Value::Index(3)),
        (&categorical, Aggregate::SampleOne, vec![], Value::Index(0)),
        (&categorical, Aggregate::Last, vec![], Value::Index(0)),
        (&count, Aggregate::Max, vec![number(anna, 3), number(bert, 9), number(anna, 4)], Value::Index(9)),
        (&count, Aggregate::Sum, vec![number(anna, 3), number(bert, 9), number(anna, 4)], Value::Index(16)),
        (&count, Aggregate::Sum, vec![number(anna, i64::MAX), number(anna, i64::MAX)], Value::Index(50)),
        (&count, Aggregate::Count, vec![number(anna, 1), number(bert, 1), number(anna, 1)], Value::Index(3)),
        (&Domain::Boolean, Aggregate::Any, vec![text(anna, "true"), text(anna, "false")], Value::Index(1)),
        (&Domain::Boolean, Aggregate::Any, vec![text(anna, "false"), text(bert, "false")], Value::Index(0)),
        (&set, Aggregate::Union, vec![items(anna, &["a"]), items(bert, &["b", "a"])], Value::Items(vec![2, 3])),
        (&set, Aggregate::Union, vec![], Value::Items(vec![])),
    ] {
        let rows = tallied(domain, aggregate, &entries);
        let combined = tally::combine(domain, aggregate, &rows, &mut SysRng).unwrap();
        assert_eq!(combined.expose(), &value, "{} {aggregate:?}", domain.kind());
    }
}

#[test]
fn a_sample_is_drawn_over_events_and_not_over_values() {
    let domain = Domain::Categorical {
        values: ["none", "other", "rare", "often"].map(str::to_owned).to_vec(),
        absent: Some(0),
        other: Some(1),
    };
    let event = |label: &str| (Origin::User(1), Entry::Text(label.to_owned()));
    let mut entries = vec![event("rare")];
    entries.extend(vec![event("often"); 9]);
    let rows = tallied(&domain, Aggregate::SampleOne, &entries);
    let draws = 2000;
    let rare = (0..draws)
        .filter(|_| {
            let value = tally::combine(&domain, Aggregate::SampleOne, &rows, &mut SysRng).unwrap();
            *value.expose() == Value::Index(2)
        })
        .count();
    // Expected 200; Chernoff bounds either side by 1e-9.
    assert!((100..330).contains(&rare), "{rare} of {draws}");
}

#[test]
fn only_what_the_aggregate_needs_is_kept() {
    let count = Domain::Count { max: 50 };
    let numbers: Vec<(Origin, Entry)> = (0..100).map(|n| (Origin::User(1), Entry::Number(n))).collect();
    for aggregate in [Aggregate::Last, Aggregate::Max, Aggregate::Sum, Aggregate::Count] {
        assert_eq!(tallied(&count, aggregate, &numbers).len(), 1, "{aggregate:?}");
    }
}
