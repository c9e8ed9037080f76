//! Slots: where an operation lives while the kernel works on it.
//!
//! Ownership: from submission to the last completion the slot owns the operation, and with it every buffer,
//! path or descriptor that the kernel may touch. The future only has the slot's place, and shares the core that
//! keeps it there. Slots never move (they live in chunks that are only freed with the table), so an operation may
//! keep inline what the kernel reads.
//!
//! ```text
//!            insert            last completion            take
//!   Free ------------> Held -------------------> Done ------------> Free
//!                        |  detach                 |  detach
//!                        v                         v
//!                     Detached --------------> (operation dropped, Free)
//!                               last completion
//! ```
//!
//! Operations and wakers are the user's types: their Drop runs user code, which may come back here. So no
//! reference into a slot is held across it; a slot whose operation is being dropped is neither free nor
//! reachable by a key.

pub(super) mod erased;
mod held;

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::task::Waker;

use io_uring::opcode;

use super::key::{Key, MAX_INDEX};
use crate::op::{Completion, F_MORE, F_NOTIF, Operation, Returns};
use crate::ring::Sqe;
use erased::{Store, Stored, Table, TableOf};
pub(crate) use held::{Awaited, Held};

/// Slots a chunk.
const CHUNK: usize = 64;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In the free list, or having its operation dropped.
    Free,
    /// In flight, and a future waits.
    Held,
    /// In flight, and nobody waits.
    Detached,
    /// Complete, and a future has yet to take the result.
    Done,
}

/// A cache line of what the runtime works with, then the operation.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// The name of this use of the slot, or of the next one while it is free.
    key: Cell<Key>,
    /// Of whoever waits; `None` in a free slot.
    waker: Cell<Option<Waker>>,
    /// The last completion's result and flags, once it is there.
    last: Cell<(i32, u32)>,
    table: Cell<&'static Table>,
    next_free: Cell<Option<NonNull<Slot>>>,
    /// Completions of a multishot operation before its last.
    early: Cell<Early>,
    state: Cell<State>,
    store: Store,
}

/// Boxed, since few operations ever need it.
type Early = Option<Box<VecDeque<(i32, u32)>>>;

