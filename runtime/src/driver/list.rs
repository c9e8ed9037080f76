//! Lists: operations of several linked entries that one future waits for.
//!
//! A list is to its operation what a slot is to a single one: from submission to the last completion it owns the
//! operation, with everything that the kernel may touch, and it never moves. Its entries share the key and differ in
//! the step. They are reserved and published together, so they never come apart.
//!
//! # When it is complete
//!
//! Each entry either reports its success or is silent about it. So the entries that will report are known when the
//! list goes in, and kept as a set of bits; the list is complete when the set is empty. A failure changes what is to
//! come: it is reported in any case, and then
//!
//! ```text
//! linked softly, silent about success     the entries behind it are cancelled, and silent
//! linked softly, reporting                the entries behind it are cancelled, and each reports
//! linked hard, or the last                the next one runs as if nothing had happened
//! ```
//!
//! An entry that cannot even be prepared fails the first of the list with ECANCELED, and nothing has run. Nothing is
//! concluded from the order of completions.

use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use super::Driver;
use super::key::{Key, MAX_INDEX};
use super::slot::erased::{Store, Stored};
use crate::exec::Handle;
use crate::op::{LONGEST, ListOperation, Members, Shape, cancel};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the free list, or having its operation dropped.
    Free,
    /// In flight, and a future waits.
    Held,
    /// In flight, and nobody waits.
    Detached,
    /// Complete, and a future has yet to take the results.
    Done,
}

pub(crate) struct List {
    key: Cell<Key>,
    state: Cell<State>,
    next_free: Cell<u32>,
    shape: Cell<Shape>,
    /// The entries that are still to report.
    awaited: Cell<u8>,
    results: Cell<[i32; LONGEST]>,
    waker: Cell<Option<Waker>>,
    table: Cell<&'static Table>,
    store: Store,
}

/// What a list can do with an operation whose type it has forgotten.
struct Table {
    /// The store holds an operation of the table's type that the kernel is not working on.
    prepare: unsafe fn(NonNull<u8>, quiet: bool) -> Members<'static>,
    /// As above; afterwards it holds nothing.
    drop: unsafe fn(NonNull<u8>),
}

struct TableOf<T>(T);

impl<T: ListOperation> TableOf<T> {
    const TABLE: Table = Table { prepare: Self::prepare, drop: Self::drop };

    /// # Safety
    /// See [`Table`].
    unsafe fn prepare(store: NonNull<u8>, quiet: bool) -> Members<'static> {
        let mut members = Members::new(quiet);
        // SAFETY: the caller's promise; nobody else has a reference to it. It stays where it is until the last
        // completion, which is as long as the members are used.
        unsafe { Stored::<T>::pointer(store).as_mut() }.prepare(&mut members);
        members
    }

    /// # Safety
    /// See [`Table`].
    unsafe fn drop(store: NonNull<u8>) {
        // SAFETY: the caller's promise.
        drop(unsafe { Stored::<T>::take(store) });
    }
}

struct Nothing;

impl TableOf<Nothing> {
    const UNUSED: Table = Table { prepare: |_, quiet| Members::new(quiet), drop: |_| {} };
}

/// All lists of a ring.
pub(super) struct Lists {
    /// Boxed and leaked, so that they stay where they are.
    all: UnsafeCell<Vec<NonNull<List>>>,
    free: Cell<u32>,
    live: Cell<u32>,
}

const NONE: u32 = u32::MAX;

impl Default for Lists {
    fn default() -> Self {
        Lists { all: UnsafeCell::new(Vec::new()), free: Cell::new(NONE), live: Cell::new(0) }
    }
}

impl Lists {
    /// Lists in flight.
    pub(super) fn live(&self) -> u32 {
        self.live.get()
    }

