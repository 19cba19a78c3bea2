//! One metric's table: texts, budget, dates and reviews.

use toml::Value;

use super::super::document::{LifecycleTable, MetricTable, ReviewTable, UtilityTable};
use super::super::{
    Aggregate, Budget, Code, Collect, Lifecycle, Metric, MetricId, Origin, Review, Status, Texts, Utility,
};
use super::domain::parse_domain;
use super::{Files, judge::Judge};
use crate::{Domain, Epsilon, Probability, budget};

pub fn parse_metric(
    table: MetricTable,
    covers: String,
    owners: &[String],
    files: &Files,
    judge: &mut Judge,
) -> Option<Metric> {
    let before = judge.findings.len();
    let domain = parse_domain(&table.data, table.status, files, judge);
    let privacy = parse_budget(&table, judge);
    let utility = table.utility.as_ref().and_then(|utility| parse_utility(utility, judge));
    let lifecycle = table.lifecycle.as_ref().and_then(|lifecycle| parse_lifecycle(lifecycle, judge));
    let reviews = table.review.iter().filter_map(|review| parse_review(review, judge)).collect();
    if let (Some(collect), Some(domain)) = (&table.collect, &domain) {
        check_collect(collect, domain, judge);
    }
    if table.version == 0 {
        judge.find(Code::Syntax, &["version"], "version 0", "versions start at 1");
    }
    if table.status != Status::Draft {
        require_complete(&table, judge);
    }
    let origin = Origin {
        file: judge.file.to_owned(),
        line: judge.lines.of(&["metric", judge.key]),
        owners: owners.to_vec(),
        declared_lifetime: match &table.privacy.lifetime_epsilon {
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        },
    };
    if judge.findings.len() > before {
        return None;
    }
    Some(Metric {
        id: MetricId(table.id),
        name: judge.name.clone(),
        version: table.version,
        status: table.status,
        category: table.category,
        predecessor: table.predecessor.map(MetricId),
        texts: Texts {
            title: table.title,
            description: table.description,
            question: table.question,
            why_needed: table.why_needed,
            alternatives_considered: table.alternatives_considered,
            never_collects: table.never_collects,
        },
        domain: domain?,
        collect: table.collect,
        privacy: privacy?,
        utility,
        lifecycle,
        reviews,
        covers,
        origin,
    })
}

/// Whether a week of such values can become one, and the event id is one.
fn check_collect(collect: &Collect, domain: &Domain, judge: &mut Judge) {
    use Aggregate::{Any, Count, Last, Max, MostCommon, SampleOne, Sum, Union};
    let serves = match collect.aggregate {
        Last | MostCommon | SampleOne => true,
        Max | Sum | Count => matches!(domain, Domain::Count { .. } | Domain::Ordered { .. }),
        Any => matches!(domain, Domain::Boolean),
        Union => matches!(domain, Domain::Set { .. }),
    };
    if !serves {
        let message = format!("this aggregate does not make one value of kind {} of a week", domain.kind());
        judge.find(
            Code::Domain,
            &["collect", "aggregate"],
            message,
            "use last, most_common or sample_one; union for sets",
        );
    }
    if let Some(event) = &collect.eos_event {
        let parts: Vec<usize> = event.split('-').map(str::len).collect();
        let hex = event.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if parts != [8, 4, 4, 4, 12] || !hex {
            let remedy = "write it as 01234567-89ab-cdef-0123-456789abcdef";
            judge.find(Code::Syntax, &["collect", "eos_event"], "eos_event is not a UUID", remedy);
        }
    }
}

fn require_complete(table: &MetricTable, judge: &mut Judge) {
    let required = [
        ("category", table.category.is_some()),
        ("title", !table.title.is_empty()),
        ("description", !table.description.is_empty()),
        ("question", !table.question.is_empty()),
        ("why_needed", !table.why_needed.is_empty()),
        ("alternatives_considered", !table.alternatives_considered.is_empty()),
        ("never_collects", !table.never_collects.is_empty()),
        ("collect", table.collect.is_some()),
        ("utility", table.utility.is_some()),
        ("lifecycle", table.lifecycle.is_some()),
        ("privacy.ask_probability", table.privacy.ask_probability.is_some()),
        ("privacy.max_reports", table.privacy.max_reports.is_some()),
        ("privacy.lifetime_epsilon", table.privacy.lifetime_epsilon.is_some()),
    ];
    for (key, _) in required.into_iter().filter(|(_, present)| !present) {
        judge.find(Code::Incomplete, &[], format!("`{key}` is missing"), "add it, or set status = \"draft\"");
    }
}

