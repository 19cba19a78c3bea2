//! The store on a disk that loses power at every sync and after every acknowledged change: what opens afterwards holds
//! exactly the changes up to a moment at which the last acknowledged one was in and the next one not begun, or whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use hubbub_faults::disk::SimulatedFile;
use hubbub_faults::place::{MetricText, registry_text, report, week};
use hubbub_privacy::registry::Files;
use hubbub_privacy::{MetricId, Payload, Period, Registry};
use hubbub_randomizer::Plan;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::{BackendError, StorageBackend};

use super::rewrite::Omitted;
use super::{Store, StoreError, tables};
use crate::check::inspect;
use crate::definition::Catalogue;
use crate::pending::{COMMIT_GROUP, FullGroup, Pending, SeriesKey, Waiter};
use crate::room::Room;

/// Images in a run of the tests; `HUBBUB_POWER_CUTS` asks for more.
const IMAGES: usize = 600;
/// At every sync, before it and after it, and after every acknowledgement.
const IMAGES_PER_MOMENT: usize = 2;
/// Changes in the life of one store.
const CHANGES: usize = 12;
/// Weeks in it; all but the last are closed, one after the other.
const PERIODS: [&str; 3] = ["2026-W45", "2026-W46", "2026-W47"];

/// What lies between the database and the disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// Syncs return at once, and nothing is durable.
    SyncDropped,
    /// A change is acknowledged before it is made.
    AcknowledgedEarly,
}

/// An image of the disk, and how many changes had been acknowledged.
struct Image {
    bytes: Vec<u8>,
    acknowledged: usize,
}

struct Recorder {
    file: SimulatedFile,
    rng: ChaCha8Rng,
    acknowledged: usize,
    images: Vec<Image>,
    fault: Fault,
}

impl Recorder {
    fn cut_power(&mut self) {
        for _ in 0..IMAGES_PER_MOMENT {
            let bytes = self.file.after_power_cut(&mut self.rng);
            self.images.push(Image { bytes, acknowledged: self.acknowledged });
        }
    }
}

