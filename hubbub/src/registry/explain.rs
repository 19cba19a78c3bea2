//! `hubbub registry explain`: one metric in plain words, with every figure that a reviewer asks for.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use hubbub_privacy::registry::read;
use hubbub_privacy::{Goal, Metric, budget};
use hubbub_randomizer::choice::Shape;
use hubbub_randomizer::{Mechanism, PlanError};
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::plan::figures::{Figures, FiguresError, Setting, Shuffled, law, percentage_points, short};
use crate::plan::{self, PlanningError, aligned, labelled, percent, success};

/// Devices that a draft without `expected_reports` is explained for.
const DEVICES: u64 = 20_000;
const WEEKS_PER_YEAR: f64 = 52.0;

/// What `hubbub registry explain` is asked to do.
#[derive(Args)]
pub struct Explain {
    /// The metric's full name
    #[arg(value_name = "METRIC")]
    metric: String,
    /// The directory of the registry
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    registry: PathBuf,
    /// Explain it for one week of this many devices [default: its expected_reports; of a draft without them 20000 devices]
    #[arg(long, value_name = "N", value_parser = plan::parse_devices)]
    devices: Option<u64>,
    /// The chance that the shuffle figure does not hold
    #[arg(long, value_name = "DELTA", default_value = "1e-6", value_parser = plan::parse_delta)]
    delta: f64,
    /// Print everything as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// A metric and all that is said about it.
struct Explanation<'a> {
    metric: &'a Metric,
    setting: Setting,
    choice: Figures,
    alternatives: Vec<Figures>,
}

/// Explains one metric; `output` gets paragraphs or JSON.
///
/// # Errors
/// When the registry cannot be read, or has no such metric, or no mechanism serves it.
pub fn explain(request: &Explain, mut output: impl Write) -> Result<(), PlanningError> {
    let registry = read(&request.registry)?;
    let unknown = || PlanError::UnknownMetric(request.metric.clone());
    let metric = registry.by_name(&request.metric).ok_or_else(unknown)?;
    let reports = match (request.devices, &metric.utility) {
        (Some(devices), _) => plan::weekly_reports(metric, devices),
        (None, Some(utility)) => utility.expected_reports,
        (None, None) => plan::weekly_reports(metric, DEVICES),
    };
    let setting = plan::setting(metric, reports, request.delta);
    let choice = setting.choice(&metric.privacy.mechanism).map_err(|error| match error {
        FiguresError::Choice(reason) => PlanError::NoMechanism { metric: metric.name.clone(), reason }.into(),
        other => PlanningError::from(other),
    })?;
    let alternatives = setting.alternatives(choice.name)?;
    let explanation = Explanation { metric, setting, choice, alternatives };
    let shown = if request.json { format!("{}\n", explanation.to_json()) } else { explanation.in_words() };
    plan::show(&shown, &mut output)
}

