//! The one door to the kernel, and back.
//!
//! ```text
//! down:  operation -> slot  ---\                          /---> slot  -> waker, or dropped if detached
//!                               >--> SQE -> ring -> CQE -<
//!        segment   -> frame ---/                          \---> frame -> resumed on the spot
//! ```
//!
//! The driver owns the ring, the slots, the standing cancel requests and the list of frame owners. It is
//! used through `&self` from a single thread; its parts are cells. The rule that makes this sound and free
//! of double borrows: nothing of the driver is borrowed while user code runs (a task, a waker, a continuation,
//! the Drop of a user's value). Each method takes what it needs out, and calls out last.

mod cancel;
pub(crate) mod direct;
pub(crate) mod key;
pub(crate) mod list;
mod owners;
mod registered;
mod slot;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

pub use key::Key;
use key::Kind;
pub(crate) use owners::Owner;
use owners::no_unwinding;
pub(crate) use slot::{Awaited, Held};
use slot::{Outcome, Slot, Slots};

use crate::exec::{TaskRef, message};
use crate::metrics::CoreCounters;
use crate::op::close::Close;
use crate::op::{Completion, Operation};
use crate::ring::{Cqe, Ring, Sqe};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The runtime ends: descriptors are still closed, nothing else is started.
    Closing,
    /// Drained: nobody will look at the ring again.
    Closed,
}

pub(crate) struct Driver {
    pub(crate) ring: Ring,
    pub(crate) counters: CoreCounters,
    slots: Slots,
    lists: list::Lists,
    direct: direct::Direct,
    cancels: cancel::Cancels,
    registered: registered::Registered,
    owners: owners::Owners,
    /// Operations that are in a slot but did not fit into the queue, oldest first.
    backlog: RefCell<VecDeque<Key>>,
    /// Whether there is any.
    backlogged: Cell<bool>,
    /// See [`Driver::is_straight`].
    straight: Cell<bool>,
    phase: Cell<Phase>,
    /// The bell was among the completions.
    bell: Cell<bool>,
}

impl Driver {
    pub(crate) fn new(ring: Ring) -> Driver {
        Driver {
            ring,
            counters: CoreCounters::default(),
            slots: Slots::new(),
            lists: list::Lists::default(),
            direct: direct::Direct::default(),
            cancels: cancel::Cancels::default(),
            registered: registered::Registered::default(),
            owners: owners::Owners::default(),
            backlog: RefCell::new(VecDeque::new()),
            backlogged: Cell::new(false),
            straight: Cell::new(true),
            phase: Cell::new(Phase::Open),
            bell: Cell::new(false),
        }
    }

    // ---- down ----

    /// Submits the operation that was just put into `slot`.
    #[inline]
    fn submit<T: Operation>(&self, slot: &Slot) {
        // Order is kept: nobody overtakes the backlog.
        if self.backlogged.get() {
            self.put_off(slot.key());
        } else {
            self.submit_straight::<T>(slot);
        }
    }

    /// [`submit`](Driver::submit) where nothing [stands in the way](Driver::is_straight).
    #[inline]
    fn submit_straight<T: Operation>(&self, slot: &Slot) {
        if !self.push(self.slots.prepare_new::<T>(slot)) {
            self.put_off(slot.key());
        }
    }

    /// [`submit`](Driver::submit) unless the runtime ends, or the kernel does not offer the operation: then it completes
    /// at once.
    fn submit_otherwise<T: Operation>(&self, slot: &Slot, offered: bool) {
        if offered && !self.is_closing() {
            self.submit::<T>(slot);
        } else {
            self.slots.refuse::<T>(slot, offered);
        }
    }

    /// Whether an operation may go straight into the queue: none waits before it, and the runtime does not end.
    #[inline]
    fn is_straight(&self) -> bool {
        self.straight.get()
    }

    fn find_way(&self) {
        self.straight.set(!self.backlogged.get() && !self.is_closing());
    }

    /// Keeps an operation that did not fit into the queue for later.
    #[cold]
    fn put_off(&self, key: Key) {
        self.backlog.borrow_mut().push_back(key);
        self.backlogged.set(true);
        self.find_way();
    }

    /// Queues one entry that was prepared by a slot, or that points to no memory; false if there is no room.
    #[inline]
    pub(crate) fn push(&self, sqe: Sqe) -> bool {
        let Ok(reservation) = self.ring.reserve(1) else { return false };
        // SAFETY: the place is reserved; it is written in full before the commit. What the entry points to belongs
        // to an operation in a slot, which stays there until the last completion; entries of other origin (cancel,
        // bell) point to no memory.
        unsafe {
            reservation.first().write(sqe);
            reservation.commit();
        }
        true
    }

