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

mod held;

use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

use super::Driver;
use super::key::{Key, Kind, MAX_INDEX};
use super::slot::erased::{Store, Stored};
use crate::exec::{TaskRef, Waiter};
use crate::op::{LONGEST, ListOperation, Members, Shape, cancel};
use crate::ring::{Cqe, Sqe};
pub(crate) use held::HeldList;

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
    waiter: Cell<Option<Waiter>>,
    table: Cell<&'static Table>,
    store: Store,
}

/// What a list can do with an operation whose type it has forgotten.
struct Table {
    /// The store holds an operation of the table's type that the kernel is not working on.
    prepare: unsafe fn(NonNull<u8>, quiet: bool) -> Entries,
    /// As above; afterwards it holds nothing.
    drop: unsafe fn(NonNull<u8>),
}

/// What is to be submitted. The entries behind those that the shape counts mean nothing.
type Entries = ([Sqe; LONGEST], Shape);

struct TableOf<T>(T);

impl<T: ListOperation> TableOf<T> {
    const TABLE: Table = Table { prepare: Self::prepare, drop: Self::drop };

    /// # Safety
    /// See [`Table`].
    #[inline(always)]
    unsafe fn prepare(store: NonNull<u8>, quiet: bool) -> Entries {
        let mut members = Members::new(quiet);
        // SAFETY: the caller's promise; nobody else has a reference to it. It stays where it is until the last
        // completion, which is as long as the entries are used.
        unsafe { Stored::<T>::pointer(store).as_mut() }.prepare(&mut members);
        members.finish()
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
    const UNUSED: Table = Table { prepare: |_, quiet| Members::new(quiet).finish(), drop: |_| {} };
}

/// All lists of a ring.
pub(super) struct Lists {
    /// Boxed and leaked, so that they stay where they are.
    all: UnsafeCell<Vec<NonNull<List>>>,
    free: Cell<u32>,
}

const NONE: u32 = u32::MAX;

impl Default for Lists {
    fn default() -> Self {
        Lists { all: UnsafeCell::new(Vec::new()), free: Cell::new(NONE) }
    }
}

impl Lists {
    /// Lists in flight. Counted when it is asked for, and not with each list.
    pub(super) fn live(&self) -> u32 {
        self.iter().filter(|list| list.is_in_flight()).count() as u32
    }

