//! The part of a task that does not depend on its future: flags, counts, links.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use super::scheduler::Scheduler;
use crate::exec::Remote;

/// In the core's own queue. One that is done keeps the core's reference until the queue has let it go.
pub(super) const SCHEDULED: u8 = 1;
/// The future is gone; there is an output unless the handle took it or nobody wants it.
pub(super) const DONE: u8 = 1 << 1;
/// The next run drops the future instead of polling it: the core has seen `ABORTED`.
pub(super) const ENDING: u8 = 1 << 2;

/// A reference in the core's remote queue stands for a wake that the core has not seen yet.
const NOTIFIED: u64 = 1;
/// Somebody asked for the end of the task; always followed by a wake.
const ABORTED: u64 = 1 << 1;
/// The core's count has been added.
const MERGED: u64 = 1 << 2;
/// One reference.
const REFERENCE: u64 = 1 << 3;
const COUNT_SHIFT: u32 = 3;

/// What a header can do with a future whose type it has forgotten. All are for the core's thread, except `free`.
pub(super) struct Table {
    /// Polls the future; true if it is gone and its output is there.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops the future, and leaves the error of a cancelled task as output.
    pub(super) cancel: unsafe fn(NonNull<Header>),
    /// Moves the output, if there is one, to where the second pointer points: an `Option` of its type.
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the output, if there is one.
    pub(super) discard: unsafe fn(NonNull<Header>),
    /// Frees the memory; future and output are gone.
    pub(super) free: unsafe fn(NonNull<Header>),
}

pub(super) struct Header {
    // Of the core's thread:
    /// `SCHEDULED`, `DONE` and `ENDING`; nothing else, so that "idle" and "to be polled" are one comparison each.
    flags: Cell<u8>,
    /// A `JoinHandle` exists.
    pub(super) joined: Cell<bool>,
    local: Cell<i64>,
    pub(super) queue_next: Cell<Option<NonNull<Header>>>,
    pub(super) list_previous: Cell<Option<NonNull<Header>>>,
    pub(super) list_next: Cell<Option<NonNull<Header>>>,
    pub(super) joiner: Cell<Option<Waker>>,
    // Of everybody:
    shared: AtomicU64,
    remote: Arc<Remote>,
    pub(super) table: &'static Table,
    /// What the future is polled with: a waker without a reference of its own.
    pub(super) waker: ManuallyDrop<Waker>,
}

impl Header {
    /// A task with two references, the core's and that of its handle, and the waker that is borrowed from it.
    pub(super) fn new(remote: Arc<Remote>, table: &'static Table, waker: ManuallyDrop<Waker>) -> Header {
        Header {
            flags: Cell::new(0),
            joined: Cell::new(true),
            local: Cell::new(2),
            queue_next: Cell::new(None),
            list_previous: Cell::new(None),
            list_next: Cell::new(None),
            joiner: Cell::new(None),
            shared: AtomicU64::new(0),
            remote,
            table,
            waker,
        }
    }

    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    #[inline]
    pub(super) fn set(&self, flag: u8) {
        self.flags.set(self.flags.get() | flag);
    }

    #[inline]
    pub(super) fn clear(&self, flag: u8) {
        self.flags.set(self.flags.get() & !flag);
    }

    /// Puts down that it is in the queue. False if it is there, or need not be.
    #[inline]
    pub(super) fn begin_waiting(&self) -> bool {
        let idle = self.flags.get() == 0;
        if idle {
            self.flags.set(SCHEDULED);
        }
        idle
    }

    /// Puts down that it has left the queue to be polled. False if it is not to be polled.
    #[inline]
    pub(super) fn begin_poll(&self) -> bool {
        let polled = self.flags.get() == SCHEDULED;
        if polled {
            self.flags.set(0);
        }
        polled
    }

    /// Whether the task is done, for any thread.
    pub(super) fn is_merged(&self) -> bool {
        self.shared.load(Ordering::Acquire) & MERGED != 0
    }

    /// The core has found the task in its remote queue.
    pub(super) fn see_notification(&self) {
        // Acquire: what was written before the wake is visible to the poll. Whoever wakes after this finds the
        // bit cleared and sends again.
        if self.shared.fetch_and(!NOTIFIED, Ordering::AcqRel) & ABORTED != 0 {
            self.set(ENDING);
        }
    }

