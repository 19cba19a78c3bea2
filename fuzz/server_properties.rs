//! What must hold for any bytes that reach the server: on a connection, in a body, or from its disk. Written once: the
//! fuzz targets and the short run in the aggregator's tests call the same functions. A property that does not hold panics.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use hubbub_aggregator::doors::{check_report, inspect_store, serve_stream};
use hubbub_aggregator::{Clock, StoreError};
use hubbub_faults::place::{MetricText, now, registry_text, standard_metrics};
use hubbub_privacy::registry::Files;
use hubbub_privacy::{Registry, Report};
use hubbub_randomizer::Plan;
use redb::{BackendError, Database, StorageBackend, TableDefinition};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What became of an input that broke no property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Accepted,
    /// It was refused.
    Rejected,
}

/// A property that must hold for any bytes.
pub type Property = fn(&[u8]) -> Verdict;

/// All properties, by the name of their fuzz target and of their folder in `corpus`.
pub const PROPERTIES: [(&str, Property); 3] =
    [("server_request", server_request), ("server_payload", server_payload), ("server_store", server_store)];

/// More than any request that is read to its end; longer inputs only repeat what shorter ones show.
const MAX_INPUT: usize = 64 << 10;
/// What one input may answer: the largest page, for every few bytes of a pipeline.
const MAX_OUTPUT: usize = 16 << 20;
/// A connection whose peer has sent everything and closed its side has nothing to wait for.
const DEADLINE: Duration = Duration::from_secs(20);
/// Parts a store's records from the damage to the file made of them: bytes in groups of four, three of which are an offset
/// and one is added there.
const DAMAGE: u8 = 0x0c;

/// The plan that requests and stores are held against: metrics of every family and status.
pub fn plan() -> &'static Arc<Plan> {
    static PLAN: OnceLock<Arc<Plan>> = OnceLock::new();
    PLAN.get_or_init(|| {
        let metric = |key, id, data| MetricText {
            key,
            id,
            version: 1,
            status: "active",
            data,
            epsilon: "1.0",
            mechanism: "auto",
            expires: "2027-10-01",
        };
        let mut metrics = standard_metrics();
        let set = "kind = \"set\"\nvalues = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\"]\nmax_items = 2";
        let ordered = "kind = \"ordered\"\nedges = [0, 1, 2, 4, 8]\nabsent = 0\n";
        metrics.push(MetricText { epsilon: "0.25", ..metric("set", 11, set) });
        metrics.push(metric("mean", 12, format!("{ordered}goal = \"mean\"").leak()));
        metrics.push(MetricText {
            epsilon: "2.0",
            ..metric("quantiles", 13, format!("{ordered}goal = \"quantiles\"").leak())
        });
        let many: Vec<String> = (0..300).map(|number| format!("\"v{number}\"")).collect();
        metrics.push(metric(
            "long",
            14,
            format!("kind = \"categorical\"\nvalues = [{}]\nabsent = \"v0\"\nother = \"v1\"", many.join(", ")).leak(),
        ));
        let mut files = Files::default();
        files.definitions.insert("test.toml".to_owned(), registry_text(&metrics).into_bytes());
        Arc::new(Plan::new(Registry::parse(&files).expect("the test registry has no defect")))
    })
}

/// Bodies: what is taken belongs to a question that is being asked, in a period that is open, and folds; what is not is
/// refused with a status that tells the device to drop it.
pub fn server_payload(bytes: &[u8]) -> Verdict {
    match check_report(plan(), now(), bytes) {
        Ok(report) => {
            let (metric, mechanism) = plan().get(report.metric).expect("a report that is taken has a metric");
            assert!(metric.status.is_collected() && metric.version == report.version);
            assert!(report.period.start() <= now() && now() < report.period.acceptance_end());
            assert_eq!(mechanism.check(&report.payload), Ok(()));
            assert_eq!(Report::decode(report.encode().as_bytes()).as_ref(), Ok(&report));
            Verdict::Accepted
        }
        Err(rejection) => {
            let (status, code) = rejection.http();
            assert!(status.is_client_error() && !code.is_empty());
            Verdict::Rejected
        }
    }
}

/// Connections: whatever comes in, the server answers well-formed HTTP or closes; it ends when its peer has.
pub fn server_request(bytes: &[u8]) -> Verdict {
    if bytes.len() > MAX_INPUT {
        return Verdict::Rejected;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let clock = Clock::TestFile { path: PathBuf::new(), last: Arc::new(AtomicI64::new(now())) };
    let answer = runtime.block_on(async {
        let (mut peer, stream) = tokio::io::duplex(MAX_OUTPUT);
        let talk = async {
            // A server that has closed takes no more; what it answered before is there all the same.
            peer.write_all(bytes).await.ok();
            peer.shutdown().await.ok();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).await.ok();
            answer
        };
        let both = async { tokio::join!(serve_stream(plan().clone(), clock, stream, bytes), talk) };
        tokio::time::timeout(DEADLINE, both).await.expect("the connection ends when its peer has").1
    });
    assert!(answer.len() < MAX_OUTPUT, "the answers have no bound");
    // No method of HTTP/1 begins so: the server speaks HTTP/2 to whoever does.
    if bytes.starts_with(b"PRI") { check_frames(&answer) } else { check_answers(&answer) }
}