impl Explanation<'_> {
    /// Reports that a device is expected to make in a year; never more than for life.
    fn reports_a_year(&self) -> f64 {
        let privacy = &self.metric.privacy;
        (WEEKS_PER_YEAR * privacy.ask_probability.to_f64()).min(f64::from(privacy.max_reports))
    }

    /// Whether an attacker's best guess is known exactly: each report then names one of two answers.
    fn names_one_of_two(&self) -> bool {
        self.choice.mechanism.counters() == 2
    }

    fn to_json(&self) -> Value {
        let Self { metric, choice, .. } = self;
        let privacy = &metric.privacy;
        let goal = match self.setting.shape {
            Shape::Ordered { goal: Goal::Mean, .. } => Some("mean"),
            Shape::Ordered { goal: Goal::Quantiles, .. } => Some("quantiles"),
            _ => None,
        };
        let target = metric.utility.as_ref().map(|utility| utility.target_ci95_pp.to_f64());
        let optimum = self.setting.optimum();
        json!({
            "metric": metric.name,
            "id": metric.id.0,
            "version": metric.version,
            "title": metric.texts.title,
            "description": metric.texts.description,
            "question": metric.texts.question,
            "why_needed": metric.texts.why_needed,
            "alternatives_considered": metric.texts.alternatives_considered,
            "never_collects": metric.texts.never_collects,
            "kind": metric.domain.kind(),
            "values": metric.domain.size(),
            "goal": goal,
            "reports": self.setting.reports,
            "target_ci95_pp": target,
            "target_met": target.map(|target| choice.worst.points <= target),
            "epsilon": privacy.epsilon.to_string(),
            "ask_probability": privacy.ask_probability.to_string(),
            "max_reports": privacy.max_reports,
            "lifetime_epsilon": privacy.lifetime_epsilon().to_string(),
            "expected_reports_a_year": self.reports_a_year(),
            "expected_epsilon_a_year": self.reports_a_year() * privacy.epsilon.to_f64(),
            "attacker": {
                "exact": self.names_one_of_two(),
                "before": 0.5,
                "after_one_report": success(privacy.epsilon, 1),
                "after_all_reports": success(privacy.epsilon, privacy.max_reports),
                "bound_by_lifetime_epsilon": budget::attacker_success(privacy.lifetime_epsilon()),
            },
            "optimum": optimum.as_ref().map(|(optimum, _)| optimum),
            "optimum_exact": optimum.as_ref().map(|(_, exact)| exact),
            "mechanism": privacy.mechanism,
            "choice": choice.to_json(choice),
            "alternatives": self.alternatives.iter().map(|other| other.to_json(choice)).collect::<Vec<_>>(),
        })
    }

    fn in_words(&self) -> String {
        let metric = self.metric;
        let title = &metric.texts.title;
        let mut text = format!("{} (id {}, version {})", metric.name, metric.id, metric.version);
        text += &if title.is_empty() { "\n".to_owned() } else { format!(": {title}\n") };
        for (heading, paragraphs) in [
            ("What is asked", self.asked()),
            ("How an answer is randomized", self.randomized()),
            ("What the answers are good for", self.good_for()),
            ("What it costs a device", self.costs()),
            ("What somebody would know who sees all of it, addresses included", self.known()),
            ("A second figure, never instead of the first", self.shuffled()),
        ] {
            let paragraphs: String = paragraphs.iter().map(|(label, text)| labelled(label, text)).collect();
            write!(text, "\n{heading}\n{paragraphs}").expect("writing to a text cannot fail");
        }
        text + &self.compared()
    }

    fn asked(&self) -> Vec<(&'static str, String)> {
        let (metric, texts) = (self.metric, &self.metric.texts);
        let values = HumanCount(metric.domain.size() as u64);
        vec![
            ("question", texts.question.clone()),
            ("reported", texts.description.clone()),
            ("why", texts.why_needed.clone()),
            ("instead", texts.alternatives_considered.clone()),
            ("never", texts.never_collects.clone()),
            ("answers", format!("kind {}, {values} values", metric.domain.kind())),
        ]
    }

    fn randomized(&self) -> Vec<(&'static str, String)> {
        let choice = &self.choice;
        let mechanism = &choice.mechanism;
        let bits = mechanism.report_bits();
        let report = format!(
            "{} {}; every upload has {} bytes; the server keeps {} counters",
            HumanCount(bits.into()),
            if bits == 1 { "bit" } else { "bits" },
            HumanCount(mechanism.body_bytes() as u64),
            HumanCount(mechanism.counters() as u64)
        );
        vec![("mechanism", format!("{}: {}", law(choice.name, mechanism), self.reason())), ("report", report)]
    }

    /// Why this mechanism.
    fn reason(&self) -> String {
        if self.metric.privacy.mechanism != "auto" {
            let auto = self.setting.choice("auto").map(|auto| {
                let cost = short(self.choice.relative_cost(&auto));
                format!("auto would take {}; this one needs {cost} times its reports", law(auto.name, &auto.mechanism))
            });
            return format!("chosen by hand; {}", auto.unwrap_or_else(|error| error.to_string()));
        }
        match (&self.choice.mechanism, self.choice.ratio_to_optimum) {
            (Mechanism::Subset(subset), _) if subset.is_of_sets() => {
                "no other report size over values and dummies has less error".to_owned()
            }
            (_, Some(1.0)) => "the least error variance that any mechanism can have".to_owned(),
            (_, Some(ratio)) => format!(
                "{ratio:.4} times the least error variance that any mechanism can have, with the fewest counters"
            ),
            (Mechanism::Window(window), None) => match (self.setting.shape, window.goal()) {
                (Shape::Counts { .. }, _) => {
                    "the smaller largest error of a mean of the two mechanisms for counts".into()
                }
                (_, Goal::Mean) => "the width with the least largest error of a mean".to_owned(),
                (_, Goal::Quantiles) => "the width that tells most about the distribution".to_owned(),
            },
            (_, None) => "the smaller largest error of a mean of the two mechanisms for counts".to_owned(),
        }
    }

    fn good_for(&self) -> Vec<(&'static str, String)> {
        let (choice, reports) = (&self.choice, self.setting.reports);
        let mean = choice.mechanism.estimates_mean();
        let of = if mean { " of the range" } else { "" };
        let mut paragraphs = vec![("reports", format!("{} in a week", HumanCount(reports)))];
        for half_width in choice.half_widths.iter().filter(|_| reports > 0) {
            let steps = if mean { format!(", {} steps", short(half_width.estimate)) } else { String::new() };
            let points = percentage_points(half_width.points);
            paragraphs.push(("95 % interval", format!("+- {points}{of}{steps}, for {}", half_width.of)));
        }
        if matches!(self.setting.shape, Shape::Ordered { goal: Goal::Quantiles, .. }) {
            let text = "the interval is the mean's; quantiles and the distribution come by smoothing, which has no error \
                        formula";
            paragraphs.push(("quantiles", text.to_owned()));
        }
        if let (Some(utility), true) = (&self.metric.utility, reports > 0) {
            let target = utility.target_ci95_pp;
            let met = if choice.worst.points <= target.to_f64() { "met by" } else { "MISSED by" };
            let worst = percentage_points(choice.worst.points);
            paragraphs.push(("target", format!("+- {target} percentage points, {met} the worst of these, {worst}")));
        }
        let gain = choice.mechanism.poisoning_gain();
        let what = if mean { "a mean" } else { "a share" };
        let points = percentage_points(gain);
        let text = format!(
            "if 1 % of the reports are forged they move {what} by up to {points}{of}; one forged report does as much as \
             {gain:.2} honest devices"
        );
        paragraphs.push(("poisoning", text));
        paragraphs
    }

    fn costs(&self) -> Vec<(&'static str, String)> {
        let privacy = &self.metric.privacy;
        let ratio = short(self.choice.mechanism.ratio().to_f64().value());
        let life = format!(
            "at most {} {}, epsilon {}",
            privacy.max_reports,
            if privacy.max_reports == 1 { "report" } else { "reports" },
            privacy.lifetime_epsilon()
        );
        let year = self.reports_a_year();
        vec![
            (
                "one report",
                format!(
                    "epsilon {}: no answer makes any report more than {ratio} times as likely as another answer does",
                    privacy.epsilon
                ),
            ),
            ("asked", format!("each week with probability {}", privacy.ask_probability)),
            (
                "in a year",
                format!("{} reports expected, epsilon {}", short(year), short(year * privacy.epsilon.to_f64())),
            ),
            ("for life", life),
        ]
    }

    fn known(&self) -> Vec<(&'static str, String)> {
        let privacy = &self.metric.privacy;
        let (one, all) = (success(privacy.epsilon, 1), success(privacy.epsilon, privacy.max_reports));
        let (guess, bound) = if self.names_one_of_two() {
            (
                "Which of the two answers is true, if both are equally likely beforehand: a coin is right 50 % of the time",
                "",
            )
        } else {
            (
                "Which of any two answers is true, if they are equally likely beforehand: a coin is right 50 % of the time",
                "at most ",
            )
        };
        let mut text = format!("{guess}, the best guess from one report {bound}{}", percent(one));
        if privacy.max_reports > 1 {
            let reports = privacy.max_reports;
            write!(text, ", and from all {reports} reports, if the answer never changed, {bound}{}", percent(all))
                .expect("writing to a text cannot fail");
        }
        text += ".";
        let never = format!(
            "Whatever else is known: no odds change by more than a factor of e^{} = {} over a life.",
            privacy.lifetime_epsilon(),
            short(privacy.lifetime_epsilon().to_f64().exp())
        );
        vec![("best guess", text), ("limit", never)]
    }

    fn shuffled(&self) -> Vec<(&'static str, String)> {
        let text = match self.choice.shuffled {
            None => "no reports, so no crowd".to_owned(),
            Some(Shuffled { delta, generic, specific }) => format!(
                "if the {} reports of a week arrive unlinkable, all of them together are ({}, {delta:e})-private about each \
                 device ({} for any mechanism of this epsilon)",
                HumanCount(self.setting.reports),
                short(specific),
                short(generic)
            ),
        };
        vec![("shuffled", text)]
    }

    /// The alternatives beside the choice.
    fn compared(&self) -> String {
        if self.alternatives.is_empty() {
            return "\nNo other mechanism serves this kind.\n".to_owned();
        }
        let mut rows = vec![Figures::COLUMNS.map(str::to_owned).to_vec()];
        rows.extend(std::iter::once(&self.choice).chain(&self.alternatives).map(|figures| figures.row(&self.choice)));
        format!(
            "\nThe choice and its alternatives (cost: how many times the reports of the choice give the same error)\n{}",
            aligned(&rows)
        )
    }
}
