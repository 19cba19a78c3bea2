//! What is wrong with a registry, said so that its author can mend it.

use std::fmt;

/// The name of a check; bad fixtures are named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The file is not the TOML that registry.md describes.
    Syntax,
    /// The file declares another schema.
    Schema,
    /// A privacy figure is not an exact decimal string.
    DecimalString,
    /// A report or a metric costs more than the compiled ceilings allow.
    Ceiling,
    /// `lifetime_epsilon` is not epsilon x max_reports.
    LifetimeEpsilon,
    /// A categorical metric lacks `absent` or `other`, or they are not in the list.
    AbsentOther,
    /// The domain's keys make no sense.
    Domain,
    /// A value list is empty, repeats itself, is unreadable or differs from its digest.
    Values,
    /// A metric that is more than a draft lacks a section or a text.
    Incomplete,
    /// An id or name is used twice, or a predecessor does not exist.
    IdReuse,
    /// `expires` is too far from the newest review.
    Expiry,
    /// `expires` is in the past.
    Expired,
    /// Fewer than two reviewers, an owner among them, or no approval.
    Reviewers,
    /// The newest approval is bound to another text.
    Covers,
    /// All metrics together are expected to spend more than a year's budget.
    Pacing,
    /// No mechanism serves the metric.
    Mechanism,
    /// The expected reports cannot give the precision that the metric needs.
    Precision,
    /// One forged report moves the estimates more than under `auto`.
    Poisoning,
    /// The registry is larger than any real one.
    Limit,
}

impl Code {
    /// All codes, for documentation and tests.
    pub const ALL: [Self; 19] = [
        Self::Syntax,
        Self::Schema,
        Self::DecimalString,
        Self::Ceiling,
        Self::LifetimeEpsilon,
        Self::AbsentOther,
        Self::Domain,
        Self::Values,
        Self::Incomplete,
        Self::IdReuse,
        Self::Expiry,
        Self::Expired,
        Self::Reviewers,
        Self::Covers,
        Self::Pacing,
        Self::Mechanism,
        Self::Precision,
        Self::Poisoning,
        Self::Limit,
    ];

    /// The code as it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Schema => "schema",
            Self::DecimalString => "decimal-string",
            Self::Ceiling => "ceiling",
            Self::LifetimeEpsilon => "lifetime-epsilon",
            Self::AbsentOther => "absent-other",
            Self::Domain => "domain",
            Self::Values => "values",
            Self::Incomplete => "incomplete",
            Self::IdReuse => "id-reuse",
            Self::Expiry => "expiry",
            Self::Expired => "expired",
            Self::Reviewers => "reviewers",
            Self::Covers => "covers",
            Self::Pacing => "pacing",
            Self::Mechanism => "mechanism",
            Self::Precision => "precision",
            Self::Poisoning => "poisoning",
            Self::Limit => "limit",
        }
    }
}

/// One defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check that found it.
    pub code: Code,
    /// The file, relative to the registry's directory.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The metric's full name, or nothing when the file is meant.
    pub metric: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] ", one_line(&self.file), self.line, self.code.name())?;
        if !self.metric.is_empty() {
            write!(f, "{}: ", one_line(&self.metric))?;
        }
        write!(f, "{} — {}", one_line(&self.message), one_line(&self.remedy))
    }
}

/// A text that may quote a hostile file, with its control characters escaped.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Everything that is wrong with a registry, one finding a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
