//! The shipped device through the kit's door: crashes at every write of a close and at every draw of randomness, clocks
//! that jump, caps, frequencies.
//!
//! It runs in the thread that `hubbubd` gives it, and is seen as its owner sees it: the database, the outbox, what is
//! published. Only bus and system clock are missing.

use std::fs;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hubbub_collector::catalogue::Catalogue;
use hubbub_collector::clock::Clock;
use hubbub_collector::device::{
    Ask, Caller, Device, Parts, Published, Recording, Refusal, Reply, Request, Said, serve,
};
use hubbub_collector::event::Offer;
use hubbub_collector::outbox::Outbox;
use hubbub_collector::store::{self, StateDirectory, StoreError};
use hubbub_privacy::ledger::Entry;
use hubbub_privacy::{Domain, Epsilon, Metric, MetricId, Period, Private, Registry};
use hubbub_randomizer::conformance::SplitMix;
use hubbub_randomizer::conformance::device::{Died, Respondent, check_respondent};
use rand::{TryCryptoRng, TryRng};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

/// Devices for each case: enough for every lie that the kit's tests plant, few enough for a disk that must be written to.
const DEVICES: u32 = 4;
const SEED: u64 = 3;
/// How often is looked for what takes a moment, before it is believed to stay as it is.
const MOST_LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const ROOT: Caller = Caller { uid: 0 };
const ANNA: Caller = Caller { uid: 1000 };
/// No draw of randomness kills.
const SAFE: i64 = -1;

/// Writes that kill, in the order of a close, each the first, second and third time: the database refuses them, which
/// leaves on the disk what a crash just before them leaves.
const KILLING_WRITES: [(&str, &str); 4] = [
    ("INSERT ON ledger", "SELECT count(*) FROM ledger"),
    ("INSERT ON sent", "SELECT count(*) FROM sent"),
    ("UPDATE OF placed ON sent", "SELECT count(*) FROM sent WHERE placed"),
    ("INSERT ON draw", "SELECT count(*) FROM draw"),
];
const TIMES: u32 = 3;

/// A seeded generator; when the fuse has burnt down, a draw kills the thread it happens in, between two writes.
#[derive(Clone)]
struct Fused {
    words: Arc<Mutex<SplitMix>>,
    fuse: Arc<AtomicI64>,
}

impl Fused {
    fn burn(&self) {
        match self.fuse.load(Ordering::SeqCst) {
            // Unlike a panic this says nothing on stderr.
            0 => resume_unwind(Box::new(Died)),
            SAFE => {}
            left => self.fuse.store(left - 1, Ordering::SeqCst),
        }
    }
}

