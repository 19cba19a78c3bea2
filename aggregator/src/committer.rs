//! The one owner of the store: takes offered reports, commits them in groups, closes periods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hubbub_privacy::{Period, Report};
use hubbub_randomizer::Plan;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::check::inspect;
use crate::definition::Catalogue;
use crate::export::{Destination, ExportError, write_files};
use crate::maintenance::{self, MaintenanceError};
use crate::pending::{FullGroup, Pending, Waiter};
use crate::published::Published;
use crate::readiness::Readiness;
use crate::room::Seat;
use crate::store::{Ids, Snapshot, Store, StoreError, StorePlace};
use crate::{Answer, Clock, ControlError, Rejection};

/// Ticks (of a second) between two attempts to use a disk that was full: opening reads the whole store.
const FULL_RETRY_TICKS: u64 = 5;
/// Ticks after which rejections are published when nothing is committed.
const REJECTIONS_TICKS: u64 = 60;
/// Ticks between two attempts to export closed periods into a directory that cannot be written.
const EXPORT_RETRY_TICKS: u64 = 60;

/// So long after a commit, messages are left to collect: the next one costs nearly as much for thirty-two reports as for
/// a thousand, and a queue that nobody waits for wakes nobody. A quiet server's message is looked at when it comes.
const COLLECT: Duration = Duration::from_millis(10);

/// What the committer is asked for.
#[derive(Debug)]
pub enum Message {
    /// Count this report.
    Offer(Report, Seat, Waiter),
    /// A second has passed. Answered when that was dealt with: who waits for the answer sees that commits go on.
    Tick(oneshot::Sender<()>),
    /// Give a view of what is committed.
    Snapshot(oneshot::Sender<Result<Snapshot, StoreError>>),
    /// Remove what was counted in status testing.
    Purge {
        /// Only say what would be removed.
        dry_run: bool,
        /// Where the lines for the asker go.
        reply: oneshot::Sender<Result<Vec<String>, MaintenanceError>>,
    },
    /// Commit what may be committed and end.
    Stop,
}

/// The store and everything that waits to enter it.
#[derive(Debug)]
pub struct Committer {
    plan: Arc<Plan>,
    catalogue: Catalogue,
    clock: Clock,
    destination: Destination,
    place: StorePlace,
    /// None while the disk is full.
    store: Option<Store>,
    ids: Ids,
    closed: BTreeMap<Period, bool>,
    pending: Pending,
    /// When the last commit ended.
    committed: Option<Instant>,
    published: Arc<Published>,
    readiness: Readiness,
    ticks: u64,
    retry_store_at: u64,
    retry_export_at: u64,
}

impl Committer {
    /// Opens the store and reads what it remembers.
    ///
    /// # Errors
    /// [`StoreError`], also when the registry means something else by what the store holds.
    pub fn open(
        place: StorePlace,
        plan: Arc<Plan>,
        clock: Clock,
        destination: Destination,
        published: Arc<Published>,
        readiness: Readiness,
    ) -> Result<Self, StoreError> {
        let mut committer = Self {
            catalogue: Catalogue::of(&plan),
            plan,
            clock,
            destination,
            store: None,
            place,
            ids: Ids::default(),
            closed: BTreeMap::new(),
            pending: Pending::default(),
            committed: None,
            published,
            readiness,
            ticks: 0,
            retry_store_at: 0,
            retry_export_at: 0,
        };
        let store = Store::open_or_create(&committer.place)?;
        committer.adopt(store)?;
        Ok(committer)
    }

    /// How many ids of committed reports are remembered.
    pub fn ids_held(&self) -> usize {
        self.ids.len()
    }

