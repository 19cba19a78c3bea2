//! A directory with everything one server needs: registry, configuration, clock; and the reports of its registry.

use std::fs;
use std::path::{Path, PathBuf};

use hubbub_privacy::registry::Files;
use hubbub_privacy::{MetricId, Payload, Period, Registry, Report, ReportId};
use tempfile::TempDir;

/// A boolean of the test registry.
pub const FLAG: MetricId = MetricId(1);
/// A category of four values, one of them `none`; its status is testing.
pub const COLOUR: MetricId = MetricId(2);
/// A count with 256 outputs: reports can carry markers, and no counter may exceed 1.
pub const MARKER: MetricId = MetricId(3);
/// A metric of this status.
pub const DRAFT: MetricId = MetricId(4);
/// A metric of this status.
pub const PAUSED: MetricId = MetricId(5);
/// A metric of this status.
pub const EXPIRED: MetricId = MetricId(6);
/// A metric of this status.
pub const WITHDRAWN: MetricId = MetricId(7);
/// Its last day is 2026-11-20.
pub const SHORT_LIVED: MetricId = MetricId(8);

/// Wednesday noon of 2026-W47.
pub fn now() -> i64 {
    week("2026-W47").start() + 2 * 86_400 + 43_200
}

/// A week by its name, such as `2026-W47`.
pub fn week(name: &str) -> Period {
    name.parse().unwrap()
}

/// A report with an id made of `number`.
pub fn report(metric: MetricId, period: &str, number: u32, payload: Payload) -> Report {
    let mut id = [0xA5; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Report { metric, version: 1, period: week(period), id: ReportId(id), payload }
}

/// `range` as reports of [`FLAG`], all of which say 1.
pub fn flags(range: std::ops::Range<u32>) -> Vec<Report> {
    range.map(|number| report(FLAG, "2026-W47", number, Payload::List(vec![1]))).collect()
}

/// The 256 reports of [`MARKER`], one for each output.
pub fn markers() -> Vec<Report> {
    (0..256).map(|y| report(MARKER, "2026-W47", 10_000 + y, Payload::Number(y))).collect()
}

/// Everything of one server, gone when dropped.
pub struct Place {
    directory: TempDir,
    program: PathBuf,
}

impl Place {
    /// A fresh place for the server `program`, with the test registry, at [`now`].
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self::below(&std::env::temp_dir(), program)
    }

    /// The same in a directory of its own below `parent`.
    pub fn below(parent: &Path, program: impl Into<PathBuf>) -> Self {
        let place = Self { directory: TempDir::new_in(parent).unwrap(), program: program.into() };
        fs::create_dir(place.path("registry")).unwrap();
        place.write_registry(&registry_text(&standard_metrics()));
        place.set_clock(now());
        place.write_config(&place.config());
        place
    }

    /// The server's program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A path in this place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Sets the server's clock.
    pub fn set_clock(&self, unix_s: i64) {
        fs::write(self.path("clock"), unix_s.to_string()).unwrap();
    }

    /// Replaces the registry's one file.
    pub fn write_registry(&self, text: &str) {
        fs::write(self.path("registry/test.toml"), text).unwrap();
    }

    /// Replaces the configuration.
    pub fn write_config(&self, text: &str) {
        fs::write(self.path("aggregator.toml"), text).unwrap();
    }

    /// The usual configuration.
    pub fn config(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "listen = \"127.0.0.1:0\"\nstore = {:?}\nregistry = {:?}\nexport_dir = {:?}\nnode = \"a\"\n",
            path("store.redb"),
            path("registry"),
            path("counters"),
        )
    }

    /// The path that a series of the test registry is exported to.
    pub fn counters(&self, metric: &str, period: &str) -> PathBuf {
        self.path(&format!("counters/metric=test.{metric}/version=1/period={period}/node=a.parquet"))
    }

    /// All files below the place, with their bytes.
    pub fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(self.directory.path(), &mut files);
        files
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
}