impl TryRng for Fused {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.burn();
        self.words.lock().unwrap().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.burn();
        self.words.lock().unwrap().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.burn();
        self.words.lock().unwrap().try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Fused {}

/// A device in its thread.
struct Alive {
    thread: JoinHandle<()>,
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Published>,
}

struct Shipped {
    dir: TempDir,
    registry: Registry,
    rng: Fused,
    alive: Option<Alive>,
    consented: bool,
}

impl Shipped {
    fn new(registry: &Registry, seed: u64) -> Self {
        let words = Arc::new(Mutex::new(SplitMix::new(seed)));
        let rng = Fused { words, fuse: Arc::new(AtomicI64::new(SAFE)) };
        let dir = tempfile::tempdir().unwrap();
        Self { dir, registry: registry.clone(), rng, alive: None, consented: false }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state directory. A program that another test starts shares its lock from fork to exec, for a moment.
    fn claim(&self) -> StateDirectory {
        for _ in 0..MOST_LOOKS {
            match StateDirectory::claim(&self.path("state")) {
                Err(StoreError::InUse { .. }) => std::thread::sleep(BETWEEN_LOOKS),
                claimed => return claimed.unwrap(),
            }
        }
        panic!("{} stays in use", self.path("state").display());
    }

    fn start(&mut self) {
        let parts = Parts {
            catalogue: Catalogue::new(self.registry.clone()),
            directory: self.claim(),
            outbox: Outbox::create(&self.path("outbox")).unwrap(),
            root: self.path("root"),
            clock: Clock::from_file(&self.path("clock")).unwrap(),
            rng: self.rng.clone(),
            own_uid: 999,
        };
        let mut device = Device::open(parts).unwrap();
        let (requests, waiting) = mpsc::channel(8);
        let (publisher, published) = watch::channel(device.published());
        let thread = std::thread::spawn(move || serve(device, waiting, &publisher));
        self.alive = Some(Alive { thread, requests, published });
    }

    /// Sends a request and waits for its answer, which only a living device gives.
    fn call<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Died> {
        let (reply, answer) = oneshot::channel();
        let alive = self.alive.as_ref().ok_or(Died)?;
        alive.requests.blocking_send(request(reply)).map_err(|_| Died)?;
        let answer: Result<T, Refusal> = answer.blocking_recv().map_err(|_| Died)?;
        Ok(answer.unwrap())
    }

    /// Ends the thread, or sees that it has died as it was told to.
    fn stop(&mut self) {
        let Some(Alive { thread, requests, .. }) = self.alive.take() else { return };
        let is_told = requests.blocking_send(Request::Stop).is_ok();
        match thread.join() {
            Ok(()) => assert!(is_told, "the device ended without being told to"),
            Err(cause) if cause.is::<Died>() => {}
            Err(cause) => resume_unwind(cause),
        }
    }

    fn db(&self) -> Option<Connection> {
        let path = self.path("state/state.db");
        path.exists().then(|| Connection::open(path).unwrap())
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Respondent for Shipped {
    fn go_to(&mut self, week: Period, dies_at: Option<u32>) -> Result<(), Died> {
        fs::write(self.path("clock"), (week.start() + 3600).to_string()).unwrap();
        if self.alive.is_none() {
            self.start();
        }
        if !self.consented {
            let all = ["hardware", "settings", "usage", "performance", "problems"].map(str::to_owned).to_vec();
            self.call(|reply| Request::Ask(Ask::GiveConsent(ROOT, all, reply)))?;
            self.consented = true;
        }
        let writes = KILLING_WRITES.len() as u32 * TIMES;
        let killing_write = dies_at.filter(|step| *step < writes);
        let killing_draw = dies_at.and_then(|step| step.checked_sub(writes));
        if let (Some(step), Some(db)) = (killing_write, self.db()) {
            let (write, count) = KILLING_WRITES[(step / TIMES) as usize];
            let before: u32 = db.query_row(count, [], |row| row.get(0)).unwrap();
            let last = before + step % TIMES;
            let died = "BEGIN SELECT RAISE(ABORT, 'died'); END";
            db.execute_batch(&format!("CREATE TRIGGER killing BEFORE {write} WHEN ({count}) >= {last} {died}"))
                .unwrap();
        }
        self.rng.fuse.store(killing_draw.map_or(SAFE, i64::from), Ordering::SeqCst);
        let alive = self.alive.as_ref().unwrap();
        let sent = alive.requests.blocking_send(Request::Ask(Ask::Tick)).map_err(|_| Died);
        // Requests are answered in their order, so the tick is over.
        let survived = sent.and_then(|()| self.call(|reply| Request::Ask(Ask::Ledger(reply))).map(drop));
        let survived = if killing_write.is_some() { Err(Died) } else { survived };
        if survived.is_err() {
            self.stop();
            self.db().unwrap().execute_batch("DROP TRIGGER IF EXISTS killing").unwrap();
        }
        self.rng.fuse.store(SAFE, Ordering::SeqCst);
        survived
    }

    fn restart(&mut self, registry: &Registry) {
        self.stop();
        self.rng.fuse.store(SAFE, Ordering::SeqCst);
        self.registry = registry.clone();
        if self.consented {
            self.start();
        }
    }

    fn tell(&mut self, metric: &Metric, line: &str) {
        let offer = match metric.domain {
            Domain::Boolean => Offer::Boolean(line == "true"),
            Domain::Count { .. } | Domain::Ordered { .. } => Offer::Number(line.parse().unwrap()),
            Domain::Categorical { .. } | Domain::Set { .. } => Offer::Label(line.to_owned()),
        };
        let (caller, metric, said) = (ANNA, metric.name.clone(), Said::Event(Private::new(offer)));
        self.call(|reply| Request::Record(Recording { caller, metric, said }, reply)).unwrap();
    }

    fn asked(&mut self) -> Vec<MetricId> {
        let Some(db) = self.db() else { return Vec::new() };
        let Some(week) = store::week::current(&db).unwrap() else { return Vec::new() };
        store::week::questions(&db, week).unwrap().iter().map(|question| question.metric).collect()
    }

    fn offered(&mut self) -> Vec<String> {
        let directory = self.path("outbox");
        let reports = Outbox::create(&directory).unwrap().list().unwrap().reports;
        reports.iter().map(|name| fs::read_to_string(directory.join(name.to_string())).unwrap()).collect()
    }

    fn ledger(&mut self) -> Vec<Entry> {
        let rows = self.db().map_or_else(Vec::new, |db| store::ledger::rows(&db).unwrap());
        rows.into_iter().map(|row| row.entry).collect()
    }

    fn spent(&mut self) -> Epsilon {
        let sum = self.ledger().iter().map(|entry| entry.epsilon).sum();
        // The dead publish nothing.
        let Some(alive) = &self.alive else { return sum };
        // The living do right after the answers to the calls that changed it.
        let shown = || alive.published.borrow().spent["installation"].parse().unwrap();
        for _ in 0..MOST_LOOKS {
            if shown() == sum {
                break;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        shown()
    }
}

#[test]
fn the_shipped_device_passes_the_check_of_devices() {
    if let Err(misconduct) = check_respondent(Shipped::new, DEVICES, SEED) {
        panic!("check {}: {misconduct}", misconduct.check());
    }
}
