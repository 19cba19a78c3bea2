//! The running server.

use hubbub_privacy::Exit;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::committer::{Committer, Message};
use crate::control::Desk;
use crate::export::Destination;
use crate::http::{MAX_REQUESTS, Site};
use crate::published::Published;
use crate::readiness::Readiness;
use crate::replace_file::create_directories;
use crate::room::Room;
use crate::store::StorePlace;
use crate::{
    Clock, Config, ControlError, RegistryError, StoreError, Tls, TlsError, connections, control, load_plan, openapi,
};

/// Messages on their way to the committer: every request that may be under way, and the operator's.
const QUEUE: usize = MAX_REQUESTS + 16;
/// How often periods are looked at for their end.
const TICK: Duration = Duration::from_secs(1);

/// Why the server could not start, or had to end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The export directory.
    #[error("making export_dir {}: {source}; it must be a directory that can be written", path.display())]
    ExportDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A task or thread could not be started, or ended by a defect; the store is as of its last commit.
    #[error("a part of the server ended: {0}; start it again, and report this")]
    Defect(String),
}

impl RunError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Tls(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::ExportDir { .. } | Self::Defect(_) => Exit::InputOutput,
        }
    }
}

/// Everything a server needs but a listener, checked and opened.
pub struct Setup {
    site: Site,
    committer: Committer,
    messages: mpsc::Receiver<Message>,
    control: UnixListener,
    control_socket: PathBuf,
    desk: Desk,
    tls: Option<Tls>,
    heartbeat: watch::Sender<bool>,
}

impl Setup {
    /// Reads the registry and the certificate, locks and opens the store.
    ///
    /// # Errors
    /// [`RunError`]: the server would not serve.
    pub fn prepare(config: &Config, clock: Clock) -> Result<Self, RunError> {
        let plan = Arc::new(load_plan(&config.registry, clock.now_s())?);
        let tls = config.tls().map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
        create_directories(&config.export_dir)
            .map_err(|source| RunError::ExportDir { path: config.export_dir.clone(), source })?;
        let place = StorePlace::take(&config.store)?;
        let (published, readiness) = (Arc::new(Published::new()), Readiness::default());
        let destination = Destination::new(config.export_dir.clone(), config.node.clone());
        let committer = Committer::open(
            place,
            plan.clone(),
            clock.clone(),
            destination.clone(),
            published.clone(),
            readiness.clone(),
        )?;
        let collected = plan.registry().metrics().filter(|metric| metric.status.is_collected()).count();
        if collected == 0 {
            warn!("no metric of the registry is collected now (drafts are not), so every report will be refused");
        }
        info!(registry = plan.registry().digest(), collected, ids_held = committer.ids_held(), "ready to count");
        let (sender, messages) = mpsc::channel(QUEUE);
        let desk = Desk { messages: sender.clone(), destination, plan: plan.clone() };
        let room = Arc::new(Room::new(&plan));
        let requests = Semaphore::new(MAX_REQUESTS);
        let openapi = openapi::document(&plan);
        let retired = config.retired;
        let site = Site { plan, room, clock, messages: sender, requests, published, readiness, openapi, retired };
        let control_socket = StorePlace::control_socket(&config.store);
        let control = control::bind(&control_socket)?;
        Ok(Self { site, committer, messages, control, control_socket, desk, tls, heartbeat: watch::Sender::new(true) })
    }

    /// The certificate in use, to be read again when it was renewed; none without TLS.
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Changes about every second while the server does its work, and says whether commits are possible. A server that
    /// hangs stops changing it.
    pub fn heartbeat(&self) -> watch::Receiver<bool> {
        self.heartbeat.subscribe()
    }
}

/// Serves until `shutdown` ends, then answers what is in flight, commits what may be committed and returns.
///
/// # Errors
/// [`RunError`] when the store can no longer be trusted or the control socket cannot be made.
pub async fn run(listener: TcpListener, setup: Setup, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let Setup { site, committer, messages: received, control, control_socket, desk, tls, heartbeat } = setup;
    let control = tokio::spawn(control::serve(control::into_tokio(control, &control_socket)?, desk));
    let ticks = tokio::spawn(tick(site.messages.clone(), heartbeat, site.readiness.clone()));
    let messages = site.messages.clone();

    let (ended, mut end) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("committer".to_owned())
        // The receiver is gone only when `run` itself was dropped; then nobody wants to know.
        .spawn(move || {
            let _entered = runtime.enter();
            ended.send(committer.run(received)).ok()
        })
        .map_err(|error| RunError::Defect(error.to_string()))?;

    let (stop, stopped) = watch::channel(false);
    let connections = tokio::spawn(connections::serve(listener, tls, Arc::new(site), stopped));
    let early_end = tokio::select! {
        () = shutdown => None,
        outcome = &mut end => Some(outcome),
    };
    stop.send_replace(true);
    connections.await.map_err(|error| RunError::Defect(error.to_string()))?;
    control.abort();
    ticks.abort();
    let outcome = match early_end {
        Some(outcome) => outcome,
        None => {
            // A committer that has ended meanwhile says so by its outcome.
            messages.send(Message::Stop).await.ok();
            end.await
        }
    };
    // The next server removes a socket that stays; the lock beside the store is what counts.
    std::fs::remove_file(&control_socket).ok();
    outcome.map_err(|_| RunError::Defect("the committer panicked".to_owned()))??;
    Ok(())
}

async fn tick(messages: mpsc::Sender<Message>, heartbeat: watch::Sender<bool>, readiness: Readiness) {
    let mut seconds = tokio::time::interval(TICK);
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let (dealt_with, done) = oneshot::channel();
        if messages.send(Message::Tick(dealt_with)).await.is_err() || done.await.is_err() {
            return;
        }
        heartbeat.send_replace(readiness.get());
    }
}