/// One metric of a registry for tests.
#[derive(Clone)]
pub struct MetricText {
    /// Its key within the namespace `test`.
    pub key: &'static str,
    /// Its permanent id.
    pub id: u32,
    /// The version of its definition.
    pub version: u32,
    /// Its status.
    pub status: &'static str,
    /// The lines of its `data` table.
    pub data: &'static str,
    /// The declared epsilon.
    pub epsilon: &'static str,
    /// The mechanism's name, or `auto`.
    pub mechanism: &'static str,
    /// Its last day.
    pub expires: &'static str,
}

/// The metrics of the test registry.
pub fn standard_metrics() -> Vec<MetricText> {
    let boolean = "kind = \"boolean\"";
    let metric = |key, id: MetricId, status, data| MetricText {
        key,
        id: id.0,
        version: 1,
        status,
        data,
        epsilon: "1.0",
        mechanism: "auto",
        expires: "2027-10-01",
    };
    vec![
        metric("flag", FLAG, "active", boolean),
        metric(
            "colour",
            COLOUR,
            "testing",
            "kind = \"categorical\"\nvalues = [\"none\", \"red\", \"blue\", \"other\"]\nabsent = \"none\"\nother = \"other\"",
        ),
        // One counter for each count, so that a test can tell which report was counted.
        MetricText {
            mechanism: "folded_geometric",
            ..metric("marker", MARKER, "active", "kind = \"count\"\nmax = 255")
        },
        metric("draft", DRAFT, "draft", boolean),
        metric("paused", PAUSED, "paused", boolean),
        metric("expired", EXPIRED, "expired", boolean),
        metric("withdrawn", WITHDRAWN, "withdrawn", boolean),
        MetricText { expires: "2026-11-20", ..metric("short_lived", SHORT_LIVED, "active", boolean) },
    ]
}

/// A complete registry file; reviews cover the text as it stands.
pub fn registry_text(metrics: &[MetricText]) -> String {
    let text = |covers: &dyn Fn(u32) -> String, status: &dyn Fn(&MetricText) -> &'static str| {
        let mut text =
            "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\nowners = [\"owners@example.org\"]\n".to_owned();
        for metric in metrics {
            let MetricText { key, id, version, data, epsilon, mechanism, expires, .. } = metric;
            let (status, covers) = (status(metric), covers(*id));
            text.push_str(&format!(
                "\n[metric.{key}]\nid = {id}\nversion = {version}\nstatus = \"{status}\"\ncategory = \"usage\"\n\
                 title = \"Title\"\ndescription = \"Description.\"\nquestion = \"Question?\"\nwhy_needed = \"Reason.\"\n\
                 alternatives_considered = \"None.\"\nnever_collects = \"Anything else.\"\n\
                 [metric.{key}.data]\n{data}\n\
                 [metric.{key}.collect]\nsource = \"dbus\"\naggregate = \"last\"\n\
                 [metric.{key}.privacy]\nepsilon = \"{epsilon}\"\nmechanism = \"{mechanism}\"\nask_probability = \"0.05\"\n\
                 max_reports = 1\nlifetime_epsilon = \"{epsilon}\"\n\
                 [metric.{key}.utility]\nexpected_reports = 100000\ntarget_ci95_pp = \"3.0\"\n\
                 min_reports_to_publish = 1000\n\
                 [metric.{key}.lifecycle]\nintroduced = 2026-10-05\nexpires = {expires}\non_expiry = \"stop\"\n\
                 [[metric.{key}.review]]\nkind = \"initial\"\nurl = \"https://example.org/1\"\ndecision = \"approved\"\n\
                 reviewers = [\"first\", \"second\"]\ndate = 2026-10-04\ncovers = \"{covers}\"\n"
            ));
        }
        text
    };
    let mut files = Files::default();
    files.definitions.insert("test.toml".to_owned(), text(&|_| "sha256:".to_owned(), &|_| "draft").into_bytes());
    let drafts = Registry::parse(&files).unwrap_or_else(|findings| panic!("{findings}"));
    text(&|id| drafts.get(MetricId(id)).unwrap().covers.clone(), &|metric| metric.status)
}
