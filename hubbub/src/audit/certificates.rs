//! The certificates: one metric's judgement, and the files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hubbub_privacy::certificate::Certificate;
use hubbub_privacy::{Epsilon, Metric};
use hubbub_randomizer::{ExpBound, Mechanism, PlanError};
use thiserror::Error;

use super::second_opinion::{Objection, Opinion};

/// What is wrong with a metric.
#[derive(Debug, Error)]
pub enum Defect {
    /// Nothing randomizes it.
    #[error(transparent)]
    Mechanism(#[from] PlanError),
    /// Some output tells two inputs apart better than the registry promises.
    #[error(
        "metric {metric}: the likelihood ratio {ratio} of output {output} exceeds e^{declared}; the mechanism leaks more \
         than the registry declares, so collect nothing with it"
    )]
    Exceeded {
        /// The metric's full name.
        metric: String,
        /// The exact ratio.
        ratio: String,
        /// The output that attains it.
        output: serde_json::Value,
        /// What the registry promises.
        declared: Epsilon,
    },
    /// OpenDP disagrees.
    #[error("metric {metric}: {objection}")]
    SecondOpinion {
        /// The metric's full name.
        metric: String,
        /// Its reason.
        objection: Objection,
    },
}

/// Why certificates could not be written.
#[derive(Debug, Error)]
#[error("writing certificates, {}: {source}; name a directory that can be written with --out", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// What the audit found out about one metric.
#[derive(Debug)]
pub struct Judgement<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// What its mechanism guarantees; absent when there is no mechanism.
    pub certificate: Option<Certificate>,
    /// What OpenDP says; absent when there is no mechanism, or OpenDP refuses its parameters.
    pub opinion: Option<Opinion>,
    /// What is wrong; a metric passes when nothing is.
    pub defects: Vec<Defect>,
}

impl<'a> Judgement<'a> {
    /// Certifies a metric and asks for the second opinion. Both checks are made, whatever the other says.
    pub fn of(metric: &'a Metric, mechanism: Result<&Mechanism, PlanError>) -> Self {
        let mechanism = match mechanism {
            Ok(mechanism) => mechanism,
            Err(error) => return Self { metric, certificate: None, opinion: None, defects: vec![error.into()] },
        };
        let declared = metric.privacy.epsilon;
        let name = || metric.name.clone();
        let certificate = mechanism.certificate(metric);
        let mut defects = Vec::new();
        if mechanism.ratio() > ExpBound::new(declared).to_ratio() {
            let (ratio, output) = (certificate.ratio.clone(), certificate.attained_by.output.clone());
            defects.push(Defect::Exceeded { metric: name(), ratio, output, declared });
        }
        let asked = Opinion::of(mechanism);
        let objection = match &asked {
            Ok(opinion) => opinion.check(declared).err(),
            Err(refused) => Some(refused.clone()),
        };
        defects.extend(objection.map(|objection| Defect::SecondOpinion { metric: name(), objection }));
        Self { metric, certificate: Some(certificate), opinion: asked.ok(), defects }
    }

    /// The certificate, if nothing speaks against it.
    pub fn valid(&self) -> Option<&Certificate> {
        self.certificate.as_ref().filter(|_| self.defects.is_empty())
    }
}

/// Writes the valid certificates as `<metric>.json` in `out` and removes what an earlier audit left under the names of the
/// other metrics. Gives how many were written. All of them are complete on the disk before the first takes its name, so a
/// full disk leaves the earlier ones untouched.
///
/// # Errors
/// [`WriteError`] naming the file or directory.
pub fn write(judgements: &[Judgement<'_>], out: &Path) -> Result<usize, WriteError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError { path, source }
    };
    fs::create_dir_all(out).map_err(at(out))?;
    let staging = tempfile::Builder::new().prefix(".hubbub-audit-").tempdir_in(out).map_err(at(out))?;
    let mut finished = Vec::new();
    for judgement in judgements {
        let name = format!("{}.json", judgement.metric.name);
        let staged = match judgement.valid() {
            Some(certificate) => {
                let staged = staging.path().join(&name);
                write_whole(&staged, certificate).map_err(at(&staged))?;
                Some(staged)
            }
            None => None,
        };
        finished.push((out.join(name), staged));
    }
    for (path, _) in finished.iter().filter(|(_, staged)| staged.is_none()) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
            _ => {}
        }
    }
    let mut written = 0;
    for (path, staged) in &finished {
        if let Some(staged) = staged {
            fs::rename(staged, path).map_err(at(path))?;
            written += 1;
        }
    }
    staging.close().map_err(at(out))?;
    File::open(out).and_then(|directory| directory.sync_all()).map_err(at(out))?;
    Ok(written)
}

