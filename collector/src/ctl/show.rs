//! Answers in words and tables.

use std::fmt::Write;

use serde_json::Value;

use super::table::table;
use crate::odds::percent_up;

/// The five switches, in the order users see.
pub const CATEGORIES: [&str; 5] = ["hardware", "settings", "usage", "performance", "problems"];

/// A field as text; missing fields are empty.
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Writing to a string cannot fail.
macro_rules! say {
    ($out:expr, $($words:tt)*) => { writeln!($out, $($words)*).expect("strings take any text") };
}

/// One line: on or off.
pub fn answer(status: &Value) -> String {
    let on: Vec<&str> = CATEGORIES.into_iter().filter(|category| status["categories"][*category] == true).collect();
    match status["consent"].as_str() {
        Some("yes") if on.is_empty() => "Metrics are on, but every category is off.".to_owned(),
        Some("yes") => format!("Metrics are on: {}.", on.join(", ")),
        Some("no") => "Metrics are off: nothing is collected, stored or sent.".to_owned(),
        _ => "Metrics are off: nobody has answered yet. `hubbubctl consent` asks.".to_owned(),
    }
}

/// Answer, budget, registry.
pub fn status(status: &Value) -> String {
    let mut out = answer(status) + "\n";
    let asked: Vec<&str> = items(&status["asked_this_week"]).iter().filter_map(Value::as_str).collect();
    if status["consent"] == "yes" {
        match asked.as_slice() {
            [] => say!(out, "This week it was asked nothing."),
            asked => say!(out, "This week it was asked {}: {}.", asked.len(), asked.join(", ")),
        }
    }
    out += &("\n".to_owned() + &budget(status));
    say!(out, "\nregistry {}", text(status, "registry_digest"));
    out
}

fn budget(status: &Value) -> String {
    let mut rows = vec![["budget", "spent", "left"].map(str::to_owned).to_vec()];
    let spent = status["budget_spent"].as_object();
    let is_metric = |name: &str| name.starts_with("metric:");
    let totals = ["week", "year", "installation"].into_iter();
    let metrics = spent.into_iter().flat_map(|spent| spent.keys()).map(String::as_str).filter(|name| is_metric(name));
    for name in totals.chain(metrics) {
        let of = |side: &str| text(&status[side], name);
        rows.push(vec![name.trim_start_matches("metric:").to_owned(), of("budget_spent"), of("budget_left")]);
    }
    table(&rows)
}

/// Everything about one metric.
pub fn metric(metric: &Value) -> String {
    let mut out = String::new();
    say!(out, "{}: {}", text(metric, "metric"), text(metric, "title"));
    for (name, field) in [
        ("what", "description"),
        ("why", "question"),
        ("", "why_needed"),
        ("never", "never_collects"),
        ("category", "category"),
        ("source", "source"),
        ("until", "expires"),
    ] {
        say!(out, "  {name:<9} {}", text(metric, field));
    }
    let values: Vec<&str> = items(&metric["values"]).iter().filter_map(Value::as_str).collect();
    say!(out, "  {:<9} {}", "values", values.join(", "));
    say!(
        out,
        "  {:<9} epsilon {} a report, at most {} reports for life ({} in all), asked with probability {} a week",
        "cost",
        text(metric, "epsilon"),
        text(metric, "max_reports"),
        text(metric, "lifetime_epsilon"),
        text(metric, "ask_probability")
    );
    say!(
        out,
        "  {:<9} someone who sees one report guesses right at most {} % of the time",
        "",
        percent_up(metric["attacker_success"].as_f64().unwrap_or(1.0))
    );
    let asked = match metric["asked"].as_str() {
        Some(state) => format!("yes ({state})"),
        None => "no".to_owned(),
    };
    say!(out, "  {:<9} {asked}", "this week");
    if let Some(reason) = metric["unusable"].as_str() {
        say!(out, "  {:<9} {reason}", "not here");
    }
    match items(&metric["stored"]) {
        [] => say!(out, "  {:<9} nothing", "stored"),
        stored => {
            for value in stored {
                say!(out, "  {:<9} {} ({})", "stored", text(value, "value"), text(value, "origin"));
            }
        }
    }
    out
}

/// What would be sent, or waits.
pub fn preview(preview: &Value) -> String {
    let mut out = String::new();
    let kind = if preview["rehearsal"] == true { "a rehearsal, not sent" } else { "waits to be sent" };
    say!(out, "{}, week {}: {kind}", text(preview, "metric"), text(preview, "period"));
    let absent = if preview["absent"] == true { " (nothing was seen)" } else { "" };
    say!(out, "  true value  {}{absent}", text(preview, "value"));
    say!(out, "  epsilon     {}", text(preview, "epsilon"));
    say!(out, "  odds        {}", text(preview, "odds"));
    say!(out, "  bytes       {}", bytes(preview));
    out
}

/// The bytes without their padding, which is counted instead.
fn bytes(value: &Value) -> String {
    let Some(bytes) = value["bytes"].as_str() else { return "deleted before they were sent".to_owned() };
    let report = bytes.trim_end_matches(' ');
    format!("{report} and {} spaces", bytes.len() - report.len())
}

/// The log, oldest first.
pub fn log(log: &Value) -> String {
    let mut out = String::new();
    if items(log).is_empty() {
        out.push_str("No report has been made.\n");
    }
    for sent in items(log) {
        let code = text(sent, "code");
        let code = if code.is_empty() { code } else { format!(" ({code})") };
        say!(
            out,
            "{}. {}, week {}: {}{code}, offered {} times",
            text(sent, "n"),
            text(sent, "metric"),
            text(sent, "period"),
            text(sent, "state"),
            text(sent, "attempts")
        );
        let value = sent["value"].as_str().unwrap_or("deleted, or not yours to see");
        say!(out, "   true value  {value}");
        say!(out, "   epsilon     {}", text(sent, "epsilon"));
        if let Some(odds) = sent["odds"].as_str() {
            say!(out, "   odds        {odds}");
        }
        say!(out, "   bytes       {}", bytes(sent));
    }
    out
}

/// The ledger and its sums.
pub fn ledger(both: &Value) -> String {
    let mut rows = vec![["no.", "week", "metric", "version", "epsilon"].map(str::to_owned).to_vec()];
    for row in items(&both["rows"]) {
        rows.push(["n", "period", "metric", "version", "epsilon"].map(|field| text(row, field)).to_vec());
    }
    table(&rows) + "\n" + &budget(both)
}
