//! The daemon on D-Bus: `org.hubbub.Metrics1`.

mod caller;
mod interface;
mod offer;

use std::num::NonZeroUsize;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use zbus::connection::Builder;
use zbus::fdo::RequestNameFlags;
use zbus::object_server::InterfaceRef;
use zbus::{Connection, fdo};

use crate::device::{Published, Request};
use hubbub_privacy::Exit;
use interface::Metrics;

/// The name on the bus.
pub const NAME: &str = "org.hubbub.Metrics1";
/// The one object.
pub const PATH: &str = "/org/hubbub/Metrics1";
/// Where the system bus listens when `DBUS_SYSTEM_BUS_ADDRESS` does not say otherwise.
const SYSTEM_SOCKETS: [&str; 2] = ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];
/// Messages that may wait inside the daemon; more stay in the socket, so that a burst slows its sender down.
const QUEUE: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// D-Bus' own default for calls.
const PATIENCE: Duration = Duration::from_secs(25);

/// Which bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// The system's, where everyone meets.
    System,
    /// A private one, of a test or a demo.
    Private(String),
}

impl Bus {
    /// `system`, or an address.
    pub fn parse(text: &str) -> Self {
        // Naming the system's socket does not make it a private bus.
        let is_system = text == "system" || SYSTEM_SOCKETS.iter().any(|socket| text.contains(&format!("={socket}")));
        if is_system { Self::System } else { Self::Private(text.to_owned()) }
    }

    /// The result of a call, or an error when nothing is said: a bus whose policy forbids its answers, or a daemon that is
    /// stopped, would be waited for without end.
    pub(crate) async fn in_time<T>(&self, call: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
        tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| {
            Err(zbus::Error::Failure(format!(
                "no answer within {} s; is it running, and does the bus policy allow it?",
                PATIENCE.as_secs()
            )))
        })
    }

    /// Connects to it.
    pub(crate) fn builder(&self) -> Builder<'_> {
        match self {
            Self::System => Builder::system(),
            Self::Private(address) => Builder::address(address.as_str()),
        }
    }
}

impl std::fmt::Display for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("the system bus"),
            Self::Private(address) => write!(f, "the bus at {address}"),
        }
    }
}

/// Why the daemon is not on the bus.
#[derive(Debug, Error)]
pub enum BusError {
    /// There is no bus.
    #[error("connecting to {bus}: {source}; start a bus there, or name another one with --bus")]
    Connect {
        /// Which one.
        bus: Bus,
        /// What went wrong.
        source: zbus::Error,
    },
    /// Somebody else has the name.
    #[error("{NAME} already has an owner on {bus}; stop the other hubbubd first")]
    NameTaken {
        /// Which bus.
        bus: Bus,
    },
    /// The bus does not let this user own the name.
    #[error("{bus} does not give {NAME} to this user: {reason}; install packaging/{NAME}.conf, or start as its user")]
    Denied {
        /// Which bus.
        bus: Bus,
        /// What the bus said.
        reason: String,
    },
    /// The bus went away.
    #[error("{bus} closed the connection")]
    Closed {
        /// Which bus.
        bus: Bus,
    },
}

impl BusError {
    /// The exit code that says so.
    pub const fn exit(&self) -> Exit {
        Exit::Unavailable
    }
}

/// Serves the interface on the bus and owns the name.
///
/// # Errors
/// [`BusError`] naming the bus.
pub async fn join(
    bus: &Bus,
    digest: &str,
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Published>,
) -> Result<Connection, BusError> {
    let metrics = Metrics::new(digest.to_owned(), requests, published);
    let failed = |source| BusError::Connect { bus: bus.clone(), source };
    let building = bus.builder().max_queued(QUEUE).serve_at(PATH, metrics).build();
    let connection = bus.in_time(building).await.map_err(failed)?;
    // Neither taking the name from another daemon nor letting another one take it.
    let alone = RequestNameFlags::DO_NOT_QUEUE;
    match bus.in_time(connection.request_name_with_flags(NAME, alone)).await {
        Ok(_) => Ok(connection),
        Err(zbus::Error::NameTaken) => Err(BusError::NameTaken { bus: bus.clone() }),
        Err(zbus::Error::FDO(error)) => match *error {
            fdo::Error::AccessDenied(reason) => Err(BusError::Denied { bus: bus.clone(), reason }),
            other => Err(failed(zbus::Error::FDO(Box::new(other)))),
        },
        Err(other) => Err(failed(other)),
    }
}

/// Tells everybody on the bus which properties have changed, until the device is gone.
///
/// # Errors
/// Those of the connection.
pub async fn announce(connection: &Connection, mut published: watch::Receiver<Published>) -> zbus::Result<()> {
    let interface: InterfaceRef<Metrics> = connection.object_server().interface(PATH).await?;
    let mut before = published.borrow_and_update().clone();
    while published.changed().await.is_ok() {
        let now = published.borrow_and_update().clone();
        let (metrics, emitter) = (interface.get().await, interface.signal_emitter());
        if now.consent != before.consent {
            metrics.consent_changed(emitter).await?;
        }
        if now.categories != before.categories {
            metrics.categories_changed(emitter).await?;
        }
        if now.spent != before.spent {
            metrics.budget_spent_changed(emitter).await?;
        }
        if now.left != before.left {
            metrics.budget_left_changed(emitter).await?;
        }
        before = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Bus;

    #[test]
    fn the_system_bus_is_recognized_under_its_address_too() {
        for system in ["system", "unix:path=/run/dbus/system_bus_socket", "unix:path=/var/run/dbus/system_bus_socket"] {
            assert_eq!(Bus::parse(system), Bus::System);
        }
        let private = "unix:path=/tmp/bus";
        assert_eq!(Bus::parse(private), Bus::Private(private.to_owned()));
    }
}
