//! `hubbub randomize`: the device's release path over lines of text.

use std::convert::Infallible;
use std::io::{BufRead, BufWriter, ErrorKind, Write};

use hubbub_privacy::ledger::Ledger;
use hubbub_privacy::{Metric, Observation, Period, Private, Report};
use hubbub_randomizer::{Mechanism, Plan, ReleaseError, release};
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{SeedableRng, TryCryptoRng};

use super::{FilterError, lines, progress};

/// Where the noise comes from.
#[derive(Debug, Clone, Copy)]
pub enum Randomness {
    /// The operating system: for real values.
    OperatingSystem,
    /// A seed: for tests, where reports must be reproducible and protect nobody.
    Seed(u64),
}

/// Reads true values of `metric` from `input`, one a line, and writes one report a line about `period`. Every line is a
/// device of its own, with a ledger of its own.
///
/// # Errors
/// The first line that is no value, the metric's name, input or output. Reports of the lines before have been written.
pub fn randomize(
    plan: &Plan,
    metric: &str,
    period: Period,
    randomness: Randomness,
    input: impl BufRead,
    output: impl Write,
) -> Result<(), FilterError> {
    let (metric, mechanism) = plan.by_name(metric)?;
    match randomness {
        Randomness::OperatingSystem => stream(metric, mechanism, period, &mut SysRng, input, output),
        Randomness::Seed(seed) => {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            rng.set_stream(stream_of(metric, period));
            stream(metric, mechanism, period, &mut rng, input, output)
        }
    }
}

/// The seed's stream for a metric, version and period, so that one seed never gives two of them the same ids.
fn stream_of(metric: &Metric, period: Period) -> u64 {
    const WEEK_S: i64 = 7 * 24 * 3600;
    let week = period.start().div_euclid(WEEK_S).cast_unsigned() & 0xffff;
    u64::from(metric.id.0) << 32 | u64::from(metric.version & 0xffff) << 16 | week
}

fn stream<R: TryCryptoRng>(
    metric: &Metric,
    mechanism: &Mechanism,
    period: Period,
    rng: &mut R,
    input: impl BufRead,
    output: impl Write,
) -> Result<(), FilterError> {
    let bar = progress("randomizing");
    let mut output = BufWriter::new(output);
    let streamed = lines::for_each(input, |number, line| {
        let value = metric.domain.parse(line).map_err(|error| FilterError::Line { number, defect: error.into() })?;
        let observation = Observation::new(metric, period, Private::new(value));
        let report = answer(&mut Ledger::default(), metric, observation, mechanism, rng)
            .map_err(|error| FilterError::Randomness(error.to_string()))?;
        bar.inc(1);
        writeln!(output, "{}", report.encode()).map_err(FilterError::Write)
    });
    let flushed = output.flush().map_err(FilterError::Write);
    bar.finish_and_clear();
    match streamed.and(flushed) {
        // The reader has seen enough, as `head` does.
        Err(FilterError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// One device's answer, with its ledger in memory instead of on a disk.
///
/// # Errors
/// The generator's.
pub fn answer<R: TryCryptoRng + ?Sized>(
    ledger: &mut Ledger,
    metric: &Metric,
    observation: Observation,
    mechanism: &Mechanism,
    rng: &mut R,
) -> Result<Report, ReleaseError<R::Error>> {
    let (_, _, period) = observation.question();
    let charge = ledger.charge(metric, &[], period).expect("the registry's checks keep a first answer below every cap");
    let Ok(grant) = charge.persist(|_| Ok::<_, Infallible>(()));
    release(observation, grant, mechanism, rng)
}
