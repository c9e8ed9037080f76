//! One io_uring: set up, probed, entered.
//!
//! The `io-uring` crate owns the descriptor, registers and probes; the queues are mapped a second time by
//! [`queue`], because copying entries in and out costs more than everything else an echo does. A [`Ring`]
//! belongs to the thread that made it: with SINGLE_ISSUER the kernel refuses every other.
//!
//! There is one way to submit: [`Ring::reserve`] a list of entries, write them in place, commit. A list is
//! reserved whole or not at all and published by one store of the tail, so that a chain of linked entries
//! never crosses a submission (a link ends where the submission ends, liburing issue 510).

pub(crate) mod capabilities;
mod enter;
mod map;
mod polled;
mod prepared;
mod queue;
pub(crate) mod setup;
pub(crate) mod sqe;

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::time::Duration;

use io_uring::IoUring;

use crate::events;
use crate::metrics::RingCounters;
use crate::op::Facts;
use capabilities::{Capabilities, Opcodes};
use enter::EnterAs;
pub(crate) use prepared::{Prepared, transfer_len};
pub(crate) use queue::{Cqe, Queues, Row};
pub(crate) use sqe::Sqe;

/// The longest list that can be reserved.
const LONGEST_LIST: usize = 16;

/// How long an enter may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all: submit, run what is pending, come back.
    No,
    /// Until there is a completion, or this time has passed.
    AtMost(Duration),
    /// Until there is a completion.
    Forever,
}

/// Why a list of entries could not be reserved now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full and the kernel takes nothing at the moment (EBUSY, EAGAIN, ENOMEM): try again
    /// after completions have been reaped.
    Later,
    /// The list is longer than the queue.
    TooLong,
}

pub(crate) struct Ring {
    queues: Queues,
    capabilities: Capabilities,
    opcodes: Opcodes,
    enter_as: EnterAs,
    wait_flags: u32,
    /// Where a list is written that goes round the end of the queue.
    aside: UnsafeCell<[Sqe; LONGEST_LIST]>,
    /// With a poller: the tail up to which submissions are counted.
    polled: Option<Cell<u32>>,
    /// An enter failed in a way that says "reap first"; cleared by the next enter that succeeds.
    congested: Cell<bool>,
    /// Nothing is submitted any more.
    closed: Cell<bool>,
    pub(crate) counters: RingCounters,
    #[cfg(feature = "injector")]
    pub(crate) injector: crate::injector::Injector,
    io: IoUring,
}

impl Ring {
    fn new(
        io: IoUring,
        enter_as: Option<EnterAs>,
        capabilities: Capabilities,
        polled: bool,
        opcodes: Opcodes,
    ) -> io::Result<Ring> {
        let queues = Queues::map(io.as_raw_fd(), io.params())?;
        let no_iowait = if capabilities.no_iowait() { enter::NO_IOWAIT } else { 0 };
        Ok(Ring {
            queues,
            capabilities,
            opcodes,
            enter_as: enter_as.unwrap_or(EnterAs::descriptor(io.as_raw_fd())),
            wait_flags: enter::GETEVENTS | no_iowait,
            aside: UnsafeCell::new([Sqe::new(0); LONGEST_LIST]),
            polled: polled.then(Cell::default),
            congested: Cell::new(false),
            closed: Cell::new(false),
            counters: RingCounters::default(),
            #[cfg(feature = "injector")]
            injector: Default::default(),
            io,
        })
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// A second descriptor of the ring.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // SAFETY: the ring's own descriptor, open for as long as the ring.
        unsafe { BorrowedFd::borrow_raw(self.fd()) }.try_clone_to_owned()
    }

    /// Whether an operation with these facts can be submitted: the kernel has its opcode, and what else it
    /// needs was found and not masked.
    #[inline]
    pub(crate) fn offers(&self, facts: &Facts) -> bool {
        self.opcodes.has(facts.opcode) && facts.needs.is_none_or(|needed| self.capabilities.has(needed))
    }