    /// The core's thread counts with everybody else from now on.
    pub(super) fn merge(&self) {
        let local = self.local.take() as u64;
        self.shared.fetch_add(local.wrapping_mul(REFERENCE) | MERGED, Ordering::AcqRel);
    }

    /// One reference more.
    #[inline]
    fn retain(&self) {
        if self.counts_locally() {
            self.retain_locally();
        } else {
            self.shared.fetch_add(REFERENCE, Ordering::Relaxed);
        }
    }

    /// One reference more; for the core's thread, while the task is not done.
    #[inline]
    pub(super) fn retain_locally(&self) {
        self.local.set(self.local.get() + 1);
    }

    /// One reference less; as `retain_locally`. The core's own is left.
    #[inline]
    pub(super) fn release_locally(&self) {
        self.local.set(self.local.get() - 1);
    }

    /// Whether the calling thread may use the core's own count, and that count still applies.
    #[inline]
    fn counts_locally(&self) -> bool {
        // The flags only once it is known whose thread this is.
        Scheduler::is_current(&self.remote) && !self.has(DONE)
    }
}

/// A counted reference to a task, for any thread.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY:
// - what a `TaskRef` does on another thread than the core's uses the atomic word, the immutable fields and
//   the `Arc` only (`wake`, `abort`, `retain`, `drop`);
// - freeing, wherever it happens, drops no future and no output, since they are gone when a task is done, and
//   a task that is not done is referenced by its core.
unsafe impl Send for TaskRef {}
// SAFETY: as above; those methods take `&self` and are atomic.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// Takes over a reference that is counted.
    ///
    /// # Safety
    /// The pointer is to a live task, and the caller gives up one counted reference to it.
    #[inline]
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> TaskRef {
        TaskRef(header)
    }

    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Header> {
        std::mem::ManuallyDrop::new(self).0
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: a counted reference keeps the allocation alive, and headers are only used through `&`.
        unsafe { self.0.as_ref() }
    }

    /// Has the task run, keeping this reference.
    #[inline]
    pub(super) fn wake_by_ref(&self) {
        let remote = &self.header().remote;
        Scheduler::with_current(remote, |scheduler| match scheduler {
            Some(scheduler) => scheduler.schedule(self.0),
            None if self.notify() => remote.wake_task(self.clone()),
            None => {}
        });
    }

    /// Has the task run, giving this reference up.
    #[inline]
    pub(super) fn wake(self) {
        let header = self.header();
        let counted = Scheduler::with_current(&header.remote, |scheduler| {
            let Some(scheduler) = scheduler.filter(|_| !header.has(DONE)) else { return false };
            scheduler.schedule(self.0);
            // What `drop` does, without asking again whose thread this is.
            header.release_locally();
            true
        });
        if counted {
            std::mem::forget(self);
        } else {
            self.wake_elsewhere();
        }
    }

    /// Wakes from a thread that does not run the core, or too late.
    #[cold]
    #[inline(never)]
    fn wake_elsewhere(self) {
        if self.notify() {
            let remote = self.header().remote.clone();
            remote.wake_task(self);
        }
    }

    /// Marks a wake from a thread that does not run the core. True if the core is to be told.
    fn notify(&self) -> bool {
        self.header().shared.fetch_or(NOTIFIED, Ordering::AcqRel) & (NOTIFIED | MERGED) == 0
    }

    /// Has the next run drop the future.
    pub(super) fn abort(&self) {
        let header = self.header();
        if Scheduler::is_current(&header.remote) {
            header.set(ENDING);
        } else {
            header.shared.fetch_or(ABORTED, Ordering::Relaxed);
        }
        self.wake_by_ref();
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        self.header().retain();
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let header = self.header();
        if header.counts_locally() {
            // The core has a reference itself as long as the task is not done: this is not the last.
            header.release_locally();
        } else {
            release(self.0);
        }
    }
}

/// Gives up a reference that everybody counts.
#[cold]
#[inline(never)]
fn release(header: NonNull<Header>) {
    // SAFETY: the reference that is given up still keeps the allocation alive.
    let (shared, free) = unsafe { (&header.as_ref().shared, header.as_ref().table.free) };
    // AcqRel: everything that was done with the task happens before it is freed.
    let before = shared.fetch_sub(REFERENCE, Ordering::AcqRel);
    if before & MERGED != 0 && (before as i64) >> COUNT_SHIFT == 1 {
        // SAFETY: that was the last reference, and a task whose counts are merged is done: future and output
        // are gone, and nobody can reach the allocation.
        unsafe { free(header) };
    }
}
