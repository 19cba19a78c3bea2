//! What the service manager is told (`Type=notify`): states and words, never a figure about reports. Without a service
//! manager nothing is told to anybody.

use hubbub_aggregator::Tls;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tracing::{error, info, warn};

const SERVING: &str = "serving";
const NO_COMMITS: &str = "the store takes no commits now: the disk is full";

/// The server accepts connections.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status(SERVING)]);
}

/// The server has begun to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("committing what may be committed")]);
}

/// Reads the certificate again at each SIGHUP, and keeps the watchdog quiet for as long as the server does its work.
pub async fn attend(mut reload: Signal, tls: Option<Tls>, mut heartbeat: watch::Receiver<bool>) {
    let watched = sd_notify::watchdog_enabled().is_some();
    let mut ready = true;
    loop {
        tokio::select! {
            hangup = reload.recv() => match hangup {
                Some(()) => read_again(tls.as_ref()),
                None => return,
            },
            beat = heartbeat.changed() => {
                if beat.is_err() {
                    return;
                }
                if watched {
                    tell(&[NotifyState::Watchdog]);
                }
                let now = *heartbeat.borrow_and_update();
                if now != ready {
                    ready = now;
                    tell(&[NotifyState::Status(if ready { SERVING } else { NO_COMMITS })]);
                }
            }
        }
    }
}

fn read_again(tls: Option<&Tls>) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("reading the monotonic clock: {error}; the service manager is not told of the reload"),
    }
    let status = match tls.map(Tls::reload) {
        None => {
            info!("SIGHUP: there is no certificate to read again");
            SERVING
        }
        Some(Ok(())) => {
            info!("certificate and key were read again");
            SERVING
        }
        Some(Err(error)) => {
            error!("{error}; the certificate that was in use stays");
            "serving with the old certificate; the new one was refused, see the log"
        }
    };
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("telling the service manager: {error}; if it waits for that, it will end this server");
    }
}