/// The same certificate gives the same bytes: keys are in a fixed order.
fn write_whole(path: &Path, certificate: &Certificate) -> io::Result<()> {
    let text = serde_json::to_string_pretty(certificate).expect("texts and numbers serialize");
    let mut file = File::create_new(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use hubbub_privacy::Registry;
    use hubbub_privacy::registry::Files;
    use hubbub_randomizer::{FoldedGeometric, Plan, Subset};

    use super::*;

    const DRAFTS: &str = r#"schema = "hubbub-registry/1"
namespace = "test"
[metric.colour]
id = 1
version = 1
status = "draft"
data = { kind = "categorical", values = ["a", "b", "c", "d", "e"] }
privacy = { epsilon = "1.0" }
[metric.crashes]
id = 2
version = 1
status = "draft"
data = { kind = "count", max = 20 }
privacy = { epsilon = "1.0" }
"#;

    fn plan() -> Plan {
        let definitions = [("test.toml".to_owned(), DRAFTS.as_bytes().to_vec())].into();
        Plan::new(Registry::parse(&Files { definitions, ..Files::default() }).unwrap())
    }

    fn judge<'a>(plan: &'a Plan, name: &str, planted: Option<Mechanism>) -> Judgement<'a> {
        let (metric, mechanism) = plan.by_name(name).unwrap();
        Judgement::of(metric, Ok(planted.as_ref().unwrap_or(mechanism)))
    }

    #[test]
    fn honest_mechanisms_pass() {
        let plan = plan();
        for name in ["test.colour", "test.crashes"] {
            let judgement = judge(&plan, name, None);
            assert!(judgement.valid().is_some() && judgement.defects.is_empty(), "{judgement:?}");
        }
    }

    #[test]
    fn a_threshold_above_the_bound_fails_both_checks() {
        let plan = plan();
        let beyond = "1.000001".parse().unwrap();
        let subset = Mechanism::Subset(Subset::new(&ExpBound::new(beyond), 5, 1));
        let folded = Mechanism::FoldedGeometric(FoldedGeometric::new(beyond, 20).unwrap());
        for (name, planted) in [("test.colour", subset), ("test.crashes", folded)] {
            let judgement = judge(&plan, name, Some(planted));
            assert!(
                matches!(judgement.defects[..], [Defect::Exceeded { .. }, Defect::SecondOpinion { .. }]),
                "{:?}",
                judgement.defects
            );
            assert!(judgement.valid().is_none() && judgement.defects.iter().all(|d| d.to_string().contains(name)));
        }
    }

    #[test]
    fn a_failing_metric_leaves_no_certificate_not_even_an_old_one() {
        let (plan, out) = (plan(), tempfile::tempdir().unwrap());
        let path = |name: &str| out.path().join(name);
        fs::write(path("foreign.json"), "{}").unwrap();
        let honest = [judge(&plan, "test.colour", None), judge(&plan, "test.crashes", None)];
        assert_eq!(write(&honest, out.path()).unwrap(), 2);
        let before = fs::read(path("test.colour.json")).unwrap();
        let planted = Mechanism::FoldedGeometric(FoldedGeometric::new("2".parse().unwrap(), 20).unwrap());
        let mixed = [judge(&plan, "test.colour", None), judge(&plan, "test.crashes", Some(planted))];
        assert_eq!(write(&mixed, out.path()).unwrap(), 1);
        let mut left: Vec<_> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["foreign.json", "test.colour.json"]);
        assert_eq!(fs::read(path("test.colour.json")).unwrap(), before);
    }
}
