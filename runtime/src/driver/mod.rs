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
mod registered;
mod slot;

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

pub use key::Key;
use key::{Kind, MAX_OWNERS};
pub(crate) use slot::{Awaited, Held};
use slot::{Outcome, Slot, Slots};

use crate::exec::message;
use crate::frame::Region;
use crate::metrics::CoreCounters;
use crate::op::close::Close;
use crate::op::{Completion, Operation};
use crate::ring::{Cqe, Ring, Sqe};

/// Whoever owns frames: told of their completions. Implemented by the frames' region together with the runner of
/// its program.
///
/// No method may panic; each may do whatever else it likes, with nothing of the driver borrowed.
pub(crate) trait Owner {
    /// Member `step` of the frame `key` has completed. The key is not yet checked.
    fn completed(&self, key: Key, step: u32, completion: Completion);

    /// The turn of a frame that was put into the ready queue has come.
    fn ready(&self, key: Key);

    /// Whether the frame still has something in flight.
    fn in_flight(&self, key: Key) -> bool;

    /// Queues the requests that cancel what the frame has in flight; false if there was no room.
    fn ask_cancel(&self, key: Key) -> bool;

    /// The runtime ends: cancel every frame.
    fn shut_down(&self);

    /// Whether nothing of any frame is in flight, and none waits for its turn.
    fn is_idle(&self) -> bool;

    /// The frames' region, which lives as long as the owner.
    fn region(&self) -> &Region;