/// One disk, seen by the database and by the test.
#[derive(Clone)]
struct Disk(Arc<Mutex<Recorder>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    fn new(bytes: Vec<u8>, fault: Fault, rng: ChaCha8Rng) -> Self {
        let file = SimulatedFile::holding(bytes);
        Self(Arc::new(Mutex::new(Recorder { file, rng, acknowledged: 0, images: Vec::new(), fault })))
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.0.lock().unwrap()
    }

    fn store(&self) -> Result<Store, StoreError> {
        Store::on(self.clone(), Arc::new(AtomicBool::new(false)), PathBuf::from("simulated"))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.recorder().file.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let recorder = self.recorder();
        let there = recorder.file.bytes().get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.recorder().file.set_len(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut recorder = self.recorder();
        recorder.cut_power();
        if recorder.fault != Fault::SyncDropped {
            recorder.file.sync();
        }
        recorder.cut_power();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.recorder().file.write(offset as usize, data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Everything that a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contents {
    counts: BTreeMap<SeriesKey, BTreeMap<usize, u64>>,
    dropped: BTreeMap<SeriesKey, u64>,
    ids: BTreeMap<Period, BTreeSet<[u8; 16]>>,
    closed: BTreeMap<Period, bool>,
}

impl Contents {
    fn add(&mut self, group: &FullGroup) {
        let counts = self.counts.entry(group.key()).or_default();
        group.sums().iter().for_each(|&(index, added)| *counts.entry(index).or_default() += added);
        self.dropped.entry(group.key()).or_default();
        self.ids.entry(group.key().period).or_default().extend(group.ids());
    }

    /// What an opened store holds; it must also pass the check that every start makes.
    fn of(store: &Store, world: &World) -> Result<Self, StoreError> {
        let snapshot = store.snapshot()?;
        snapshot.format()?;
        inspect(&snapshot, &world.plan, &snapshot.ids()?)?;
        let mut contents = Self { closed: snapshot.closed()?, ..Self::default() };
        for key in snapshot.series()? {
            let described = snapshot.describe(key)?;
            let size = described.definition.counters as usize;
            let mut counts = BTreeMap::new();
            for row in snapshot.rows(key, size)? {
                let (first, row) = row?;
                counts.extend((first..).zip(row).filter(|(_, count)| *count > 0));
            }
            assert_eq!(counts.values().sum::<u64>(), described.reports);
            contents.counts.insert(key, counts);
            contents.dropped.insert(key, described.dropped_remainder);
        }
        contents.ids = store.read_ids()?;
        Ok(contents)
    }
}

impl Store {
    fn read_ids(&self) -> Result<BTreeMap<Period, BTreeSet<[u8; 16]>>, StoreError> {
        use redb::{ReadableDatabase, ReadableTable};
        let read = || -> Result<_, redb::Error> {
            let mut ids: BTreeMap<Period, BTreeSet<[u8; 16]>> = BTreeMap::new();
            for entry in self.database.begin_read()?.open_table(tables::IDS)?.iter()? {
                let (key, blob) = entry?;
                ids.entry(Period::containing(key.value().0)).or_default().extend(blob.value().as_chunks::<16>().0);
            }
            Ok(ids)
        };
        read().map_err(|error| self.fail("reading", error))
    }
}

/// The registry of a life: two metrics, one of few counters and one of more.
struct World {
    plan: Plan,
    catalogue: Catalogue,
}

impl World {
    fn new() -> Self {
        let metric = |key, id, data| MetricText {
            key,
            id,
            version: 1,
            status: "active",
            data,
            epsilon: "1.0",
            mechanism: "folded_geometric",
            expires: "2027-10-01",
        };
        let metrics =
            [metric("large", 1, "kind = \"count\"\nmax = 255"), metric("small", 2, "kind = \"count\"\nmax = 15")];
        let mut files = Files::default();
        files.definitions.insert("test.toml".to_owned(), registry_text(&metrics).into_bytes());
        let plan = Plan::new(Registry::parse(&files).unwrap());
        Self { catalogue: Catalogue::of(&plan), plan }
    }

    fn groups(&self, rng: &mut ChaCha8Rng, number: &mut u32, closed: &BTreeMap<Period, bool>) -> Vec<FullGroup> {
        let mut pending = Pending::default();
        let room = Arc::new(Room::new(&self.plan));
        for _ in 0..rng.random_range(1..=3) {
            let metric = MetricId(rng.random_range(1..=2));
            let period = week(PERIODS[rng.random_range(0..PERIODS.len())]);
            if closed.contains_key(&period) {
                continue;
            }
            let outputs = if metric == MetricId(1) { 256 } else { 16 };
            for _ in 0..rng.random_range(COMMIT_GROUP..2 * COMMIT_GROUP) {
                let payload = Payload::Number(rng.random_range(0..outputs));
                let report = report(metric, &period.to_string(), *number, payload);
                *number += 1;
                let seat = room.seat(&report).unwrap();
                pending.offer(report, seat, Waiter::new().0);
            }
        }
        pending.full_groups(&self.plan)
    }
}

/// What was wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Unopenable,
    /// It holds neither what was acknowledged nor that and the change that was being made.
    Other,
}

/// One store from its creation on; how many images were looked at and what was wrong with them.
fn live(seed: u64, fault: Fault, world: &World) -> (usize, BTreeMap<Wrong, usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut disk = Disk::new(Vec::new(), fault, ChaCha8Rng::from_rng(&mut rng));
    let mut store = disk.store().unwrap();
    store.write("creating", tables::create).unwrap();
    // Until here the file had no name of its own: no power cut can show it.
    let mut contents = Contents::default();
    let mut number = 0;
    let (mut looked_at, mut wrong) = (0, BTreeMap::new());
    disk.recorder().images.clear();
    for change in 0..CHANGES {
        let mut next = contents.clone();
        if fault == Fault::AcknowledgedEarly {
            disk.recorder().acknowledged = change + 1;
        }
        let ended = next.closed.len();
        if change % 5 == 4 && ended < PERIODS.len() - 1 {
            let ending = week(PERIODS[ended]);
            let dropped: BTreeMap<SeriesKey, u64> =
                contents.counts.keys().filter(|key| key.period == ending).map(|&key| (key, 5)).collect();
            store.close_period(ending, &dropped, &world.catalogue).unwrap();
            dropped.iter().for_each(|(key, reports)| *next.dropped.entry(*key).or_default() += reports);
            next.closed.insert(ending, false);
        } else if change % 5 == 0 && change > 0 && contents.closed.values().any(|exported| !exported) {
            let ended: Vec<Period> = contents.closed.keys().copied().collect();
            let exported = ended[ended.len() - 1];
            store.mark_exported(exported).unwrap();
            next.closed.insert(exported, true);
        } else {
            let groups = world.groups(&mut rng, &mut number, &contents.closed);
            store.commit(&groups, &world.catalogue).unwrap();
            groups.iter().for_each(|group| next.add(group));
        }
        {
            let mut recorder = disk.recorder();
            recorder.acknowledged = change + 1;
            recorder.cut_power();
        }
        let closed: BTreeSet<Period> = next.closed.keys().copied().collect();
        let rewrites = change % 5 == 4 && next.ids.keys().any(|period| closed.contains(period));
        look(&disk, &contents, &next, change, world, &mut looked_at, &mut wrong);
        contents = next;
        if rewrites {
            let mut fewer = contents.clone();
            fewer.ids.retain(|period, _| !closed.contains(period));
            let fresh = Disk::new(Vec::new(), fault, ChaCha8Rng::from_rng(&mut rng));
            let omitted = Omitted { ids_of: Some(&closed), ..Omitted::default() };
            let copied = store.copied(fresh.store().unwrap(), &omitted).unwrap();
            // The old disk was only read. The new one is shown after the sync that comes before its renaming.
            fresh.recorder().images.clear();
            fresh.sync_data().unwrap();
            fresh.recorder().images.drain(..IMAGES_PER_MOMENT);
            fresh.recorder().images.iter_mut().for_each(|image| image.acknowledged = change + 1);
            look(&fresh, &contents, &fewer, change, world, &mut looked_at, &mut wrong);
            (store, disk, contents) = (copied, fresh, fewer);
        }
    }
    store.close().unwrap();
    disk.recorder().cut_power();
    look(&disk, &contents, &contents, CHANGES - 1, world, &mut looked_at, &mut wrong);
    (looked_at, wrong)
}

/// Opens all images: the change numbered `change` may be in those that were made before it was acknowledged, and must be
/// in the others.
fn look(
    disk: &Disk,
    before: &Contents,
    after: &Contents,
    change: usize,
    world: &World,
    looked_at: &mut usize,
    wrong: &mut BTreeMap<Wrong, usize>,
) {
    for image in std::mem::take(&mut disk.recorder().images) {
        *looked_at += 1;
        let reopened = Disk::new(image.bytes, Fault::None, ChaCha8Rng::seed_from_u64(0));
        let found = reopened.store().and_then(|store| Contents::of(&store, world));
        let is_right = |found: &Contents| found == after || (image.acknowledged <= change && found == before);
        let fault = match found {
            Ok(found) if is_right(&found) => continue,
            Ok(_) => Wrong::Other,
            Err(_) => Wrong::Unopenable,
        };
        *wrong.entry(fault).or_default() += 1;
    }
}

#[test]
fn no_power_cut_loses_an_acknowledged_change_or_leaves_half_of_one() {
    let wanted = std::env::var("HUBBUB_POWER_CUTS").map_or(IMAGES, |number| number.parse().unwrap());
    let world = World::new();
    let mut looked_at = 0;
    for seed in 0.. {
        if looked_at >= wanted {
            break;
        }
        let (images, wrong) = live(seed, Fault::None, &world);
        assert_eq!(wrong, BTreeMap::new(), "seed {seed}: {images} images");
        looked_at += images;
    }
    println!("{looked_at} images: 0 lost, 0 doubled, 0 unopenable");
}

#[test]
fn dropped_syncs_and_early_acknowledgements_are_found_out() {
    let world = World::new();
    let (images, wrong) = live(1, Fault::SyncDropped, &world);
    assert!(wrong.values().sum::<usize>() > images / 4, "{wrong:?} of {images}");
    let (images, wrong) = live(1, Fault::AcknowledgedEarly, &world);
    assert!(wrong[&Wrong::Other] > images / 8, "{wrong:?} of {images}");
}
