//! A future's hold on its list.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::Context;

use super::{List, State};
use crate::driver::slot::erased::Stored;
use crate::exec::Handle;
use crate::op::{LONGEST, ListOperation};

/// The list that a future waits for. Dropping it detaches the list.
pub(crate) struct HeldList<T> {
    core: Handle,
    list: NonNull<List>,
    operation: PhantomData<T>,
}

impl<T: ListOperation> HeldList<T> {
    /// Moves the operation into a list and submits it. Gives it back if the runtime ends, or if the list can never be taken
    /// because it is longer than the queue.
    ///
    /// # Panics
    /// Outside of a runtime, and as the operation when it is prepared.
    #[inline]
    pub(crate) fn start(operation: T, cx: &Context<'_>) -> Result<Self, T> {
        let core = Handle::current();
        let driver = core.driver();
        if driver.is_closing() || driver.ring.longest_list() < LONGEST as u32 {
            return Err(operation);
        }
        let waiter = core.core().waiter(cx.waker());
        let list = NonNull::from(driver.lists.insert(operation, waiter));
        // Held before it is submitted, which may panic.
        let held = HeldList { core, list, operation: PhantomData };
        held.core.driver().submit_new_list::<T>(held.list());
        Ok(held)
    }

    /// Whether the results are there; if not, whoever polls will be woken.
    #[inline]
    pub(crate) fn is_done(&self, cx: &Context<'_>) -> bool {
        self.list().state.get() == State::Done || self.is_done_otherwise(cx)
    }

    /// The operation and the results.
    ///
    /// # Panics
    /// If they are not there.
    #[inline]
    pub(crate) fn finish(self) -> (T, [i32; LONGEST]) {
        assert!(self.list().state.get() == State::Done, "the results are not there");
        let held = ManuallyDrop::new(self);
        // SAFETY: `held` is neither dropped nor asked for its core after this function.
        let core = unsafe { ptr::read(&raw const held.core) };
        let list = held.list();
        // SAFETY: `start` filled the list with a `T`, nobody else holds it, the kernel is done with it, and the hold
        // was just given up.
        let operation = unsafe { Stored::<T>::take(list.store.place()) };
        let results = list.results.get();
        core.driver().lists.release(list);
        (operation, results)
    }

    /// Polled before the completion, by another task perhaps.
    #[cold]
    fn is_done_otherwise(&self, cx: &Context<'_>) -> bool {
        let list = self.list();
        let waiter = match list.waiter.take() {
            Some(waiter) if waiter.will_wake(cx.waker()) => waiter,
            old => {
                drop(old);
                self.core.core().waiter(cx.waker())
            }
        };
        drop(list.waiter.replace(Some(waiter)));
        // All of this was foreign code, which may have ended the runtime, and the list with it.
        list.state.get() == State::Done
    }
}

impl<T> HeldList<T> {
    #[inline]
    fn list(&self) -> &List {
        // SAFETY: the core, which is shared, owns the list's memory; lists are only used through cells.
        unsafe { self.list.as_ref() }
    }
}

impl<T> Drop for HeldList<T> {
    #[cold]
    fn drop(&mut self) {
        let (list, driver) = (self.list(), self.core.driver());
        drop(list.waiter.take());
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