fn parse_budget(table: &MetricTable, judge: &mut Judge) -> Option<Budget> {
    let privacy = &table.privacy;
    let epsilon = judge.decimal(&["privacy", "epsilon"], &privacy.epsilon)?;
    let epsilon = Epsilon::from_millionths(epsilon.millionths());
    if epsilon == Epsilon::ZERO {
        judge.find(Code::Ceiling, &["privacy", "epsilon"], "epsilon 0 reports nothing", "choose an epsilon above 0");
        return None;
    }
    if epsilon > budget::PER_REPORT {
        let message = format!("epsilon {epsilon} is above the compiled ceiling of {} per report", budget::PER_REPORT);
        judge.find(Code::Ceiling, &["privacy", "epsilon"], message, "lower it; no registry can raise the ceiling");
    }
    let ask_probability = match &privacy.ask_probability {
        None => Probability::ONE,
        Some(value) => {
            let path = ["privacy", "ask_probability"];
            let decimal = judge.decimal(&path, value)?;
            let probability = Probability::new(decimal);
            if probability.is_none() {
                judge.find(
                    Code::DecimalString,
                    &path,
                    format!("ask_probability {decimal} is above 1"),
                    "write a probability",
                );
            }
            probability?
        }
    };
    let max_reports = privacy.max_reports.unwrap_or(1);
    if max_reports == 0 {
        judge.find(
            Code::Ceiling,
            &["privacy", "max_reports"],
            "max_reports 0 asks nothing",
            "use 1 or more, or withdraw it",
        );
    }
    let path = ["privacy", "lifetime_epsilon"];
    let lifetime = epsilon.times(max_reports);
    if lifetime > budget::PER_METRIC {
        let message = format!(
            "{max_reports} reports of epsilon {epsilon} make {lifetime}, above the ceiling of {} per metric",
            budget::PER_METRIC
        );
        judge.find(Code::Ceiling, &["privacy", "max_reports"], message, "lower epsilon or max_reports");
    }
    if let Some(value) = &privacy.lifetime_epsilon {
        let declared = judge.decimal(&path, value)?;
        if declared.millionths() != lifetime.millionths() {
            let message =
                format!("lifetime_epsilon is {declared}, but epsilon {epsilon} x {max_reports} reports is {lifetime}");
            judge.find(Code::LifetimeEpsilon, &path, message, format!("write lifetime_epsilon = \"{lifetime}\""));
        }
    }
    Some(Budget { epsilon, mechanism: privacy.mechanism.clone(), ask_probability, max_reports })
}

fn parse_utility(table: &UtilityTable, judge: &mut Judge) -> Option<Utility> {
    let target_ci95_pp = judge.decimal(&["utility", "target_ci95_pp"], &table.target_ci95_pp)?;
    let UtilityTable { expected_reports, min_reports_to_publish, .. } = *table;
    Some(Utility { expected_reports, target_ci95_pp, min_reports_to_publish })
}

fn parse_lifecycle(table: &LifecycleTable, judge: &mut Judge) -> Option<Lifecycle> {
    let introduced = judge.date(&["lifecycle", "introduced"], &table.introduced);
    let expires = judge.date(&["lifecycle", "expires"], &table.expires);
    Some(Lifecycle { introduced: introduced?, expires: expires? })
}

fn parse_review(table: &ReviewTable, judge: &mut Judge) -> Option<Review> {
    Some(Review {
        url: table.url.clone(),
        approved: table.decision == "approved",
        reviewers: table.reviewers.clone(),
        date: judge.date(&["review"], &table.date)?,
        covers: table.covers.clone(),
    })
}