    fn iter(&self) -> impl Iterator<Item = &List> {
        // SAFETY: one thread, and the vector is only written in `grow`, which runs no foreign code.
        let count = unsafe { &*self.all.get() }.len() as u32;
        (0..count).filter_map(|index| self.list(index))
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
            waiter: Cell::new(None),
            table: Cell::new(&TableOf::<Nothing>::UNUSED),
            store: Store::new(),
        }))));
        self.free.set(index);
    }

    #[inline]
    fn insert<T: ListOperation>(&self, operation: T, waiter: Waiter) -> &List {
        if self.free.get() == NONE {
            self.grow();
        }
        let list = self.list(self.free.get()).expect("the free list names lists");
        self.free.set(list.next_free.get());
        list.state.set(State::Held);
        // Nobody waited for a free list.
        std::mem::forget(list.waiter.replace(Some(waiter)));
        list.results.set([0; LONGEST]);
        list.table.set(&TableOf::<T>::TABLE);
        // SAFETY: the list was free, so its store is unoccupied.
        unsafe { Stored::<T>::put(list.store.place(), operation) };
        list
    }

    /// The lists that a future waits for.
    pub(super) fn held(&self) -> Vec<Key> {
        self.iter().filter(|list| list.state.get() == State::Held).map(|list| list.key.get()).collect()
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

    #[inline]
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
        if self.live() > 0 {
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

impl List {
    #[inline]
    fn is_in_flight(&self) -> bool {
        matches!(self.state.get(), State::Held | State::Detached)
    }

    /// Takes note of the result of an entry in flight; true if it was the last that is to come.
    #[inline]
    fn note(&self, step: u32, res: i32) -> bool {
        let results: &Cell<[i32]> = &self.results;
        results.as_slice_of_cells()[step as usize].set(res);
        let awaited = self.shape.get().after(self.awaited.get(), step, res);
        self.awaited.set(awaited);
        awaited == 0
    }
}

impl Lists {
    /// The list in flight, and its entry, that a completion is about.
    #[inline]
    fn completing(&self, user_data: u64) -> Option<(&List, u32)> {
        let (key, step) = Key::split(user_data);
        let list = self.find(key).filter(|list| list.is_in_flight())?;
        ((step as usize) < list.shape.get().len()).then_some((list, step))
    }

    /// Takes note of a completion, if it is about a list that a task of this core waits for; and gives the task, if it
    /// was the last one. Nothing foreign runs in here.
    #[inline]
    pub(super) fn complete_task(&self, cqe: &Cqe) -> Option<Option<TaskRef>> {
        if Key::split(cqe.user_data).0.kind() != Kind::List {
            return None;
        }
        let (list, step) = self.completing(cqe.user_data)?;
        match list.waiter.take() {
            Some(Waiter::Task(task)) if list.note(step, cqe.res) => {
                list.state.set(State::Done);
                Some(Some(task))
            }
            waiter => {
                let is_task = matches!(waiter, Some(Waiter::Task(_)));
                // `None`, which needs no drop.
                std::mem::forget(list.waiter.replace(waiter));
                is_task.then_some(None)
            }
        }
    }
}

impl Driver {
    /// Submits a list that was just filled, or puts it off.
    #[inline]
    fn submit_new_list<T: ListOperation>(&self, list: &List) {
        // Order is kept: nobody overtakes the backlog.
        // SAFETY: `insert` has put a `T` into the list, and it is not submitted.
        let prepare = |place, quiet| unsafe { TableOf::<T>::prepare(place, quiet) };
        if self.backlogged.get() || !self.push_list(list, prepare) {
            self.put_off(list.key.get());
        }
    }

    /// Submits a list that was put off; false if there is still no room.
    pub(super) fn submit_list(&self, key: Key) -> bool {
        let list = self.lists.find(key).filter(|list| list.is_in_flight());
        list.is_none_or(|list| {
            // SAFETY: a live list holds an operation of the type that its table was made for, and it is not submitted: it
            // is prepared until the ring takes the entries, and never again.
            self.push_list(list, |place, quiet| unsafe { (list.table.get().prepare)(place, quiet) })
        })
    }

    /// Submits a list; false if there is no room. `prepare` is that of its table: where it is known, the entries go from
    /// there into the queue without a stop on the stack.
    #[inline(always)]
    fn push_list(&self, list: &List, prepare: impl FnOnce(NonNull<u8>, bool) -> Entries) -> bool {
        let quiet = self.ring.capabilities().skip_success();
        // A buffer is the user's type, and may panic when it is asked for its bytes: then the list must not wait for a
        // completion that never comes.
        let guard = Abandon { driver: self, list };
        let (entries, shape) = prepare(list.store.place(), quiet);
        std::mem::forget(guard);
        let Ok(reservation) = self.ring.reserve(shape.len() as u32) else { return false };
        list.shape.set(shape);
        list.awaited.set(shape.reporting());
        let mut user_data = list.key.get().with_step(0);
        for (i, entry) in entries[..shape.len()].iter().enumerate() {
            // SAFETY: one of the reserved places.
            unsafe { reservation.first().add(i).write(Sqe { user_data, ..*entry }) };
            user_data = Key::next_step(user_data);
        }
        // SAFETY: all places were written; what the entries point to belongs to the operation in the list, which stays
        // there until the last completion.
        unsafe { reservation.commit() };
        true
    }

    /// An entry of a list has completed.
    pub(super) fn complete_list(&self, cqe: Cqe) {
        let Some((list, step)) = self.lists.completing(cqe.user_data) else {
            self.ring.counters.strays.add(1);
            return;
        };
        if list.note(step, cqe.res) {
            self.end_list(list);
        }
    }

    /// All that comes of a list has come.
    fn end_list(&self, list: &List) {
        if list.state.get() == State::Detached {
            self.lists.discard(list);
            return;
        }
        list.state.set(State::Done);
        if let Some(waiter) = list.waiter.take() {
            self.counters.wakes.add(1);
            waiter.wake();
        }
    }

    /// Queues requests to cancel each entry of a list; false if there was no room. The kernel finds the one that runs,
    /// and those linked to it softly go with it.
    pub(super) fn ask_list(&self, key: Key) -> bool {
        let Some(list) = self.lists.find(key) else { return true };
        (0..list.shape.get().len() as u32).all(|step| self.push(cancel::by_user_data(key.with_step(step))))
    }
}

/// When it is dropped, ends a list that is not submitted, and will not be, with ECANCELED.
struct Abandon<'d> {
    driver: &'d Driver,
    list: &'d List,
}

impl Drop for Abandon<'_> {
    #[cold]
    fn drop(&mut self) {
        self.list.results.set([-libc::ECANCELED; LONGEST]);
        self.driver.end_list(self.list);
    }
}
