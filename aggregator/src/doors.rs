//! Doors for fuzzers to what reads bytes from outside: the same code, without a socket, a disk or a clock of their own.
//! The program itself does not go through them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hubbub_privacy::Report;
use hubbub_randomizer::Plan;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};

use crate::check::inspect;
use crate::committer::Message;
use crate::http::{MAX_REQUESTS, Site};
use crate::published::Published;
use crate::readiness::Readiness;
use crate::room::Room;
use crate::store::Store;
use crate::{Answer, Clock, Rejection, StoreError, connections, ingest, openapi};

/// Decides whether a body is a report that may be counted, at a time in Unix seconds.
///
/// # Errors
/// The [`Rejection`] that the device is told.
pub fn check_report(plan: &Plan, now_s: i64, body: &[u8]) -> Result<Report, Rejection> {
    ingest::check(plan, now_s, body)
}

/// Serves one connection that begins with the bytes `first` to its end. Every good report is told that it is pending: there is no store here.
pub async fn serve_stream<S>(plan: Arc<Plan>, clock: Clock, stream: S, first: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (messages, mut received) = mpsc::channel(1);
    let openapi = openapi::document(&plan);
    let site = Site {
        room: Arc::new(Room::new(&plan)),
        plan,
        clock,
        messages,
        requests: Semaphore::new(MAX_REQUESTS),
        published: Arc::new(Published::new()),
        readiness: Readiness::default(),
        openapi,
        retired: false,
    };
    let committer = async {
        while let Some(message) = received.recv().await {
            if let Message::Offer(_, _, waiter) = message {
                waiter.tell(Answer::Pending);
            }
        }
    };
    tokio::select! {
        () = connections::serve_stream(stream, Arc::new(site), first) => {}
        () = committer => {}
    }
}

/// Opens the bytes of a store's file, and compares everything in it with everything else, as every start does.
///
/// # Errors
/// [`StoreError`] saying what is wrong with it.
pub fn inspect_store(plan: &Plan, bytes: &[u8]) -> Result<(), StoreError> {
    let path = PathBuf::from("memory");
    let memory = InMemoryBackend::new();
    let copied = memory.set_len(bytes.len() as u64).and_then(|()| memory.write(0, bytes));
    copied.map_err(|source| StoreError::Io { deed: "opening", path: path.clone(), source })?;
    let store = Store::open_on(memory, Arc::new(AtomicBool::new(false)), path)?;
    let snapshot = store.snapshot()?;
    inspect(&snapshot, plan, &snapshot.ids()?)?;
    snapshot.closed()?;
    Ok(())
}