    /// Serves messages until [`Message::Stop`] or until nobody can send one any more. All that have arrived are looked
    /// at before a commit, so one commit serves many requests. The thread must have entered the runtime of those who wait.
    ///
    /// # Errors
    /// [`StoreError`] when the store can no longer be trusted: nothing is acknowledged after that.
    pub fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), StoreError> {
        let served = self.serve(&mut messages);
        self.readiness.set(false);
        served?;
        self.store.map_or(Ok(()), Store::close)
    }

    fn serve(&mut self, messages: &mut mpsc::Receiver<Message>) -> Result<(), StoreError> {
        let due = self.close_due_periods();
        self.unless_full(due)?;
        let mut stop = false;
        while !stop {
            let mut next = messages.blocking_recv();
            thread::sleep(self.committed.map_or(Duration::ZERO, |at| COLLECT.saturating_sub(at.elapsed())));
            stop = next.is_none();
            let (mut tick, mut tasks) = (None, Vec::new());
            while let Some(message) = next {
                match message {
                    Message::Offer(report, seat, waiter) => self.admit(report, seat, waiter),
                    Message::Tick(dealt_with) => tick = Some(dealt_with),
                    Message::Stop => stop = true,
                    task => tasks.push(task),
                }
                next = messages.try_recv().ok();
            }
            self.commit()?;
            if let Some(dealt_with) = tick {
                self.tick()?;
                // Nobody waits when the server is stopping.
                dealt_with.send(()).ok();
            }
            for task in tasks {
                self.perform(task)?;
            }
        }
        Ok(())
    }

    fn admit(&mut self, report: Report, seat: Seat, waiter: Waiter) {
        if self.closed.contains_key(&report.period) {
            // Its ids are gone, whatever the clock says now: it could be counted twice.
            waiter.tell(Answer::Rejected(Rejection::PeriodClosed));
        } else if self.ids.contains(report.period, &report.id) {
            waiter.tell(Answer::Counted);
        } else if self.store.is_none() {
            waiter.tell(Answer::Rejected(Rejection::StorageFull));
        } else {
            self.pending.offer(report, seat, waiter);
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let groups = self.pending.full_groups(&self.plan);
        if groups.is_empty() {
            return Ok(());
        }
        let committed = store.commit(&groups, &self.catalogue);
        if committed.is_ok() {
            for group in &groups {
                self.ids.extend(group.key().period, group.ids());
            }
            self.pending.settle(&groups);
            let reports = groups.iter().map(FullGroup::reports).sum();
            self.published.committed(reports, self.pending.reports(), self.ids.len());
            self.committed = Some(Instant::now());
        } else if matches!(committed, Err(StoreError::Full { .. })) {
            self.pending.refuse_waiters(&groups, Rejection::StorageFull);
        }
        self.unless_full(committed)
    }

    /// A full disk closes the store until there is room; any other failure is final.
    fn unless_full(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Err(error @ StoreError::Full { .. }) = result else { return result };
        warn!("{error}; reports are answered 503 until there is room");
        self.store = None;
        self.readiness.set(false);
        self.retry_store_at = self.ticks + FULL_RETRY_TICKS;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), StoreError> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(REJECTIONS_TICKS) {
            self.published.publish_rejections();
        }
        if self.store.is_none() {
            if self.ticks < self.retry_store_at {
                return Ok(());
            }
            let reopened = Store::open(&self.place).and_then(|store| self.adopt(store));
            if reopened.is_ok() {
                info!("there is room on the disk again");
            }
            self.unless_full(reopened)?;
            self.commit()?;
        }
        let closed = self.close_due_periods();
        self.unless_full(closed)
    }

    /// Makes an opened store this committer's, as after a start: only what the disk holds counts.
    fn adopt(&mut self, store: Store) -> Result<(), StoreError> {
        let snapshot = store.snapshot()?;
        snapshot.check_definitions(&self.catalogue)?;
        self.ids = snapshot.ids()?;
        inspect(&snapshot, &self.plan, &self.ids)?;
        self.closed = snapshot.closed()?;
        self.pending.forget(|period, id| self.ids.contains(period, id));
        self.store = Some(store);
        self.published.holds(self.pending.reports(), self.ids.len());
        self.readiness.set(true);
        Ok(())
    }

    /// Ends the periods whose grace is over: the remainder is given up, the ids leave the disk, the counters are
    /// exported. Each step is noted in the store, so that a crash between them is made good at the next start.
    fn close_due_periods(&mut self) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let now_s = self.clock.now_s();
        let held = &self.ids.periods() | &self.pending.periods();
        for &period in held.iter().filter(|period| period.acceptance_end() <= now_s) {
            if self.closed.contains_key(&period) {
                continue;
            }
            let remainder = self.pending.remainder(period);
            store.close_period(period, &remainder, &self.catalogue)?;
            self.closed.insert(period, false);
            self.pending.drop_period(period);
            let dropped = remainder.values().sum();
            self.published.dropped(dropped);
            info!(%period, dropped, "period closed");
        }
        let forgotten: BTreeSet<Period> =
            self.ids.periods().into_iter().filter(|period| self.closed.contains_key(period)).collect();
        if !forgotten.is_empty() {
            store.forget_ids(&self.place, &forgotten)?;
            forgotten.iter().for_each(|&period| self.ids.forget(period));
            self.published.holds(self.pending.reports(), self.ids.len());
        }
        self.export_closed_periods()
    }

    fn export_closed_periods(&mut self) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let due: Vec<Period> = self.closed.iter().filter_map(|(&period, done)| (!done).then_some(period)).collect();
        if due.is_empty() || self.ticks < self.retry_export_at {
            return Ok(());
        }
        for period in due {
            let snapshot = store.snapshot()?;
            let series = snapshot.series()?.into_iter().filter(|key| key.period == period);
            match write_files(&snapshot, series, &self.destination) {
                Ok(files) => {
                    store.mark_exported(period)?;
                    self.closed.insert(period, true);
                    info!(%period, files = files.len(), "counters exported");
                }
                Err(ExportError::Store(error)) => return Err(error),
                Err(ExportError::Write(error)) => {
                    warn!("{error}; it is tried again every {EXPORT_RETRY_TICKS} seconds");
                    self.retry_export_at = self.ticks + EXPORT_RETRY_TICKS;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Serves an operator, who may have gone meanwhile.
    fn perform(&mut self, task: Message) -> Result<(), StoreError> {
        let full = StoreError::Full { path: self.place.path().to_owned() };
        match (task, &mut self.store) {
            (Message::Snapshot(reply), Some(store)) => drop(reply.send(store.snapshot())),
            (Message::Snapshot(reply), None) => drop(reply.send(Err(full))),
            (Message::Purge { dry_run, reply }, Some(store)) => {
                let purged = maintenance::purge(store, &self.place, &self.destination, dry_run);
                let (outcome, answer) = match purged {
                    // What the disk holds after a failed rewrite is found out as after any failed commit.
                    Err(MaintenanceError::Store(error)) => {
                        let refused = ControlError::Refused { message: error.to_string(), exit: error.exit() };
                        (Err(error), Err(refused.into()))
                    }
                    answer => (Ok(()), answer),
                };
                reply.send(answer).ok();
                self.unless_full(outcome)?;
            }
            (Message::Purge { reply, .. }, None) => drop(reply.send(Err(full.into()))),
            (Message::Offer(..) | Message::Tick(_) | Message::Stop, _) => {}
        }
        Ok(())
    }
}
