//! Slots: where an operation lives while the kernel works on it.
//!
//! Ownership: from submission to the last completion the slot owns the operation, and with it every buffer,
//! path or descriptor that the kernel may touch. The future only has the slot's place. Slots never move (they live
//! in chunks, see [`chunk`]), so an operation may keep inline what the kernel reads.
//!
//! ```text
//!            insert             last completion            take
//!   Free ------------> held: -------------------> Done ------------> Free
//!                      Task, Waker or Told         |
//!                        |  detach                 |  detach
//!                        v                         v
//!                     Detached --------------> (operation dropped, Free)
//!                               last completion
//! ```
//!
//! When the runtime's memory goes, what a future still holds becomes `Orphan`, if it is done, and `Lost` if it is not.
//!
//! Operations and wakers are the user's types: their Drop runs user code, which may come back here. So no
//! reference into a slot is held across it; a slot whose operation is being dropped is neither free nor
//! reachable by a key.

mod chunk;
pub(super) mod erased;
mod held;
mod prepare;
mod state;

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::NonNull;

use io_uring::opcode;

use super::key::Key;
use crate::exec::{TaskRef, Waiter};
use crate::op::{Completion, F_MORE, F_NOTIF, Operation, Returns};
use crate::ring::Cqe;
use erased::{Store, Stored, Table, TableOf};
pub(crate) use held::{Awaited, Held};
use state::State;

/// A cache line of what the runtime works with, then the operation.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// The name of this use of the slot, or of the next one while it is free.
    key: Cell<Key>,
    state: Cell<State>,
    /// The last completion's result and flags, once it is there.
    last: Cell<(i32, u32)>,
    table: Cell<&'static Table>,
    /// In a free slot: the next one. In an orphan: its chunk.
    next_free: Cell<Option<NonNull<Slot>>>,
    /// Completions of a multishot operation before its last.
    early: Cell<Early>,
    store: Store,
}

const _: () = assert!(std::mem::offset_of!(Slot, store) == 64);

/// Boxed, since few operations ever need it.
type Early = Option<Box<VecDeque<(i32, u32)>>>;

/// What a completion led to; the caller acts on it with no slot borrowed.
pub(super) enum Outcome {
    /// A future waits.
    Wake(Waiter),
    /// A future is to be polled already, or has nothing to be polled for.
    Nothing,
    /// Nobody waits. The descriptor that arrived, if one did, is to be closed; and the operation dropped if
    /// this was its last completion.
    Unwanted { descriptor: Option<i32>, last: bool },
    /// The key belongs to nothing alive.
    Stray,
}