    #[inline]
    fn list(&self, index: u32) -> Option<&List> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let all = unsafe { &*self.all.get() };
        // SAFETY: leaked boxes, freed only in `drop`; lists are only used through cells.
        all.get(index as usize).map(|list| unsafe { list.as_ref() })
    }

    /// The list that `key` names, if it is still the same use of it.
    #[inline]
    fn find(&self, key: Key) -> Option<&List> {
        self.list(key.index()).filter(|list| list.key.get() == key && list.state.get() != State::Free)
    }

    #[cold]
    fn grow(&self) {
        // SAFETY: one thread; no reference into the vector outlives `list`.
        let all = unsafe { &mut *self.all.get() };
        let index = all.len() as u32;
        assert!(index < MAX_INDEX, "more lists in flight than keys can name");
        all.push(NonNull::from(Box::leak(Box::new(List {
            key: Cell::new(Key::list(index, 0)),
            state: Cell::new(State::Free),
            next_free: Cell::new(NONE),
            shape: Cell::new(Shape::default()),
            awaited: Cell::new(0),
            results: Cell::new([0; LONGEST]),
            waker: Cell::new(None),
            table: Cell::new(&TableOf::<Nothing>::UNUSED),
            store: Store::new(),
        }))));
        self.free.set(index);
    }

    fn insert<T: ListOperation>(&self, operation: T, waker: Waker) -> &List {
        if self.free.get() == NONE {
            self.grow();
        }
        let list = self.list(self.free.get()).expect("the free list names lists");
        self.free.set(list.next_free.get());
        self.live.set(self.live.get() + 1);
        list.state.set(State::Held);
        list.waker.set(Some(waker));
        list.results.set([0; LONGEST]);
        list.table.set(&TableOf::<T>::TABLE);
        // SAFETY: the list was free, so its store is unoccupied.
        unsafe { Stored::<T>::put(list.store.place(), operation) };
        list
    }

    /// The lists that a future waits for.
    pub(super) fn held(&self) -> Vec<Key> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let count = unsafe { &*self.all.get() }.len() as u32;
        let held = (0..count).filter_map(|index| self.list(index).filter(|l| l.state.get() == State::Held));
        held.map(|list| list.key.get()).collect()
    }

    pub(super) fn in_flight(&self, key: Key) -> bool {
        self.find(key).is_some_and(|list| list.state.get() != State::Done)
    }

    /// Drops the operation of a list that the kernel is done with, and frees the list.
    fn discard(&self, list: &List) {
        // Unreachable by its key from here on, and not in the free list yet: the operation's Drop may come back here.
        list.state.set(State::Free);
        // SAFETY: the list was live, so its store holds an operation of the table's type, and all completions have
        // come; the state keeps everybody else away.
        unsafe { (list.table.get().drop)(list.store.place()) };
        self.release(list);
    }

    fn release(&self, list: &List) {
        let key = list.key.get();
        list.state.set(State::Free);
        list.key.set(key.next_use());
        list.next_free.set(self.free.get());
        self.free.set(key.index());
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        if self.live.get() > 0 {
            // The kernel may still write into them: leak, as the slots do.
            return;
        }
        for list in self.all.get_mut().drain(..) {
            // SAFETY: `grow` leaked this box, and nobody is left to use the pointer.
            let list = unsafe { Box::from_raw(list.as_ptr()) };
            if list.state.get() == State::Done {
                // SAFETY: a completed operation that nobody took; the table is that of its type.
                unsafe { (list.table.get().drop)(list.store.place()) };
            }
        }
    }
}

impl Driver {
    /// Submits a list for whoever has this waker. Once the runtime ends it takes no more; and a list that is longer
    /// than the queue is never taken.
    fn start_list<T: ListOperation>(&self, operation: T, waker: Waker) -> Result<&List, T> {
        if self.is_closing() || self.ring.longest_list() < LONGEST as u32 {
            return Err(operation);
        }
        let list = self.lists.insert(operation, waker);
        // Order is kept: nobody overtakes the backlog.
        if self.backlogged.get() || !self.push_list(list) {
            self.put_off(list.key.get());
        }
        Ok(list)
    }

    /// Submits a list that was put off; false if there is still no room.
    pub(super) fn submit_list(&self, key: Key) -> bool {
        self.lists.find(key).is_none_or(|list| self.push_list(list))
    }