    /// To register memory or files with the ring.
    pub(crate) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.io.submitter()
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the ring, which is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.fd()) }
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Room for a list of `n` entries in a row, all or none. The queue is flushed if it has to be.
    #[inline]
    pub(crate) fn reserve(&self, n: u32) -> Result<Reservation<'_>, Refused> {
        #[cfg(feature = "injector")]
        if self.injector.is_full() {
            return Err(Refused::Later);
        }
        match self.queues.vacant(n) {
            Some(first) => Ok(Reservation { ring: self, first, n, aside: false }),
            None => self.make_room(n),
        }
    }

    #[cold]
    fn make_room(&self, n: u32) -> Result<Reservation<'_>, Refused> {
        if n > self.longest_list() {
            return Err(Refused::TooLong);
        }
        if self.closed.get() {
            return Err(Refused::Later);
        }
        // What is known of the kernel's head may be old: look before entering.
        if self.queues.look_for_room() < n && !self.congested.get() {
            self.counters.flushes.add(1);
            // An error shows as entries left in the queue.
            let _ = if self.polled.is_some() { self.wait_for_room(n) } else { self.enter(0, 0, None) };
        }
        if self.queues.look_for_room() < n {
            return Err(Refused::Later);
        }
        Ok(match self.queues.vacant(n) {
            Some(first) => Reservation { ring: self, first, n, aside: false },
            // The list goes round the end of the queue: it is written aside and copied in.
            None => Reservation { ring: self, first: NonNull::from(&self.aside).cast(), n, aside: true },
        })
    }

    /// Grants no more reservations: nobody looks at this ring again.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.queues.forget_room();
    }

    /// The longest list that [`reserve`](Ring::reserve) can ever grant.
    pub(crate) fn longest_list(&self) -> u32 {
        self.queues.sq_entries().min(LONGEST_LIST as u32)
    }

    /// Submits everything that is queued, then waits as told. Signals, a full CQ and a lack of kernel memory
    /// end the wait early and are not errors: the caller reaps and comes back.
    #[inline]
    pub(crate) fn submit_and_wait(&self, wait: Wait) -> io::Result<()> {
        // Never sleep over a completion that is already there.
        let ready = self.queues.has_completion() || self.queues.overflowed();
        let wait = if ready { Wait::No } else { wait };
        let result = match wait {
            _ if self.polled.is_some() => self.enter_polled(wait),
            Wait::No => self.enter(0, self.wait_flags, None),
            Wait::Forever => self.enter(1, self.wait_flags, None),
            Wait::AtMost(limit) => self.enter(1, self.wait_flags, Some(limit)),
        };
        result.or_else(Ring::excuse)
    }

    /// What is no error of an enter: see [`submit_and_wait`](Ring::submit_and_wait).
    #[cold]
    fn excuse(error: io::Error) -> io::Result<()> {
        match error.raw_os_error() {
            Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN | libc::ENOMEM) => Ok(()),
            _ => Err(error),
        }
    }

    /// Whether there are completions, here or to be fetched by an enter.
    pub(crate) fn has_news(&self) -> bool {
        self.queues.has_completion() || self.queues.kernel_has_work()
    }

    /// Whether an enter would have anything to do besides waiting.
    pub(crate) fn wants_enter(&self) -> bool {
        if self.polled.is_some() {
            return self.wants_enter_polled();
        }
        self.queues.kernel_has_work() || self.queues.unsubmitted() > 0
    }

    #[inline]
    fn enter(&self, want: u32, flags: u32, limit: Option<Duration>) -> io::Result<()> {
        self.counters.enters.add(1);
        #[cfg(feature = "injector")]
        let entered = match self.injector.enter_error() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => self.enter_kernel(want, flags, limit),
        };
        #[cfg(not(feature = "injector"))]
        let entered = self.enter_kernel(want, flags, limit);
        let submitted = entered.inspect_err(|error| self.refused(error))?;
        if self.polled.is_none() {
            self.counters.submitted.add(u64::from(submitted));
        }
        self.congested.set(false);
        Ok(())
    }

    /// An enter has failed.
    #[cold]
    fn refused(&self, error: &io::Error) {
        if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::ENOMEM)) {
            self.congested.set(true);
            self.counters.congested.add(1);
            events::warning!(%error, "the kernel takes no submissions until completions are reaped");
        }
    }

    #[inline]
    fn enter_kernel(&self, want: u32, flags: u32, limit: Option<Duration>) -> io::Result<u32> {
        self.queues.publish_head();
        // SAFETY: every published entry was vouched for by `Reservation::commit`.
        unsafe { self.enter_as.enter(self.queues.unsubmitted(), want, flags, limit) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.enter_as.unregister(self.io.as_raw_fd());
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("fd", &self.fd()).field("queues", &self.queues).finish_non_exhaustive()
    }
}

/// Room for `n` entries behind the tail. Dropping it without a commit gives the room back.
pub(crate) struct Reservation<'r> {
    ring: &'r Ring,
    first: NonNull<Sqe>,
    n: u32,
    /// Whether the entries are written beside the queue.
    aside: bool,
}

impl Reservation<'_> {
    /// The place of the first entry; those of the others follow it. To be written in full before the commit.
    #[inline]
    pub(crate) fn first(&self) -> NonNull<Sqe> {
        self.first
    }

    /// Publishes all `n` entries at once.
    ///
    /// # Safety
    /// - every place has been written completely;
    /// - what the entries point to stays valid until the last completion of each.
    #[inline]
    pub(crate) unsafe fn commit(self) {
        #[cfg(feature = "injector")]
        for i in 0..self.n as usize {
            // SAFETY: a place of this reservation, written by the caller. What is altered names no new memory.
            self.ring.injector.submitting(unsafe { self.first.add(i).as_mut() });
        }
        let queues = &self.ring.queues;
        if self.aside {
            // SAFETY: `make_room` has set the room aside, in `Ring::aside`, and the caller has written it; one
            // reservation exists at a time, because no user code runs while it is held. There is room in the
            // queue, which was checked when the reservation was made; the tail has not moved since.
            unsafe { queues.copy_in(std::slice::from_raw_parts(self.first.as_ptr(), self.n as usize)) };
        }
        // SAFETY: the room was checked, and the entries are written; the rest is the caller's promise.
        unsafe { queues.publish(self.n) };
        if self.aside {
            // The tail has gone past the end of the row that was known.
            queues.look_for_room();
        }
    }
}
