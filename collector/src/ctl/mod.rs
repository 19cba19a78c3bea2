//! `hubbubctl`: everything the daemon knows, for the computer's owner.

mod client;
mod consent;
mod show;
mod table;

use std::io::{self, IsTerminal, Write};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;
use thiserror::Error;

use crate::bus::{Bus, NAME};
use client::Client;
use hubbub_privacy::Exit;

/// Shows and controls what this computer collects and sends.
#[derive(Debug, Parser)]
#[command(name = "hubbubctl", version, about, after_help = crate::EXIT_CODES)]
pub struct Arguments {
    /// `system`, or the address of a private bus
    #[arg(long, value_name = "ADDRESS", default_value = "system", global = true)]
    pub bus: String,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Whether metrics are on, and what is left of the budget
    Status,
    /// Read what is asked, see a rehearsal, then say yes or no
    Consent {
        /// The answer, instead of being asked for it
        #[arg(long, value_enum)]
        answer: Option<Reply>,
    },
    /// Switch on everything, or one category
    On {
        /// hardware, settings, usage, performance or problems
        category: Option<String>,
    },
    /// Switch off everything, or one category, and delete what was collected
    Off {
        /// hardware, settings, usage, performance or problems
        category: Option<String>,
    },
    /// All about one metric: its question, what is stored, what it costs
    Show {
        /// Its full name
        metric: String,
    },
    /// What would be sent: true value, odds and bytes
    Preview {
        /// Its full name; all metrics without
        metric: Option<String>,
        /// Print exactly the bytes and nothing else
        #[arg(long, requires = "metric", conflicts_with = "json")]
        bytes: bool,
    },
    /// Every report ever made: true value, odds, the very bytes, what became of it
    Log {
        /// Only entries after this number
        #[arg(long, value_name = "N", default_value_t = 0)]
        since: u32,
    },
    /// Everything ever spent
    Ledger,
}

/// An answer to the question of consent, typed in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reply {
    /// Switch on.
    Yes,
    /// Switch off.
    No,
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum CtlError {
    /// There is no bus.
    #[error("connecting to {bus}: {source}; name the bus of hubbubd with --bus")]
    Connect {
        /// Which one.
        bus: Bus,
        /// What went wrong.
        source: zbus::Error,
    },
    /// There is no daemon.
    #[error("nobody owns {NAME} on {bus}; start hubbubd, or name another bus with --bus")]
    Absent {
        /// Which bus.
        bus: Bus,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// The error's name on the bus.
        name: String,
        /// Its words.
        message: String,
    },
    /// The call broke off.
    #[error("calling hubbubd: {0}")]
    Call(zbus::Error),
    /// The daemon answered with something else than expected.
    #[error("hubbubd gave no {0}; hubbubctl and hubbubd must be of one version")]
    Missing(&'static str),
    /// Nobody can be asked.
    #[error("this is no terminal, so nobody can be asked; say `--answer yes` or `--answer no`")]
    NotATerminal,
    /// The terminal was closed instead of an answer.
    #[error("no answer; nothing has changed")]
    NoAnswer,
    /// Reading or writing the terminal.
    #[error("reading or writing the terminal: {0}")]
    Terminal(#[from] io::Error),
    /// The system refused an event loop.
    #[error("starting: {0}")]
    Start(io::Error),
}

impl CtlError {
    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { name, .. } => match name.rsplit('.').next() {
                Some("UnknownMetric" | "WrongType") => Exit::BadInput,
                Some("IOError") => Exit::InputOutput,
                _ => Exit::CheckFailed,
            },
            Self::NotATerminal | Self::NoAnswer => Exit::BadInput,
            Self::Terminal(_) | Self::Start(_) => Exit::InputOutput,
            Self::Connect { .. } | Self::Absent { .. } | Self::Call(_) | Self::Missing(_) => Exit::Unavailable,
        }
    }
}

/// Carries out one command.
///
/// # Errors
/// [`CtlError`], each with its exit code.
pub fn run(arguments: &Arguments) -> Result<(), CtlError> {
    if matches!(arguments.command, Command::Consent { answer: None }) && !io::stdin().is_terminal() {
        return Err(CtlError::NotATerminal);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CtlError::Start)?;
    runtime.block_on(async {
        let client = Client::connect(Bus::parse(&arguments.bus)).await?;
        command(&client, &arguments.command, arguments.json).await
    })
}

async fn command(client: &Client, command: &Command, json: bool) -> Result<(), CtlError> {
    match command {
        Command::Status => {
            let status = client.status().await?;
            print(json, &status, || show::status(&status))
        }
        Command::Consent { answer } => consent::consent(client, *answer, json).await,
        Command::On { category } => {
            switch_on(client, category.as_deref()).await?;
            done(client, json).await
        }
        Command::Off { category: None } => {
            client.refuse_consent().await?;
            done(client, json).await
        }
        Command::Off { category: Some(category) } => {
            client.set_category(category, false).await?;
            done(client, json).await
        }
        Command::Show { metric } => {
            let shown = client.about(metric).await?;
            print(json, &shown, || show::metric(&shown))
        }
        Command::Preview { metric: Some(metric), bytes: true } => {
            let preview = client.preview(metric).await?;
            let bytes = preview["bytes"].as_str().ok_or(CtlError::Missing("bytes"))?;
            let mut out = io::stdout().lock();
            out.write_all(bytes.as_bytes())?;
            Ok(out.flush()?)
        }
        Command::Preview { metric: Some(metric), .. } => {
            let preview = client.preview(metric).await?;
            print(json, &preview, || show::preview(&preview))
        }
        Command::Preview { metric: None, .. } => {
            let previews = client.previews().await?;
            print(json, &Value::Array(previews.clone()), || {
                previews.iter().map(show::preview).collect::<Vec<_>>().join("\n")
            })
        }
        Command::Log { since } => {
            let log = client.sent_log(*since).await?;
            print(json, &log, || show::log(&log))
        }
        Command::Ledger => {
            let (rows, status) = (client.ledger().await?, client.properties().await?);
            let both = serde_json::json!({
                "rows": rows,
                "budget_spent": status["budget_spent"],
                "budget_left": status["budget_left"],
            });
            print(json, &both, || show::ledger(&both))
        }
    }
}

/// One category joins those that are on; without a name, or before a yes, the answer is given as a whole.
async fn switch_on(client: &Client, category: Option<&str>) -> Result<(), CtlError> {
    let is_yes = client.properties().await?["consent"] == "yes";
    match category {
        Some(category) if is_yes => client.set_category(category, true).await,
        Some(category) => client.give_consent(&[category]).await,
        None => client.give_consent(&show::CATEGORIES).await,
    }
}

async fn done(client: &Client, json: bool) -> Result<(), CtlError> {
    let status = client.properties().await?;
    print(json, &status, || show::answer(&status))
}

fn print(json: bool, value: &Value, human: impl FnOnce() -> String) -> Result<(), CtlError> {
    let text = if json { format!("{value:#}") } else { human() };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}