/// What a completion led to; the caller acts on it with no slot borrowed.
pub(super) enum Outcome {
    /// The future waits with this waker.
    Wake(Option<Waker>),
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
    chunks: UnsafeCell<Vec<NonNull<[Slot; CHUNK]>>>,
    free: Cell<Option<NonNull<Slot>>>,
    live: Cell<u32>,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots {
            places: UnsafeCell::default(),
            chunks: UnsafeCell::default(),
            free: Cell::new(None),
            live: Cell::new(0),
        }
    }

    /// Slots whose operation is in flight.
    pub(crate) fn live(&self) -> u32 {
        self.live.get()
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let places = unsafe { &*self.places.get() };
        // SAFETY: slots lie in leaked boxes, freed only in `drop`, and are only used through cells.
        Some(unsafe { places.get(index as usize)?.as_ref() })
    }

    /// The slot that `key` names, if it is still the same use of it.
    #[inline]
    fn find(&self, key: Key) -> Option<&Slot> {
        let slot = self.slot(key.index())?;
        (slot.key.get() == key && slot.state.get() != State::Free).then_some(slot)
    }

    /// Adds a chunk of free slots, of which the first is given.
    #[cold]
    fn grow(&self) -> NonNull<Slot> {
        // SAFETY: one thread; no reference into the vectors outlives the function that takes it.
        let (places, chunks) = unsafe { (&mut *self.places.get(), &mut *self.chunks.get()) };
        let first = places.len() as u32;
        assert!(first + (CHUNK as u32) <= MAX_INDEX, "more operations in flight than keys can name");
        let chunk: Box<[Slot; CHUNK]> = Box::new(std::array::from_fn(|i| Slot {
            key: Cell::new(Key::slot(first + i as u32, 0)),
            state: Cell::new(State::Free),
            next_free: Cell::new(None),
            last: Cell::new((0, 0)),
            waker: Cell::new(None),
            table: Cell::new(&TableOf::<crate::op::nop::Nop>::TABLE),
            early: Cell::new(None),
            store: Store::new(),
        }));
        let chunk = NonNull::from(Box::leak(chunk));
        chunks.push(chunk);
        // SAFETY: as in `slot`.
        let slots = unsafe { chunk.as_ref() };
        for pair in slots.windows(2) {
            pair[0].next_free.set(Some(NonNull::from(&pair[1])));
        }
        places.extend(slots.iter().map(NonNull::from));
        let first = NonNull::from(&slots[0]);
        self.free.set(Some(first));
        first
    }

    /// Moves the operation that `take` gives into a free slot, with the waker of whoever waits for it.
    #[inline]
    pub(super) fn insert<T: Operation>(&self, take: impl FnOnce() -> T, waker: Option<Waker>) -> &Slot {
        let free = self.free.get().unwrap_or_else(|| self.grow());
        // SAFETY: the free list names slots, which stay as long as the table and are only used through cells.
        let slot = unsafe { free.as_ref() };
        let operation = take();
        self.free.set(slot.next_free.get());
        self.live.set(self.live.get() + 1);
        slot.state.set(if waker.is_some() { State::Held } else { State::Detached });
        // There is none to be dropped, which nobody else can know.
        std::mem::forget(slot.waker.replace(waker));
        if T::FACTS.returns == Returns::Notified {
            slot.last.set((0, 0));
        }
        slot.table.set(&TableOf::<T>::TABLE);
        // SAFETY: the slot was free, so its store is unoccupied.
        unsafe { Stored::<T>::put(slot.store.place(), operation) };
        slot
    }

    /// The entry to submit for the operation that was just inserted.
    #[inline]
    pub(super) fn prepare_new<T: Operation>(&self, slot: &Slot) -> Sqe {
        let key = slot.key.get();
        // A buffer is the user's type, and may panic when it is asked for its bytes: then the slot must not wait
        // for a completion that never comes.
        let guard = Abandon { slots: self, key, held: false };
        // SAFETY: `insert` has put a `T` into the slot, and it is not submitted.
        let mut sqe = unsafe { TableOf::<T>::prepare(slot.store.place()) };
        std::mem::forget(guard);
        sqe.user_data = key.with_step(0);
        sqe
    }

    /// The entry to submit for the operation of `key`, which was put off, if it is still wanted.
    pub(super) fn prepare(&self, key: Key) -> Option<Sqe> {
        let waits = |slot: &&Slot| matches!(slot.state.get(), State::Held | State::Detached);
        let slot = self.find(key).filter(waits)?;
        // As above; but a future may hold the slot by now.
        let guard = Abandon { slots: self, key, held: true };
        // SAFETY: a live slot holds an operation of the type that its table was made for, and it is not
        // submitted: the driver prepares until the ring takes the entry, and never again.
        let mut sqe = unsafe { (slot.table.get().prepare)(slot.store.place()) };
        std::mem::forget(guard);
        sqe.user_data = key.with_step(0);
        Some(sqe)
    }

    /// Takes note of a completion of `key`.
    #[inline]
    pub(super) fn complete(&self, key: Key, res: i32, flags: u32) -> Outcome {
        let Some(slot) = self.slot(key.index()).filter(|slot| slot.key.get() == key) else {
            return Outcome::Stray;
        };
        // The plain case: a future waits, and this is all that comes.
        if slot.state.get() == State::Held && flags & (F_MORE | F_NOTIF) == 0 {
            slot.last.set((res, flags));
            slot.state.set(State::Done);
            self.live.set(self.live.get() - 1);
            return Outcome::Wake(slot.waker.take());
        }
        self.complete_other(slot, res, flags)
    }

    #[cold]
    fn complete_other(&self, slot: &Slot, res: i32, flags: u32) -> Outcome {
        let last = flags & F_MORE == 0;
        let notified = slot.table.get().facts.returns == Returns::Notified;
        match slot.state.get() {
            State::Held if last => {
                // A notification only says that the memory is free: the result is there already.
                slot.state.set(State::Done);
                self.live.set(self.live.get() - 1);
                Outcome::Wake(slot.waker.take())
            }
            State::Held if notified => {
                slot.last.set((res, flags));
                Outcome::Wake(None)
            }
            State::Held => {
                let mut early = slot.early.take().unwrap_or_default();
                early.push_back((res, flags));
                slot.early.set(Some(early));
                Outcome::Wake(slot.waker.take())
            }
            State::Detached => {
                if notified && !last {
                    slot.last.set((res, flags));
                }
                let descriptor = slot.unwanted(res, flags);
                Outcome::Unwanted { descriptor, last }
            }
            State::Done | State::Free => Outcome::Stray,
        }
    }

    /// Drops the operation of a detached slot after its last completion.
    pub(super) fn finish_detached(&self, key: Key) {
        let Some(slot) = self.find(key).filter(|slot| slot.state.get() == State::Detached) else { return };
        self.live.set(self.live.get() - 1);
        self.discard(slot);
    }

    /// The result of a slot that is `Done`, and its operation; the slot is then free.
    ///
    /// # Safety
    /// The slot is one of these, was filled by `insert::<T>`, and the caller gives up its hold on it.
    #[inline]
    unsafe fn take<T: Operation>(&self, slot: &Slot) -> (T, Completion) {
        debug_assert_eq!((slot.table.get().type_id)(), TypeId::of::<T>(), "a slot of another operation");
        let (res, flags) = slot.last.get();
        // SAFETY: the store holds a `T` by the caller's promise, and the kernel is done with it, because the last
        // completion is there; the slot is freed here.
        let operation = unsafe { Stored::<T>::take(slot.store.place()) };
        self.release(slot);
        (operation, Completion::new(res, flags))
    }

    /// The future of `key` is gone. Says whether the operation is to be cancelled, and which descriptors
    /// arrived that nobody took; and gives the waker, whose Drop may be anybody's, to be dropped last.
    pub(super) fn detach(&self, key: Key) -> (bool, Vec<i32>, Option<Waker>) {
        let Some(slot) = self.find(key) else { return (false, Vec::new(), None) };
        let done = slot.state.get() == State::Done;
        let last = done.then(|| slot.last.get());
        // In the order of their arrival: the buffers of a pool count on it.
        let results = slot.early.take().into_iter().flat_map(|early| *early).chain(last);
        let unwanted = results.filter_map(|(res, flags)| slot.unwanted(res, flags)).collect();
        let waker = slot.waker.take();
        match slot.state.get() {
            State::Done => {
                self.discard(slot);
                (false, unwanted, waker)
            }
            State::Held => {
                slot.state.set(State::Detached);
                // A close is never cancelled: its descriptor would have no owner left.
                (slot.table.get().facts.opcode != opcode::Close::CODE, unwanted, waker)
            }
            State::Detached | State::Free => (false, unwanted, waker),
        }
    }

    /// The operations that will not end by themselves: a future still waits for them, or they wait for their
    /// notification.
    pub(super) fn lasting(&self) -> Vec<Key> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let count = unsafe { &*self.places.get() }.len();
        let lasting = (0..count as u32).filter_map(|index| {
            let slot = self.slot(index)?;
            let is_close = slot.table.get().facts.opcode == opcode::Close::CODE;
            let lasts = match slot.state.get() {
                State::Held => !is_close,
                State::Detached => slot.is_notifying(),
                State::Done | State::Free => false,
            };
            lasts.then(|| slot.key.get())
        });
        lasting.collect()
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
        self.find(key).is_some_and(|slot| slot.state.get() != State::Done)
    }

    /// Drops the operation in `slot`, which the kernel is done with, and frees the slot.
    fn discard(&self, slot: &Slot) {
        // Unreachable by its key from here on, and not in the free list yet: the operation's Drop may
        // do whatever it likes.
        slot.state.set(State::Free);
        slot.early.take();
        // SAFETY: the slot was live, so its store holds an operation of the table's type; the last
        // completion has come; the state keeps everybody else away.
        unsafe { (slot.table.get().drop)(slot.store.place()) };
        self.release(slot);
    }

    #[inline]
    fn release(&self, slot: &Slot) {
        let key = slot.key.get();
        slot.state.set(State::Free);
        slot.key.set(key.next_use());
        slot.next_free.set(self.free.replace(Some(NonNull::from(slot))));
    }
}