/// Answers of HTTP/1: each with a status, headers and as many bytes as it says.
fn check_answers(mut answer: &[u8]) -> Verdict {
    let mut verdict = Verdict::Rejected;
    while !answer.is_empty() {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head has an end") + 4;
        let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
        let status: u16 =
            head.strip_prefix("HTTP/1.").expect("an answer is HTTP")[2..5].parse().expect("it has a status");
        assert!((100..600).contains(&status) && status != 500, "{head}");
        answer = &answer[end..];
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a length is a number"));
        // The answer to HEAD has a length and no body.
        if !(answer.is_empty() || answer.starts_with(b"HTTP/1.")) {
            answer = answer.get(length..).expect("the body is as long as it says");
        }
        if (200..300).contains(&status) {
            verdict = Verdict::Accepted;
        }
    }
    verdict
}

/// Answers of HTTP/2: whole frames.
fn check_frames(mut answer: &[u8]) -> Verdict {
    let mut verdict = Verdict::Rejected;
    while let Some((head, rest)) = answer.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        // Headers of an answer.
        if head[3] == 1 {
            verdict = Verdict::Accepted;
        }
        answer = rest.get(length..).expect("a frame is as long as it says");
    }
    assert!(answer.is_empty(), "a frame is cut short");
    verdict
}

/// Stores: any records in a whole database, and any damage to its file, either account for themselves or are refused with
/// an error that says what is wrong.
pub fn server_store(bytes: &[u8]) -> Verdict {
    if bytes.len() > MAX_INPUT {
        return Verdict::Rejected;
    }
    let (records, damage) = match bytes.iter().position(|&byte| byte == DAMAGE) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let mut file = database(&String::from_utf8_lossy(records));
    for change in damage.as_chunks::<4>().0 {
        let offset = usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        // The last byte of an offset can be beyond the end: there the file is cut.
        match file.get_mut(offset) {
            Some(byte) => *byte = byte.wrapping_add(change[3]),
            None if change[3] == u8::MAX => file.truncate(offset % file.len().max(1)),
            None => {}
        }
    }
    match inspect_store(plan(), &file) {
        Ok(()) => Verdict::Accepted,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains("panicked"), "{message}");
            assert!(!matches!(error, StoreError::Full { .. } | StoreError::InUse { .. }), "{message}");
            Verdict::Rejected
        }
    }
}

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const DEFINITIONS: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("definitions");
const SERIES: TableDefinition<'_, (u32, u32, i64), &[u8]> = TableDefinition::new("series");
const COUNTS: TableDefinition<'_, (u32, u32, i64, u32), &[u8]> = TableDefinition::new("counts");
const IDS: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("ids");
const PURGED: TableDefinition<'_, i64, u64> = TableDefinition::new("purged");
const CLOSED: TableDefinition<'_, i64, bool> = TableDefinition::new("closed");

/// A whole database file of records in text, one a line: the table, its key, and the value. Lines that are none are left
/// out.
///
/// ```text
/// meta format 2
/// definitions 3 1 {"name":...}
/// series 3 1 1794787200 {"reports":32,...}
/// counts 3 1 1794787200 0 32 0 0 ...
/// ids 1794787200 0 32
/// ```
/// The value of `ids` is how many ids there are, or their bytes in hexadecimal after an `x`.
fn database(records: &str) -> Vec<u8> {
    let memory = Memory::default();
    let fill = || -> Result<(), redb::Error> {
        let database = Database::builder().create_with_backend(memory.clone())?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let mut definitions = transaction.open_table(DEFINITIONS)?;
            let mut series = transaction.open_table(SERIES)?;
            let mut counts = transaction.open_table(COUNTS)?;
            let mut ids = transaction.open_table(IDS)?;
            let mut purged = transaction.open_table(PURGED)?;
            let mut closed = transaction.open_table(CLOSED)?;
            for line in records.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
                let value = |from: usize| words[from.min(words.len())..].join(" ");
                let (Some(first), second, third) = (number(1), number(2), number(3)) else {
                    if let ["meta", key, value] = words[..]
                        && let Ok(value) = value.parse::<u64>()
                    {
                        meta.insert(key, value)?;
                    }
                    continue;
                };
                let (metric, version) = (first as u32, second.unwrap_or(0) as u32);
                match (words[0], second, third) {
                    ("definitions", Some(_), _) => {
                        definitions.insert((metric, version), value(3).as_bytes())?;
                    }
                    ("series", Some(_), Some(start)) => {
                        series.insert((metric, version, start), value(4).as_bytes())?;
                    }
                    ("counts", Some(_), Some(start)) => {
                        let row: Vec<u8> = words[5.min(words.len())..]
                            .iter()
                            .filter_map(|word| word.parse::<u64>().ok())
                            .flat_map(u64::to_le_bytes)
                            .collect();
                        counts.insert((metric, version, start, number(4).unwrap_or(0) as u32), row.as_slice())?;
                    }
                    ("ids", Some(number), _) => {
                        ids.insert((first, number as u64), blob(&value(3)).as_slice())?;
                    }
                    ("purged", Some(reports), _) => {
                        purged.insert(first, reports as u64)?;
                    }
                    ("closed", Some(exported), _) => {
                        closed.insert(first, exported != 0)?;
                    }
                    _ => {}
                }
            }
        }
        transaction.commit()?;
        Ok(())
    };
    fill().expect("memory takes all records");
    memory.bytes().clone()
}

fn blob(text: &str) -> Vec<u8> {
    if let Some(hexadecimal) = text.strip_prefix('x') {
        let digit = |at: usize| hexadecimal.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        return (0..hexadecimal.len() / 2).map_while(|at| digit(2 * at)).collect();
    }
    let ids = text.parse().unwrap_or(0u128).min(1_000);
    (0..ids).flat_map(u128::to_be_bytes).collect()
}

/// A database's file in memory that can be read after it was closed.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let there = bytes.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes()[offset as usize..offset as usize + data.len()].copy_from_slice(data);
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