    /// Has another core, of this ring and this bell, look around. False if that cannot be done from here.
    pub(crate) fn ring_other(&self, ring: RawFd, bell: RawFd) -> bool {
        self.phase.get() == Phase::Open
            && self.ring.capabilities().message_ring()
            && Key::unheard(bell).is_some_and(|unheard| self.push(message(ring, unheard)))
    }

    /// Closes a descriptor without waiting for it.
    pub(crate) fn close(&self, fd: OwnedFd) {
        self.submit_close(Close::new(fd));
    }

    /// As [`close`](Driver::close), where close(2) may wait.
    #[cold]
    pub(crate) fn close_in_background(&self, fd: OwnedFd) {
        self.submit_close(Close::in_background(fd));
    }

    #[inline]
    fn submit_close(&self, close: Close) {
        match self.phase.get() {
            // Also while the runtime ends: the drain waits for it.
            Phase::Open | Phase::Closing => self.submit::<Close>(self.slots.insert(|| close, None)),
            Phase::Closed => drop(close),
        }
    }

    /// Closes a descriptor that came out of the kernel and that nobody took.
    fn close_unwanted(&self, fd: i32) {
        // SAFETY: the descriptor was created for an operation with `Returns::Descriptor`, and its only
        // reader would have been the future that is gone.
        self.close(unsafe { OwnedFd::from_raw_fd(fd) });
    }

    /// Nobody waits for the operation in this slot any more: cancel it.
    fn detach(&self, slot: &Slot) {
        let key = slot.key();
        let (cancel, unwanted, _waiter) = self.slots.detach(slot);
        if cancel {
            self.cancels.add(key);
        }
        for fd in unwanted {
            self.close_unwanted(fd);
        }
    }

    /// Wants a slot's or a frame's operations cancelled: asked from the next turn on, until nothing of it is
    /// in flight.
    pub(crate) fn cancel(&self, key: Key) {
        self.cancels.add(key);
    }

    // ---- back ----

    /// Handles the completions that are there now; those that arrive meanwhile wait for the next turn. So do
    /// those after one whose waker or destructor panics.
    ///
    /// `wake` wakes a task of this core; it runs no foreign code.
    #[inline]
    pub(crate) fn reap(&self, wake: impl Fn(TaskRef)) {
        let queues = self.ring.queues();
        #[cfg(feature = "injector")]
        self.ring.injector.due().into_iter().for_each(|cqe| self.dispatch(cqe));
        let until = queues.cq_tail();
        self.ring.counters.completions.add(u64::from(until.wrapping_sub(queues.consumed())));
        if queues.overflowed() {
            self.ring.counters.overflows.add(1);
        }
        while let Some(&(mut cqe)) = queues.peek(until) {
            if let Some(region) = self.region(cqe.user_data) {
                // SAFETY: a region is listed exactly as long as its owner is registered, which keeps it alive;
                // `advance` runs no foreign code.
                if unsafe { region.as_ref() }.advance(queues, until) {
                    let owner =
                        self.owner(Key::split(cqe.user_data).0).expect("a listed region has its owner");
                    no_unwinding(|| owner.take_over(until));
                    continue;
                }
                let Some(&next) = queues.peek(until) else { break };
                // What it has left is for its owner, unless it is somebody else's.
                if self.region(next.user_data) != Some(region) {
                    continue;
                }
                cqe = next;
            } else if self.reap_tasks(until, &wake) {
                continue;
            }
            queues.consume();
            #[cfg(feature = "injector")]
            let Some(cqe) = self.ring.injector.completing(cqe) else { continue };
            self.dispatch(cqe);
        }
        queues.publish_head();
    }

    /// Handles completions as long as each is the only one of an operation that a task of this core waits for, or one of
    /// a list that such a task waits for. False if not even the first was.
    #[inline]
    fn reap_tasks(&self, until: u32, wake: &impl Fn(TaskRef)) -> bool {
        #[cfg(feature = "injector")]
        if !self.ring.injector.is_idle() {
            return false;
        }
        let places = self.slots.places();
        let mut woke_nobody = 0;
        let taken = self.ring.queues().take_while(until, |cqe| {
            let task = Slots::complete_task(places, cqe).map(Some).or_else(|| self.lists.complete_task(cqe));
            let is_task = task.is_some();
            match task {
                Some(Some(task)) => wake(task),
                Some(None) => woke_nobody += 1,
                None => {}
            }
            is_task
        });
        self.counters.wakes.add(u64::from(taken - woke_nobody));
        taken > 0
    }

