//! Slots: where an operation lives while the kernel works on it.
//!
//! Ownership: from submission to the last completion the slot owns the operation, and with it every buffer,
//! path or descriptor that the kernel may touch. The future only has the key. Slots never move (they live
//! in chunks that are only freed with the table), so an operation may keep inline what the kernel reads.
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

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use super::key::{Key, MAX_INDEX};
use crate::op::{Completion, Facts, Operation, Returns};
use crate::ring::Sqe;

/// Slots a chunk.
const CHUNK: usize = 64;
/// Bytes of an operation that fit into a slot; a larger one is boxed.
const INLINE: usize = 128;

#[repr(align(16))]
struct Store(UnsafeCell<MaybeUninit<[u8; INLINE]>>);

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

struct Slot {
    generation: Cell<u32>,
    state: Cell<State>,
    next_free: Cell<u32>,
    /// The last completion's result and flags, once it is there.
    last: Cell<(i32, u32)>,
    waker: Cell<Option<Waker>>,
    table: Cell<&'static Table>,
    /// Completions of a multishot operation before its last.
    early: Cell<VecDeque<(i32, u32)>>,
    store: Store,
}

/// What the slot can do with an operation whose type it has forgotten. The pointers are to the place where
/// the operation is stored.
struct Table {
    type_id: fn() -> TypeId,
    facts: &'static Facts,
    prepare: unsafe fn(NonNull<u8>) -> Sqe,
    drop: unsafe fn(NonNull<u8>),
}

struct TableOf<T>(T);

impl<T: Operation> TableOf<T> {
    const FITS: bool = size_of::<T>() <= INLINE && align_of::<T>() <= align_of::<Store>();
    const FACTS: Facts = T::FACTS;
    const TABLE: Table =
        Table { type_id: TypeId::of::<T>, facts: &Self::FACTS, prepare: Self::prepare, drop: Self::drop };

    /// # Safety
    /// `store` must be the unoccupied store of a slot.
    unsafe fn put(store: NonNull<u8>, operation: T) {
        if Self::FITS {
            // SAFETY: the store is unoccupied, and large and aligned enough.
            unsafe { store.cast::<T>().write(operation) };
        } else {
            let boxed = NonNull::from(Box::leak(Box::new(operation)));
            // SAFETY: the store is unoccupied and holds a pointer.
            unsafe { store.cast::<NonNull<T>>().write(boxed) };
        }
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`.
    unsafe fn pointer(store: NonNull<u8>) -> NonNull<T> {
        if Self::FITS {
            store.cast()
        } else {
            // SAFETY: `put` wrote the box's pointer here.
            unsafe { store.cast::<NonNull<T>>().read() }
        }
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`; afterwards it holds nothing.
    unsafe fn take(store: NonNull<u8>) -> T {
        // SAFETY: the caller's promise.
        let pointer = unsafe { Self::pointer(store) };
        if Self::FITS {
            // SAFETY: a valid `T` that nobody will read again.
            unsafe { pointer.read() }
        } else {
            // SAFETY: `put` leaked this box, and the pointer to it is not used again.
            *unsafe { Box::from_raw(pointer.as_ptr()) }
        }
    }

    /// # Safety
    /// `store` must hold a `T`, by `put`, and the kernel must not be working on it.
    unsafe fn prepare(store: NonNull<u8>) -> Sqe {
        // SAFETY: the caller's promise; nobody else has a reference to it.
        unsafe { Self::pointer(store).as_mut() }.prepare().into_sqe()
    }

    /// # Safety
    /// As `take`.
    unsafe fn drop(store: NonNull<u8>) {
        // SAFETY: the caller's promise.
        drop(unsafe { Self::take(store) });
    }
}

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
    chunks: UnsafeCell<Vec<NonNull<[Slot; CHUNK]>>>,
    free: Cell<u32>,
    live: Cell<u32>,
}