    fn push_list(&self, list: &List) -> bool {
        let quiet = self.ring.capabilities().skip_success();
        // SAFETY: a live list holds an operation of the type that its table was made for, and it is not submitted: it
        // is prepared until the ring takes the entries, and never again.
        let members = unsafe { (list.table.get().prepare)(list.store.place(), quiet) };
        let (mut entries, shape) = members.finish();
        let entries = &mut entries[..shape.len()];
        let Ok(reservation) = self.ring.reserve(shape.len() as u32) else { return false };
        list.shape.set(shape);
        list.awaited.set(shape.reporting());
        let mut user_data = list.key.get().with_step(0);
        for (i, entry) in entries.iter_mut().enumerate() {
            entry.user_data = user_data;
            user_data = Key::next_step(user_data);
            // SAFETY: one of the reserved places.
            unsafe { reservation.first().add(i).write(*entry) };
        }
        // SAFETY: all places were written; what the entries point to belongs to the operation in the list, which stays
        // there until the last completion.
        unsafe { reservation.commit() };
        true
    }

    /// An entry of a list has completed.
    pub(super) fn complete_list(&self, key: Key, step: u32, res: i32) {
        let lists = &self.lists;
        let list = lists.find(key).filter(|list| matches!(list.state.get(), State::Held | State::Detached));
        let Some(list) = list.filter(|list| (step as usize) < list.shape.get().len()) else {
            self.ring.counters.strays.add(1);
            return;
        };
        let mut results = list.results.get();
        results[step as usize] = res;
        list.results.set(results);
        let awaited = list.shape.get().after(list.awaited.get(), step, res);
        list.awaited.set(awaited);
        if awaited != 0 {
            return;
        }
        lists.live.set(lists.live.get() - 1);
        if list.state.get() == State::Detached {
            lists.discard(list);
            return;
        }
        list.state.set(State::Done);
        if let Some(waker) = list.waker.take() {
            self.counters.wakes.add(1);
            waker.wake();
        }
    }

    /// Queues requests to cancel each entry of a list; false if there was no room. The kernel finds the one that runs,
    /// and those linked to it softly go with it.
    pub(super) fn ask_list(&self, key: Key) -> bool {
        let Some(list) = self.lists.find(key) else { return true };
        (0..list.shape.get().len() as u32).all(|step| self.push(cancel::by_user_data(key.with_step(step))))
    }
}

/// The list that a future waits for. Dropping it detaches the list.
pub(crate) struct HeldList<T> {
    core: Handle,
    /// `None` once the results were taken.
    list: Option<NonNull<List>>,
    operation: std::marker::PhantomData<T>,
}

impl<T: ListOperation> HeldList<T> {
    /// Moves the operation into a list and submits it. If it cannot be, gives it back.
    #[inline]
    pub(crate) fn start(operation: T, cx: &Context<'_>) -> Result<Self, T> {
        let core = Handle::current();
        let list = NonNull::from(core.driver().start_list(operation, cx.waker().clone())?);
        Ok(HeldList { core, list: Some(list), operation: std::marker::PhantomData })
    }

    /// The results and the operation, or a promise to wake.
    ///
    /// # Panics
    /// If they were taken before.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<(T, [i32; LONGEST])> {
        let list = self.list.expect("the results were taken before");
        // SAFETY: the core that `self` shares owns the list's memory; lists are only used through cells.
        let list = unsafe { list.as_ref() };
        if list.state.get() != State::Done {
            let waker = match list.waker.take() {
                Some(waker) if waker.will_wake(cx.waker()) => waker,
                _ => cx.waker().clone(),
            };
            drop(list.waker.replace(Some(waker)));
            return Poll::Pending;
        }
        self.list = None;
        // SAFETY: `start` filled the list with a `T`, nobody else holds it, the kernel is done with it, and the hold
        // was just given up.
        let operation = unsafe { Stored::<T>::take(list.store.place()) };
        self.core.driver().lists.release(list);
        Poll::Ready((operation, list.results.get()))
    }
}

impl<T> Drop for HeldList<T> {
    #[inline]
    fn drop(&mut self) {
        let Some(list) = self.list else { return };
        // SAFETY: as in `poll`.
        let list = unsafe { list.as_ref() };
        let driver = self.core.driver();
        drop(list.waker.take());
        match list.state.get() {
            State::Done => driver.lists.discard(list),
            State::Held => {
                list.state.set(State::Detached);
                driver.cancels.add(list.key.get());
            }
            State::Detached | State::Free => {}
        }
    }
}