/// All slots of a ring.
pub(crate) struct Slots {
    /// Where each slot is, by its index.
    places: UnsafeCell<Vec<NonNull<Slot>>>,
    chunks: UnsafeCell<Vec<NonNull<chunk::Chunk>>>,
    free: Cell<Option<NonNull<Slot>>>,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots { places: UnsafeCell::default(), chunks: UnsafeCell::default(), free: Cell::new(None) }
    }

    /// Slots whose operation is in flight. Counted when it is asked for, and not with each operation.
    pub(crate) fn live(&self) -> u32 {
        self.all().filter(|slot| slot.state().is_in_flight()).count() as u32
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot> {
        // SAFETY: slots lie in leaked boxes, freed with the table at the earliest, and are only used through cells.
        Some(unsafe { self.places().get(index as usize)?.as_ref() })
    }

    /// The slot that `key` names, if it is still the same use of it.
    #[inline]
    fn find(&self, key: Key) -> Option<&Slot> {
        let slot = self.slot(key.index())?;
        (slot.key.get() == key && !matches!(slot.state(), State::Free)).then_some(slot)
    }

    /// Moves the operation that `take` gives into a free slot, for whoever waits.
    pub(super) fn insert<T: Operation>(&self, take: impl FnOnce() -> T, waiter: Option<Waiter>) -> &Slot {
        let free = self.first_free().unwrap_or_else(|| self.grow());
        self.fill(free, take, || waiter.map_or(State::Detached, State::from))
    }

    /// The slot to be filled next, if there is a free one.
    #[inline]
    fn first_free(&self) -> Option<NonNull<Slot>> {
        self.free.get()
    }

    /// Moves an operation into the slot that `first_free` or `grow` just gave. Nothing in here panics or is foreign.
    #[inline]
    fn fill<T: Operation>(
        &self,
        free: NonNull<Slot>,
        take: impl FnOnce() -> T,
        state: impl FnOnce() -> State,
    ) -> &Slot {
        // SAFETY: the free list names slots, which stay as long as the table and are only used through cells.
        let slot = unsafe { free.as_ref() };
        self.free.set(slot.next_free.get());
        // It was `Free`, which needs no drop.
        std::mem::forget(slot.state.replace(state()));
        if T::FACTS.returns == Returns::Notified {
            slot.last.set((0, 0));
        }
        slot.table.set(&TableOf::<T>::TABLE);
        // SAFETY: the slot was free, so its store is unoccupied.
        unsafe { Stored::<T>::put(slot.store.place(), take()) };
        slot
    }

    /// Takes note of a completion, if it is all that comes of an operation that a task of this core waits for, as nearly
    /// all are. `places` are those of the table.
    #[inline]
    pub(super) fn complete_task(places: &[NonNull<Slot>], cqe: &Cqe) -> Option<TaskRef> {
        // Whatever is not a slot's has no slot's key.
        let key = Key::of_completion(cqe.user_data);
        // SAFETY: as in `slot`.
        let slot = unsafe { places.get(key.index() as usize)?.as_ref() };
        if slot.key.get() != key || cqe.flags & (F_MORE | F_NOTIF) != 0 {
            return None;
        }
        match slot.state.replace(State::Done) {
            State::Task(task) => {
                slot.last.set((cqe.res, cqe.flags));
                Some(task)
            }
            other => {
                // `Done`, which needs no drop.
                std::mem::forget(slot.state.replace(other));
                None
            }
        }
    }

    /// Takes note of a completion of `key`.
    pub(super) fn complete(&self, key: Key, res: i32, flags: u32) -> Outcome {
        let Some(slot) = self.slot(key.index()).filter(|slot| slot.key.get() == key) else {
            return Outcome::Stray;
        };
        let last = flags & F_MORE == 0;
        let notified = slot.table.get().facts.returns == Returns::Notified;
        match slot.state() {
            State::Task(_) | State::Waker(_) | State::Told if last => {
                // A notification only says that the memory is free: the result is there already.
                if flags & F_NOTIF == 0 {
                    slot.last.set((res, flags));
                }
                Outcome::woken(slot.state.replace(State::Done))
            }
            State::Task(_) | State::Waker(_) | State::Told if notified => {
                slot.last.set((res, flags));
                Outcome::Nothing
            }
            State::Task(_) | State::Waker(_) | State::Told => {
                let mut early = slot.early.take().unwrap_or_default();
                early.push_back((res, flags));
                slot.early.set(Some(early));
                Outcome::woken(slot.state.replace(State::Told))
            }
            State::Detached => {
                if notified && !last {
                    slot.last.set((res, flags));
                }
                let descriptor = slot.unwanted(res, flags);
                Outcome::Unwanted { descriptor, last }
            }
            State::Done | State::Free | State::Orphan | State::Lost => Outcome::Stray,
        }
    }

    /// Drops the operation of a detached slot after its last completion.
    pub(super) fn finish_detached(&self, key: Key) {
        if let Some(slot) = self.find(key).filter(|slot| matches!(slot.state(), State::Detached)) {
            self.discard(slot);
        }
    }

    /// The result of a slot that is `Done`, and its operation; the slot is then free.
    ///
    /// # Safety
    /// The slot is one of these, was filled by `insert::<T>`, and the caller gives up its hold on it.
    #[inline]
    unsafe fn take<T: Operation>(&self, slot: &Slot) -> (T, Completion) {
        debug_assert_eq!((slot.table.get().type_id)(), TypeId::of::<T>(), "a slot of another operation");
        // SAFETY: the caller's promise; the slot is freed here.
        let result = unsafe { slot.take() };
        self.release(slot);
        result
    }

    /// The future of `slot` is gone. Says whether the operation is to be cancelled, and which descriptors
    /// arrived that nobody took; and gives the waiter, whose Drop may be anybody's, to be dropped last.
    pub(super) fn detach(&self, slot: &Slot) -> (bool, Vec<i32>, Option<Waiter>) {
        let unwanted = slot.leave();
        if matches!(slot.state(), State::Done) {
            self.discard(slot);
            return (false, unwanted, None);
        }
        debug_assert!(slot.state().is_held(), "a slot that no future held was let go by one");
        let waiter = slot.state.replace(State::Detached).waiter();
        // A close is never cancelled: its descriptor would have no owner left.
        (slot.table.get().facts.opcode != opcode::Close::CODE, unwanted, waiter)
    }

    /// The operations that will not end by themselves: a future still waits for them, or they wait for their
    /// notification.
    pub(super) fn lasting(&self) -> Vec<Key> {
        let lasts = |slot: &&Slot| {
            let is_close = slot.table.get().facts.opcode == opcode::Close::CODE;
            slot.state().is_held() && !is_close || slot.is_notifying()
        };
        self.all().filter(lasts).map(Slot::key).collect()
    }

    /// Whether the result of `key` is there, and only its notification to come.
    pub(super) fn is_notifying(&self, key: Key) -> bool {
        self.find(key).is_some_and(Slot::is_notifying)
    }

    /// Makes the kernel let go of the memory of `key`, which waits for its notification.
    pub(super) fn abort(&self, key: Key) {
        if let Some(slot) = self.find(key).filter(|slot| slot.is_notifying()) {
            // SAFETY: a live slot holds an operation of the table's type, and for one with a notification the
            // kernel reads its memory only.
            unsafe { (slot.table.get().abort)(slot.store.place()) };
        }
    }

    /// Whether `key` is still in flight.
    pub(super) fn in_flight(&self, key: Key) -> bool {
        self.find(key).is_some_and(|slot| slot.state().is_in_flight())
    }

    /// Drops the operation in `slot`, which the kernel is done with, and frees the slot.
    fn discard(&self, slot: &Slot) {
        // Unreachable by its key from here on, and not in the free list yet: the operation's Drop may
        // do whatever it likes.
        let waiter = slot.state.replace(State::Free);
        slot.early.take();
        // SAFETY: the slot was live, so its store holds an operation of the table's type; the last
        // completion has come; the state keeps everybody else away.
        unsafe { (slot.table.get().drop)(slot.store.place()) };
        self.release(slot);
        drop(waiter);
    }

    #[inline]
    fn release(&self, slot: &Slot) {
        let key = slot.key.get();
        // What was there is `Done` or `Free`, which need no drop.
        std::mem::forget(slot.state.replace(State::Free));
        slot.key.set(key.next_use());
        slot.next_free.set(self.free.replace(Some(NonNull::from(slot))));
    }
}