const NONE: u32 = u32::MAX;

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots { chunks: UnsafeCell::new(Vec::new()), free: Cell::new(NONE), live: Cell::new(0) }
    }

    /// Slots whose operation is in flight.
    pub(crate) fn live(&self) -> u32 {
        self.live.get()
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let chunks = unsafe { &*self.chunks.get() };
        let chunk = chunks.get(index as usize / CHUNK)?;
        // SAFETY: chunks are leaked boxes, freed only in `drop`; slots are only used through cells.
        Some(&unsafe { chunk.as_ref() }[index as usize % CHUNK])
    }

    /// The slot that `key` names, if it is still the same use of it.
    #[inline]
    fn find(&self, key: Key) -> Option<&Slot> {
        let slot = self.slot(key.index())?;
        (slot.generation.get() == key.generation() && slot.state.get() != State::Free).then_some(slot)
    }

    #[cold]
    fn grow(&self) {
        // SAFETY: one thread; no reference into the vector outlives `slot`.
        let chunks = unsafe { &mut *self.chunks.get() };
        let first = (chunks.len() * CHUNK) as u32;
        assert!(first + (CHUNK as u32) <= MAX_INDEX, "more operations in flight than keys can name");
        let chunk: Box<[Slot; CHUNK]> = Box::new(std::array::from_fn(|i| Slot {
            generation: Cell::new(0),
            state: Cell::new(State::Free),
            next_free: Cell::new(if i + 1 < CHUNK { first + i as u32 + 1 } else { NONE }),
            last: Cell::new((0, 0)),
            waker: Cell::new(None),
            table: Cell::new(&TableOf::<crate::op::nop::Nop>::TABLE),
            early: Cell::new(VecDeque::new()),
            store: Store(UnsafeCell::new(MaybeUninit::uninit())),
        }));
        chunks.push(NonNull::from(Box::leak(chunk)));
        self.free.set(first);
    }

    /// Moves `operation` into a free slot, with the waker of whoever waits for it. Gives the entry to submit.
    #[inline]
    pub(super) fn insert<T: Operation>(&self, operation: T, waker: Option<Waker>) -> (Key, Sqe) {
        if self.free.get() == NONE {
            self.grow();
        }
        let index = self.free.get();
        let slot = self.slot(index).expect("the free list names slots");
        self.free.set(slot.next_free.get());
        self.live.set(self.live.get() + 1);
        slot.state.set(if waker.is_some() { State::Held } else { State::Detached });
        slot.waker.set(waker);
        slot.table.set(&TableOf::<T>::TABLE);
        // SAFETY: the slot was free, so its store is unoccupied.
        unsafe { TableOf::<T>::put(slot.store.place(), operation) };
        let key = Key::slot(index, slot.generation.get());
        let guard = Abandon { slots: self, key };
        // SAFETY: the operation was just put there, and is not submitted.
        let mut sqe = unsafe { TableOf::<T>::prepare(slot.store.place()) };
        std::mem::forget(guard);
        sqe.user_data = key.with_step(0);
        (key, sqe)
    }

    /// The entry once more, for an operation that could not be submitted with the first one, if it is still
    /// wanted.
    pub(super) fn prepare(&self, key: Key) -> Option<Sqe> {
        let slot = self.find(key)?;
        // A buffer is the user's type, and may panic when it is asked for its bytes: then the slot must not
        // wait for a completion that never comes.
        let guard = Abandon { slots: self, key };
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
        let Some(slot) = self.find(key) else { return Outcome::Stray };
        let last = !Completion::new(res, flags).has_more();
        match slot.state.get() {
            State::Held => {
                if last {
                    slot.last.set((res, flags));
                    slot.state.set(State::Done);
                    self.live.set(self.live.get() - 1);
                } else {
                    let mut early = slot.early.take();
                    early.push_back((res, flags));
                    slot.early.set(early);
                }
                Outcome::Wake(slot.waker.take())
            }
            State::Detached => {
                let is_descriptor = slot.table.get().facts.returns == Returns::Descriptor && res >= 0;
                Outcome::Unwanted { descriptor: is_descriptor.then_some(res), last }
            }
            State::Done | State::Free => Outcome::Stray,
        }
    }

    /// Drops the operation of a detached slot after its last completion.
    pub(super) fn finish_detached(&self, key: Key) {
        let Some(slot) = self.find(key).filter(|slot| slot.state.get() == State::Detached) else { return };
        self.live.set(self.live.get() - 1);
        self.discard(key, slot);
    }

    /// The result of `key` and its operation, whose slot is then free; or a promise to wake.
    pub(super) fn poll<T: Operation>(&self, key: Key, cx: &Context<'_>) -> Poll<(T, Completion)> {
        let slot = self.find(key).expect("a future's slot is alive until the future gives it up");
        if slot.state.get() != State::Done {
            let waker = match slot.waker.take() {
                Some(waker) if waker.will_wake(cx.waker()) => waker,
                _ => cx.waker().clone(),
            };
            drop(slot.waker.replace(Some(waker)));
            return Poll::Pending;
        }
        debug_assert_eq!((slot.table.get().type_id)(), TypeId::of::<T>(), "a slot of another operation");
        let (res, flags) = slot.last.get();
        // SAFETY: only the future that inserted a `T` has the key (so the store holds a `T`), the last
        // completion is there (so the kernel is done with it), and the slot is freed here.
        let operation = unsafe { TableOf::<T>::take(slot.store.place()) };
        // The waker went with the last completion, and is not set again once that is there.
        self.release(key.index(), slot);
        Poll::Ready((operation, Completion::new(res, flags)))
    }

    /// The oldest completion before the last one, of a multishot operation.
    pub(super) fn take_early(&self, key: Key) -> Option<Completion> {
        let slot = self.find(key)?;
        let mut early = slot.early.take();
        let first = early.pop_front();
        slot.early.set(early);
        first.map(|(res, flags)| Completion::new(res, flags))
    }

    /// The future of `key` is gone. Says whether the operation is still in flight, and which descriptors
    /// arrived that nobody took.
    pub(super) fn detach(&self, key: Key) -> (bool, Vec<i32>) {
        let Some(slot) = self.find(key) else { return (false, Vec::new()) };
        let mut unwanted = Vec::new();
        if slot.table.get().facts.returns == Returns::Descriptor {
            unwanted.extend(slot.early.take().into_iter().map(|(res, _)| res).filter(|fd| *fd >= 0));
            let (res, _) = slot.last.get();
            if slot.state.get() == State::Done && res >= 0 {
                unwanted.push(res);
            }
        }
        drop(slot.waker.take());
        match slot.state.get() {
            State::Done => {
                self.discard(key, slot);
                (false, unwanted)
            }
            State::Held => {
                slot.state.set(State::Detached);
                (true, unwanted)
            }
            State::Detached | State::Free => (false, unwanted),
        }
    }

    /// Whether `key` is still in flight.
    pub(super) fn in_flight(&self, key: Key) -> bool {
        self.find(key).is_some_and(|slot| slot.state.get() != State::Done)
    }

    /// Drops the operation in `slot`, which the kernel is done with, and frees the slot.
    fn discard(&self, key: Key, slot: &Slot) {
        // Unreachable by its key from here on, and not in the free list yet: the operation's Drop may
        // do whatever it likes.
        slot.state.set(State::Free);
        slot.early.take();
        // SAFETY: the slot was live, so its store holds an operation of the table's type; the last
        // completion has come; the state keeps everybody else away.
        unsafe { (slot.table.get().drop)(slot.store.place()) };
        self.release(key.index(), slot);
    }

    #[inline]
    fn release(&self, index: u32, slot: &Slot) {
        slot.state.set(State::Free);
        slot.generation.set(Key::next_generation(slot.generation.get()));
        slot.next_free.set(self.free.get());
        self.free.set(index);
    }
}

/// Frees a slot whose operation panicked before it could be submitted.
struct Abandon<'s> {
    slots: &'s Slots,
    key: Key,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slots.find(self.key) {
            self.slots.live.set(self.slots.live.get() - 1);
            self.slots.discard(self.key, slot);
        }
    }
}

impl Store {
    fn place(&self) -> NonNull<u8> {
        NonNull::from(&self.0).cast()
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