    /// Whether the bell has rung since this was last asked.
    pub(crate) fn take_bell(&self) -> bool {
        self.bell.replace(false)
    }

    /// Hands a completion to whom it belongs.
    fn dispatch(&self, cqe: Cqe) {
        let (key, step) = Key::split(cqe.user_data);
        match key.kind() {
            Kind::Frame => match self.owner(key) {
                Some(owner) => {
                    no_unwinding(|| owner.completed(key, step, Completion::new(cqe.res, cqe.flags)));
                }
                None => self.ring.counters.strays.add(1),
            },
            Kind::List => self.complete_list(cqe),
            Kind::Slot => self.complete_slot(Key::of_completion(cqe.user_data), cqe),
            Kind::Cancel | Kind::Direct => {}
            Kind::Bell => self.bell.set(true),
            // The enter has ended, which is all it was for.
            Kind::Heard => self.counters.bells.add(1),
            Kind::Unheard if cqe.res < 0 => crate::exec::ring(key.index() as RawFd),
            Kind::Unheard => {}
            Kind::Unknown => self.ring.counters.strays.add(1),
        }
    }

    fn complete_slot(&self, key: Key, cqe: Cqe) {
        match self.slots.complete(key, cqe.res, cqe.flags) {
            Outcome::Wake(waiter) => {
                self.counters.wakes.add(1);
                waiter.wake();
            }
            Outcome::Nothing => {}
            Outcome::Unwanted { descriptor, last } => self.complete_detached(key, descriptor, last),
            Outcome::Stray => self.ring.counters.strays.add(1),
        }
    }

    #[cold]
    fn complete_detached(&self, key: Key, descriptor: Option<i32>, last: bool) {
        if let Some(fd) = descriptor {
            self.close_unwanted(fd);
        }
        if last {
            self.slots.finish_detached(key);
        }
    }

    /// Submits operations that did not fit earlier.
    #[inline]
    pub(crate) fn run_backlog(&self) {
        if self.backlogged.get() {
            self.submit_backlog();
        }
    }

    #[cold]
    fn submit_backlog(&self) {
        loop {
            let Some(key) = self.backlog.borrow().front().copied() else { break };
            // Room first: preparing lends the operation's memory for the entry that is pushed.
            if self.ring.reserve(1).is_err() {
                return;
            }
            let submitted = match key.kind() {
                Kind::List => self.submit_list(key),
                Kind::Direct => self.push_close(key),
                _ => self.slots.prepare(key).is_none_or(|sqe| self.push(sqe)),
            };
            if !submitted {
                return;
            }
            self.backlog.borrow_mut().pop_front();
        }
        self.backlogged.set(false);
        self.find_way();
    }

    /// Whether something waits for its turn on this side of the ring.
    pub(crate) fn has_ready(&self) -> bool {
        #[cfg(feature = "injector")]
        if self.ring.injector.holds() {
            return true;
        }
        self.owners.has_ready() || self.backlogged.get()
    }

    /// Whether a turn has something to ask of the kernel that nobody waits for: places to be closed, operations to be
    /// cancelled.
    #[inline]
    pub(crate) fn has_chores(&self) -> bool {
        self.direct.has_left() || self.cancels.are_standing()
    }

    /// Operations in flight, those of frames not counted.
    pub(crate) fn operations(&self) -> u32 {
        self.slots.live() + self.lists.live()
    }

    /// From now on nothing new is taken, and every frame ends.
    pub(crate) fn begin_closing(&self) {
        self.phase.set(Phase::Closing);
        self.find_way();
        // A future that was leaked, or that lies about outside of any task, will never be dropped in time.
        for key in self.slots.lasting().into_iter().chain(self.lists.held()) {
            self.cancels.add(key);
        }
        self.owners.shut_down();
    }

    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// Whether the kernel may still touch memory of this ring's slots or frames.
    pub(crate) fn is_drained(&self) -> bool {
        self.operations() == 0 && self.owners.are_idle()
    }

    /// Nothing reaches the ring from now on.
    pub(crate) fn close_door(&self) {
        self.phase.set(Phase::Closed);
        self.unmake_table();
        self.ring.close();
    }
}
