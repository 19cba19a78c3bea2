//! Who calls: the uid that the bus vouches for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use zbus::Connection;
use zbus::fdo::{self, DBusProxy};
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};

use crate::device::Caller;

/// Connections whose uid is remembered: more than any desktop has at a time.
const REMEMBERED: usize = 4096;

/// The uids of connections. A bus never gives a unique name to a second connection, so they cannot go stale.
#[derive(Debug, Default)]
pub struct Callers {
    uids: Mutex<HashMap<OwnedUniqueName, u32>>,
}

impl Callers {
    /// Who sent a message.
    ///
    /// # Errors
    /// What the bus says when it does not know the sender.
    pub async fn identify(&self, connection: &Connection, header: &Header<'_>) -> fdo::Result<Caller> {
        let unknown = || fdo::Error::AccessDenied("the bus names no sender".to_owned());
        let sender = header.sender().ok_or_else(unknown)?.to_owned();
        let sender = OwnedUniqueName::from(sender);
        if let Some(uid) = self.lock().get(&sender) {
            return Ok(Caller { uid: *uid });
        }
        let bus = DBusProxy::new(connection).await?;
        let uid = bus.get_connection_unix_user(BusName::Unique(sender.as_ref())).await?;
        let mut uids = self.lock();
        if uids.len() >= REMEMBERED {
            uids.clear();
        }
        uids.insert(sender, uid);
        Ok(Caller { uid })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OwnedUniqueName, u32>> {
        // The map is whole after any panic: each change is one insertion.
        self.uids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
