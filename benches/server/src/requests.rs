//! Requests made beforehand: only the id is written when one is sent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubbub_privacy::{Domain, Period, Report, ReportId, Value};
use hubbub_randomizer::Plan;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Prepared payloads: enough for every output of the usual metrics, few enough to stay in the processor's caches.
const PREPARED: usize = 8_192;
/// An id in base64url.
const ID_CHARACTERS: usize = 22;

/// An endless series of reports, the same for the same seed: request `n` has a fresh id and one of the prepared
/// payloads.
pub struct Requests {
    prepared: Vec<Prepared>,
    seed: u64,
}

struct Prepared {
    bytes: Vec<u8>,
    id_at: usize,
}

impl Requests {
    /// Draws payloads for the first `metrics` metrics of a plan from their own mechanisms, for the week of `now_s`.
    pub fn new(plan: &Plan, metrics: usize, now_s: i64, seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let period = Period::containing(now_s);
        let asked: Vec<_> =
            plan.registry().metrics().take(metrics).filter_map(|metric| plan.get(metric.id).ok()).collect();
        let prepared = (0..PREPARED).map(|_| {
            let (metric, mechanism) = asked[rng.random_range(0..asked.len())];
            let value = value(&metric.domain, &mut rng);
            let payload = match mechanism.randomize(&value, &mut rng) {
                Ok(payload) => payload,
                Err(never) => match never {},
            };
            let id = ReportId([0; 16]);
            let placeholder = id.to_string();
            let report = Report { metric: metric.id, version: metric.version, period, id, payload };
            let body = report.encode_padded(mechanism.body_bytes());
            let request = format!(
                "POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let id_at = request.find(&placeholder).expect("the report carries its id");
            Prepared { bytes: request.into_bytes(), id_at }
        });
        Self { prepared: prepared.collect(), seed }
    }

    /// Writes request `n` into `buffer`.
    pub fn write(&self, n: u64, buffer: &mut Vec<u8>) {
        let prepared = &self.prepared[n as usize % self.prepared.len()];
        buffer.clear();
        buffer.extend_from_slice(&prepared.bytes);
        let id = (u128::from(mix(self.seed ^ mix(n))) << 64) | u128::from(mix(self.seed.wrapping_add(n)));
        let text = &mut buffer[prepared.id_at..prepared.id_at + ID_CHARACTERS];
        URL_SAFE_NO_PAD.encode_slice(id.to_be_bytes(), text).expect("16 bytes are 22 characters");
    }
}

fn value(domain: &Domain, rng: &mut ChaCha12Rng) -> Value {
    let size = domain.size() as u32;
    match domain {
        Domain::Set { .. } => Value::Items((0..size).filter(|_| rng.random_range(0..size) < 4).take(16).collect()),
        // Shares fall with the rank, as those of programs and models do.
        _ => Value::Index((rng.random_range(0.0..1.0f64).powi(3) * f64::from(size)) as u32),
    }
}

/// A permutation of 64 bits that leaves no pattern (the finisher of splitmix64).
const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
