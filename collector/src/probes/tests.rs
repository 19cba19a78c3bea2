//! Probes on recorded and synthetic trees (`tests/roots/README.md`).

use std::path::PathBuf;

use super::*;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots").join(name)
}

fn read(probe: Probe, tree: &str) -> Option<Reading> {
    probe.read(&root(tree)).map(|reading| reading.expose().clone())
}

#[test]
fn a_recorded_x86_machine_reads_as_what_it_is() {
    let tree = "x86_64";
    assert_eq!(read(Probe::CpuVendor, tree), Some(Reading::Label("amd".into())));
    assert_eq!(read(Probe::CpuThreads, tree), Some(Reading::Number(2)));
    assert_eq!(read(Probe::MemoryTotal, tree), Some(Reading::Number(24)));
    assert_eq!(read(Probe::Language, tree), None, "its locale is C.UTF-8");
    let boot = "00000000-0000-4000-8000-000000000001".to_owned();
    assert_eq!(read(Probe::OomKills, tree), Some(Reading::Total(Total { boot, count: 0 })));
}

#[test]
fn an_arm_board_reads_as_what_it_is() {
    let tree = "arm_board";
    assert_eq!(read(Probe::CpuVendor, tree), Some(Reading::Label("arm".into())));
    assert_eq!(read(Probe::CpuThreads, tree), Some(Reading::Number(4)));
    assert_eq!(read(Probe::MemoryTotal, tree), Some(Reading::Number(4)));
    assert_eq!(read(Probe::Language, tree), Some(Reading::Label("de".into())));
    let boot = "00000000-0000-4000-8000-000000000002".to_owned();
    assert_eq!(read(Probe::OomKills, tree), Some(Reading::Total(Total { boot, count: 3 })));
}

#[test]
fn a_machine_without_files_reads_as_nothing() {
    for probe in Probe::ALL.into_iter().filter(|probe| *probe != Probe::DiskUsed) {
        assert_eq!(read(probe, "bare"), None, "{}", probe.source());
    }
    assert_eq!(read(Probe::DiskUsed, "no such directory"), None);
}

#[test]
fn the_disk_below_the_root_is_measured() {
    let Some(Reading::Number(used)) = read(Probe::DiskUsed, "bare") else { panic!("no figure for this disk") };
    assert!((0..=100).contains(&used), "{used} %");
}

#[test]
fn every_known_maker_is_named_and_others_pass_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("proc")).unwrap();
    for (line, maker) in [
        ("vendor_id\t: GenuineIntel", "intel"),
        ("vendor_id\t: CentaurHauls", "centaur"),
        ("vendor_id\t: HygonGenuine", "hygon"),
        ("vendor_id\t:   Shanghai  ", "zhaoxin"),
        ("vendor_id\t: GenuineTMx86", "GenuineTMx86"),
        ("CPU implementer\t: 0x61", "apple"),
        ("CPU implementer\t: 0xc0", "ampere"),
        ("CPU implementer\t: 0x7f", "0x7f"),
    ] {
        std::fs::write(dir.path().join("proc/cpuinfo"), format!("processor\t: 0\n{line}\n\n")).unwrap();
        let read = Probe::CpuVendor.read(dir.path()).map(|reading| reading.expose().clone());
        assert_eq!(read, Some(Reading::Label(maker.to_owned())), "{line}");
    }
}

#[test]
fn files_of_another_kind_read_as_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("proc/sys/kernel/random")).unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    for content in ["", "\n\n", ":", "\u{0}\u{1}", "MemTotal:\noom_kill\nprocessor"] {
        for file in ["proc/cpuinfo", "proc/meminfo", "proc/vmstat", "etc/locale.conf"] {
            std::fs::write(dir.path().join(file), content).unwrap();
        }
        for probe in [Probe::CpuVendor, Probe::MemoryTotal, Probe::OomKills, Probe::Language] {
            assert!(probe.read(dir.path()).is_none(), "{} read {content:?}", probe.source());
        }
    }
}

#[test]
fn only_what_happens_after_the_first_reading_counts() {
    let at = |boot: &str, count| Total { boot: boot.to_owned(), count };
    assert_eq!(at("a", 7).since(None), 0);
    assert_eq!(at("a", 9).since(Some(&at("a", 7))), 2);
    assert_eq!(at("b", 1).since(Some(&at("a", 7))), 1, "a restart begins at 0");
    assert_eq!(at("a", 1).since(Some(&at("a", 7))), 0, "a counter that shrinks adds nothing");
}