/// Ends an operation that panicked before it could be submitted: with ECANCELED if a future waits for it, whose slot
/// it then remains.
struct Abandon<'s> {
    slots: &'s Slots,
    key: Key,
    /// Whether the future has been told of its slot.
    held: bool,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slots.find(self.key) else { return };
        self.slots.live.set(self.slots.live.get() - 1);
        if !self.held || slot.state.get() == State::Detached {
            // Dropped last, and not by the next use of the slot.
            let _waker = slot.waker.take();
            return self.slots.discard(slot);
        }
        slot.last.set((-libc::ECANCELED, 0));
        slot.state.set(State::Done);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl Slot {
    pub(super) fn key(&self) -> Key {
        self.key.get()
    }

    /// Whether the result is there, and only the notification to come.
    fn is_notifying(&self) -> bool {
        let (res, flags) = self.last.get();
        let in_flight = matches!(self.state.get(), State::Held | State::Detached);
        let notifies = self.table.get().facts.returns == Returns::Notified;
        in_flight && notifies && Completion::new(res, flags).has_more()
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

impl Drop for Slots {
    fn drop(&mut self) {
        if self.live.get() > 0 {
            // The kernel may still write into them: leak. The runtime drains before it gets here, so
            // this takes a ring that failed.
            return;
        }
        for chunk in self.chunks.get_mut().drain(..) {
            for slot in &mut *unsafe_box(chunk) {
                if slot.state.get() == State::Done {
                    // SAFETY: a completed operation that nobody took; the table is that of its type.
                    unsafe { (slot.table.get().drop)(slot.store.place()) };
                }
            }
        }
    }
}

fn unsafe_box(chunk: NonNull<[Slot; CHUNK]>) -> Box<[Slot; CHUNK]> {
    // SAFETY: `grow` leaked this box; only `Slots::drop` calls this, once a chunk.
    unsafe { Box::from_raw(chunk.as_ptr()) }
}