impl Outcome {
    fn woken(before: State) -> Outcome {
        before.waiter().map_or(Outcome::Nothing, Outcome::Wake)
    }
}

impl Slot {
    pub(super) fn key(&self) -> Key {
        self.key.get()
    }

    /// The state, for a look at it: nothing foreign may run, and it may not be changed, before the reference is gone.
    #[inline]
    fn state(&self) -> &State {
        // SAFETY: one thread; all users match on what they get, and replace it afterwards if at all.
        unsafe { &*self.state.as_ptr() }
    }

    /// Moves the operation out, with its result.
    ///
    /// # Safety
    /// The slot was filled by `insert::<T>`, the last completion is there, and nobody takes the operation again.
    #[inline]
    unsafe fn take<T: Operation>(&self) -> (T, Completion) {
        debug_assert_eq!((self.table.get().type_id)(), TypeId::of::<T>(), "a slot of another operation");
        let (res, flags) = self.last.get();
        // SAFETY: the store holds a `T` by the caller's promise, and the kernel is done with it, because the last
        // completion is there.
        let operation = unsafe { Stored::<T>::take(self.store.place()) };
        (operation, Completion::new(res, flags))
    }

    /// Takes care of the results that are there, and that nobody will read. Gives the descriptors among them.
    fn leave(&self) -> Vec<i32> {
        let last = matches!(self.state(), State::Done | State::Orphan).then(|| self.last.get());
        // In the order of their arrival: the buffers of a pool count on it.
        let results = self.early.take().into_iter().flat_map(|early| *early).chain(last);
        results.filter_map(|(res, flags)| self.unwanted(res, flags)).collect()
    }

    /// Drops the operation of an orphan whose future is gone.
    fn discard_orphan(&self) {
        for fd in self.leave() {
            // SAFETY: the descriptor was created for an operation with `Returns::Descriptor`, whose future is gone.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        // SAFETY: the store of an orphan holds an operation of the table's type, which the kernel is done with.
        unsafe { (self.table.get().drop)(self.store.place()) };
    }

    /// Whether the result is there, and only the notification to come.
    fn is_notifying(&self) -> bool {
        let (res, flags) = self.last.get();
        let notifies = self.table.get().facts.returns == Returns::Notified;
        self.state().is_in_flight() && notifies && Completion::new(res, flags).has_more()
    }

    /// Takes care of a result that nobody will read. Gives the descriptor that it is, if it is one.
    fn unwanted(&self, res: i32, flags: u32) -> Option<i32> {
        let table = self.table.get();
        match table.facts.returns {
            Returns::Descriptor => (res >= 0).then_some(res),
            Returns::Buffer => {
                // SAFETY: only called for live slots, whose store holds an operation of the table's type;
                // what the kernel writes for an operation with `Returns::Buffer` is the pool's.
                unsafe { (table.unwanted)(self.store.place(), Completion::new(res, flags)) };
                None
            }
            Returns::Unit | Returns::Count | Returns::Notified => None,
        }
    }
}
