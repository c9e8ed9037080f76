//! From an operation in its slot to the entry that is submitted. This is where the user's buffers are asked for their
//! bytes, and may panic.

use super::erased::{Stored, TableOf};
use super::state::State;
use super::{Slot, Slots};
use crate::driver::key::Key;
use crate::op::{Completion, Operation};
use crate::ring::Sqe;

impl Slots {
    /// Completes an operation that was just inserted and is not submitted: by itself, if the kernel does not offer it
    /// and it can, else as refused.
    #[cold]
    pub(in crate::driver) fn refuse<T: Operation>(&self, slot: &Slot, offered: bool) {
        let mut end = Abandon::new(self, slot);
        let completion = if offered {
            Completion::refused(libc::ECANCELED)
        } else {
            // SAFETY: `insert` has put a `T` into the slot, and it is not submitted.
            let operation = unsafe { Stored::<T>::pointer(slot.store.place()).as_mut() };
            operation.fallback().unwrap_or_else(|| Completion::lacking(T::FACTS))
        };
        end.result = completion.result();
    }

    /// The entry to submit for the operation that was just inserted.
    #[inline]
    pub(in crate::driver) fn prepare_new<T: Operation>(&self, slot: &Slot) -> Sqe {
        // A buffer is the user's type, and may panic when it is asked for its bytes: then the slot must not wait
        // for a completion that never comes.
        let guard = Abandon::new(self, slot);
        // SAFETY: `insert` has put a `T` into the slot, and it is not submitted.
        let mut sqe = unsafe { TableOf::<T>::prepare(slot.store.place()) };
        std::mem::forget(guard);
        sqe.user_data = slot.key.get().with_step(0);
        sqe
    }

    /// The entry to submit for the operation of `key`, which was put off, if it is still wanted.
    pub(in crate::driver) fn prepare(&self, key: Key) -> Option<Sqe> {
        let waits = |slot: &&Slot| slot.state().is_in_flight();
        let slot = self.find(key).filter(waits)?;
        // As above.
        let guard = Abandon::new(self, slot);
        // SAFETY: a live slot holds an operation of the type that its table was made for, and it is not
        // submitted: the driver prepares until the ring takes the entry, and never again.
        let mut sqe = unsafe { (slot.table.get().prepare)(slot.store.place()) };
        std::mem::forget(guard);
        sqe.user_data = key.with_step(0);
        Some(sqe)
    }
}

/// When it is dropped, ends an operation that is not submitted, and will not be: with ECANCELED, unless it is told
/// otherwise. Nothing is left of a detached one.
struct Abandon<'s> {
    slots: &'s Slots,
    slot: &'s Slot,
    result: i32,
}

impl<'s> Abandon<'s> {
    #[inline]
    fn new(slots: &'s Slots, slot: &'s Slot) -> Self {
        Abandon { slots, slot, result: -libc::ECANCELED }
    }
}

impl Drop for Abandon<'_> {
    #[cold]
    fn drop(&mut self) {
        let slot = self.slot;
        if matches!(slot.state(), State::Detached) {
            return self.slots.discard(slot);
        }
        slot.last.set((self.result, 0));
        if let Some(waiter) = slot.state.replace(State::Done).waiter() {
            waiter.wake();
        }
    }
}