    /// Does what the region could not do by itself for the frame that it has left.
    fn take_over(&self);
}

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
    owners: RefCell<Slab<Rc<dyn Owner>>>,
    /// The regions of `owners`, by the same number.
    regions: UnsafeCell<Vec<Option<NonNull<Region>>>>,
    /// The last generation that frames of a number had, whose owner is gone: the next owner's go on from there.
    generations: RefCell<Vec<u32>>,
    /// Operations that are in a slot but did not fit into the queue, oldest first.
    backlog: RefCell<VecDeque<Key>>,
    /// Whether there is any.
    backlogged: Cell<bool>,
    /// Frames that go on in a later turn: out of fuel, or refused by a full queue.
    ready: RefCell<VecDeque<Key>>,
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
            owners: RefCell::new(Slab::new()),
            regions: UnsafeCell::new(Vec::new()),
            generations: RefCell::new(Vec::new()),
            backlog: RefCell::new(VecDeque::new()),
            backlogged: Cell::new(false),
            ready: RefCell::new(VecDeque::new()),
            phase: Cell::new(Phase::Open),
            bell: Cell::new(false),
        }
    }

    // ---- down ----

    /// Submits the operation that `take` gives, for whoever has this waker; detached if there is none.
    #[inline]
    fn submit<T: Operation>(&self, take: impl FnOnce() -> T, waker: Option<Waker>) -> &Slot {
        let slot = self.slots.insert(take, waker);
        // Order is kept: nobody overtakes the backlog.
        if self.backlogged.get() || !self.push(self.slots.prepare_new::<T>(slot)) {
            self.put_off(slot.key());
        }
        slot
    }

    /// Keeps an operation that did not fit into the queue for later.
    #[cold]
    fn put_off(&self, key: Key) {
        self.backlog.borrow_mut().push_back(key);
        self.backlogged.set(true);
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
        match self.phase.get() {
            // Also while the runtime ends: the drain waits for it.
            Phase::Open | Phase::Closing => {
                self.submit(|| Close::new(fd), None);
            }
            Phase::Closed => drop(fd),
        }
    }

    /// Closes a descriptor that came out of the kernel and that nobody took.
    fn close_unwanted(&self, fd: i32) {
        // SAFETY: the descriptor was created for an operation with `Returns::Descriptor`, and its only
        // reader would have been the future that is gone.
        self.close(unsafe { OwnedFd::from_raw_fd(fd) });
    }

    /// Nobody waits for this operation any more: cancel it.
    pub(crate) fn detach(&self, key: Key) {
        let (cancel, unwanted, _waker) = self.slots.detach(key);
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

    /// Lets a frame go on in the next turn.
    pub(crate) fn make_ready(&self, key: Key) {
        self.ready.borrow_mut().push_back(key);
    }

    // ---- owners of frames ----

    /// Registers an owner under a number made known to it before, or refuses if there are too many. The second
    /// number is the generation that its frames go on from, because keys of an earlier owner may still be around:
    /// in requests to cancel, in timers.
    pub(crate) fn add_owner(
        &self,
        make: impl FnOnce(u32, u32) -> Rc<dyn Owner>,
    ) -> Result<(), TooManyOwners> {
        let number = self.owners.borrow().vacant_key();
        if number >= MAX_OWNERS as usize || self.is_closing() {
            return Err(TooManyOwners);
        }
        let generation = self.generations.borrow().get(number).copied().unwrap_or(0);
        let owner = make(number as u32, generation);
        self.set_region(number, Some(NonNull::from(owner.region())));
        let inserted = self.owners.borrow_mut().insert(owner);
        assert_eq!(inserted, number, "an owner was registered by the making of another");
        Ok(())
    }

    pub(crate) fn remove_owner(&self, number: u32) {
        self.set_region(number as usize, None);
        let removed = self.owners.borrow_mut().try_remove(number as usize);
        if let Some(owner) = &removed {
            let mut generations = self.generations.borrow_mut();
            let len = generations.len().max(number as usize + 1);
            generations.resize(len, 0);
            generations[number as usize] = owner.region().last_generation();
        }
        drop(removed);
    }

    fn set_region(&self, number: usize, region: Option<NonNull<Region>>) {
        // SAFETY: one thread, and nobody keeps a reference into the vector: `reap` copies a pointer out of it.
        let regions = unsafe { &mut *self.regions.get() };
        if regions.len() <= number {
            regions.resize(number + 1, None);
        }
        regions[number] = region;
    }

    fn owner(&self, key: Key) -> Option<Rc<dyn Owner>> {
        self.owners.borrow().get(key.owner() as usize).cloned()
    }

    // ---- back ----

    /// Handles the completions that are there now; those that arrive meanwhile wait for the next turn. So do
    /// those after one whose waker or destructor panics.
    ///
    /// `wake` wakes whoever waited for an operation: the core knows its own tasks.
    #[inline]
    pub(crate) fn reap(&self, wake: impl Fn(Waker)) {
        let queues = self.ring.queues();
        self.ring.counters.completions.add(u64::from(queues.waiting()));
        if queues.overflowed() {
            self.ring.counters.overflows.add(1);
        }
        #[cfg(feature = "injector")]
        self.ring.injector.due().into_iter().for_each(|cqe| self.dispatch(cqe, &wake));
        let until = queues.cq_tail();
        while let Some(&(mut cqe)) = queues.peek(until) {
            if let Some(key) = self.slot_key(cqe.user_data) {
                queues.consume();
                self.complete_slot(key, cqe, &wake);
                continue;
            }
            if let Some(region) = self.region(cqe.user_data) {
                // SAFETY: a region is listed exactly as long as its owner is registered, which keeps it alive;
                // `advance` runs no foreign code.
                if unsafe { region.as_ref() }.advance(queues, until) {
                    let owner =
                        self.owner(Key::split(cqe.user_data).0).expect("a listed region has its owner");
                    no_unwinding(|| owner.take_over());
                    continue;
                }
                let Some(&next) = queues.peek(until) else { break };
                cqe = next;
            }
            queues.consume();
            #[cfg(feature = "injector")]
            let Some(cqe) = self.ring.injector.completing(cqe) else { continue };
            self.dispatch(cqe, &wake);
        }
        queues.publish_head();
    }

    /// Whether the bell has rung since this was last asked.
    pub(crate) fn take_bell(&self) -> bool {
        self.bell.replace(false)
    }

    /// The key of the slot that a completion belongs to, if it is a slot's.
    #[inline]
    fn slot_key(&self, user_data: u64) -> Option<Key> {
        #[cfg(feature = "injector")]
        if !self.ring.injector.is_idle() {
            return None;
        }
        Key::of_slot(user_data)
    }

    /// The region whose frame a completion belongs to, if it is a frame's.
    #[inline]
    fn region(&self, user_data: u64) -> Option<NonNull<Region>> {
        #[cfg(feature = "injector")]
        if !self.ring.injector.is_idle() {
            return None;
        }
        let (key, _) = Key::split(user_data);
        if key.kind() != Kind::Frame {
            return None;
        }
        // SAFETY: one thread, and the vector changes in `set_region` only, which runs no foreign code.
        let regions = unsafe { &*self.regions.get() };
        *regions.get(key.owner() as usize)?
    }

    /// Hands a completion to whom it belongs.
    fn dispatch(&self, cqe: Cqe, wake: &impl Fn(Waker)) {
        let (key, step) = Key::split(cqe.user_data);
        match key.kind() {
            Kind::Frame => match self.owner(key) {
                Some(owner) => {
                    no_unwinding(|| owner.completed(key, step, Completion::new(cqe.res, cqe.flags)));
                }
                None => self.ring.counters.strays.add(1),
            },
            Kind::List => self.complete_list(key, step, cqe.res),
            Kind::Slot => self.complete_slot(key, cqe, wake),
            Kind::Cancel | Kind::Direct => {}
            Kind::Bell => self.bell.set(true),
            // The enter has ended, which is all it was for.
            Kind::Heard => self.counters.bells.add(1),
            Kind::Unheard if cqe.res < 0 => crate::exec::ring(key.index() as RawFd),
            Kind::Unheard => {}
            Kind::Unknown => self.ring.counters.strays.add(1),
        }
    }

    #[inline]
    fn complete_slot(&self, key: Key, cqe: Cqe, wake: &impl Fn(Waker)) {
        match self.slots.complete(key, cqe.res, cqe.flags) {
            Outcome::Wake(Some(waker)) => {
                self.counters.wakes.add(1);
                wake(waker);
            }
            Outcome::Wake(None) => {}
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

    /// Lets frames go on that were put off, at most as many as were waiting when this was called.
    #[inline]
    pub(crate) fn run_ready(&self) {
        let waiting = self.ready.borrow().len();
        if waiting > 0 {
            self.run_some_ready(waiting);
        }
    }

    fn run_some_ready(&self, waiting: usize) {
        for _ in 0..waiting {
            let Some(key) = self.ready.borrow_mut().pop_front() else { break };
            if let Some(owner) = self.owner(key) {
                no_unwinding(|| owner.ready(key));
            }
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
    }

    /// Whether something waits for its turn on this side of the ring.
    pub(crate) fn has_ready(&self) -> bool {
        #[cfg(feature = "injector")]
        if self.ring.injector.holds() {
            return true;
        }
        !self.ready.borrow().is_empty() || self.backlogged.get()
    }

    /// Operations in flight, those of frames not counted.
    pub(crate) fn operations(&self) -> u32 {
        self.slots.live() + self.lists.live()
    }

    /// From now on nothing new is taken, and every frame ends.
    pub(crate) fn begin_closing(&self) {
        self.phase.set(Phase::Closing);
        // A future that was leaked, or that lies about outside of any task, will never be dropped in time.
        for key in self.slots.lasting().into_iter().chain(self.lists.held()) {
            self.cancels.add(key);
        }
        let owners: Vec<_> = self.owners.borrow().iter().map(|(_, owner)| owner.clone()).collect();
        for owner in owners {
            owner.shut_down();
        }
    }

    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// Whether the kernel may still touch memory of this ring's slots or frames.
    pub(crate) fn is_drained(&self) -> bool {
        self.operations() == 0 && self.owners.borrow().iter().all(|(_, owner)| owner.is_idle())
    }

    /// Lets go of the frames' owners once their frames are free. What they own may need closing: drain again.
    pub(crate) fn forget_owners(&self) {
        let owners = std::mem::take(&mut *self.owners.borrow_mut());
        owners.iter().for_each(|(number, _)| self.set_region(number, None));
        drop(owners);
    }

    /// Nothing reaches the ring from now on.
    pub(crate) fn close_door(&self) {
        self.phase.set(Phase::Closed);
        self.unmake_table();
        self.ring.close();
    }
}

/// Runs an owner's method. One that panicked would leave a frame that nobody can resume: there is no going on.
#[inline]
fn no_unwinding(run: impl FnOnce()) {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    run();
    std::mem::forget(abort);
}

/// The ring serves as many programs as a key can tell apart, or is ending.
#[derive(Debug)]
pub(crate) struct TooManyOwners;
