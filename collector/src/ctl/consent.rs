//! The question of consent: what is asked, a real rehearsal, then two equal answers and no default.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use super::client::Client;
use super::{CtlError, Reply, show};

/// Shows what there is to know, takes the answer and gives it to the daemon.
pub async fn consent(client: &Client, answer: Option<Reply>, json: bool) -> Result<(), CtlError> {
    let (status, metrics) = (client.properties().await?, client.list_metrics().await?);
    let rehearsal = rehearsal(client, &metrics).await?;
    if !json {
        writeln!(io::stdout(), "{}", page(&status, &metrics, rehearsal.as_ref()))?;
    }
    let answer = match answer {
        Some(answer) => answer,
        None => ask()?,
    };
    match answer {
        Reply::Yes => client.give_consent(&show::CATEGORIES).await?,
        Reply::No => client.refuse_consent().await?,
    }
    let status = client.properties().await?;
    if json {
        let all = json!({ "status": status, "metrics": metrics, "rehearsal": rehearsal });
        return super::print(true, &all, String::new);
    }
    super::print(false, &status, || show::answer(&status))
}

/// A real payload of this computer: of the first metric that it can read by itself, if whoever asks may see one.
async fn rehearsal(client: &Client, metrics: &[Value]) -> Result<Option<Value>, CtlError> {
    let is_probe = |metric: &&Value| metric["source"] != "dbus" && metric["unusable"].is_null();
    for metric in metrics.iter().filter(is_probe) {
        match client.preview(&show::text(metric, "metric")).await {
            Ok(preview) => return Ok(Some(preview)),
            Err(CtlError::Refused { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

fn page(status: &Value, metrics: &[Value], rehearsal: Option<&Value>) -> String {
    let mut out = "Hubbub asks computers a few questions. Before an answer leaves, noise is added to it here, so that \
                   nobody who sees it, the server included, can be sure of yours.\n"
        .to_owned();
    for category in show::CATEGORIES {
        let on = if status["categories"][category] == true { "on" } else { "off" };
        out += &format!("\n{category} (now {on})\n");
        for metric in metrics.iter().filter(|metric| metric["category"] == category) {
            out += &format!(
                "  {}\n    {} Never: {}\n    epsilon {} a report, at most {} reports for life\n",
                show::text(metric, "question"),
                show::text(metric, "description"),
                show::text(metric, "never_collects"),
                show::text(metric, "epsilon"),
                show::text(metric, "max_reports"),
            );
        }
    }
    match rehearsal {
        Some(preview) => {
            out += "\nOne such report of this computer, made now and thrown away:\n\n";
            out += &show::preview(preview);
        }
        None => out += "\nA report of this computer is shown to its administrator only.\n",
    }
    out + "\nThe whole registry has the digest "
        + &show::text(status, "registry_digest")
        + ".\nYou can change your answer at any time; a no deletes what was collected.\n"
}

/// Yes or no, in full.
fn ask() -> Result<Reply, CtlError> {
    let mut line = String::new();
    loop {
        write!(io::stdout(), "Shall this computer take part? Type yes or no: ")?;
        io::stdout().flush()?;
        line.clear();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(CtlError::NoAnswer);
        }
        match line.trim() {
            "yes" => return Ok(Reply::Yes),
            "no" => return Ok(Reply::No),
            _ => {}
        }
    }
}
