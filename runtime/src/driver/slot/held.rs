//! A future's hold on its slot.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::{Slot, State};
use crate::driver::Key;
use crate::exec::Handle;
use crate::op::{Completion, Operation};

/// The slot of an operation that a future waits for, found without a look-up. Dropping it detaches the slot.
pub(crate) struct Held<T> {
    core: Handle,
    /// `None` once the result was taken.
    slot: Option<NonNull<Slot>>,
    operation: PhantomData<T>,
}

impl<T: Operation> Held<T> {
    /// Moves the operation into a slot and submits it. If it cannot be, gives it back with what to complete it
    /// with: the runtime is shutting down, or the kernel lacks the opcode.
    #[inline]
    pub(crate) fn start(mut operation: T, cx: &Context<'_>) -> Result<Self, (T, Completion)> {
        let core = Handle::current();
        if !T::FACTS.is_baseline() && !core.driver().ring.offers(&T::FACTS) {
            let completion = operation.fallback().unwrap_or(Completion::lacking(T::FACTS.opcode));
            return Err((operation, completion));
        }
        match core.driver().start(operation, cx.waker().clone()) {
            Ok(slot) => {
                let slot = Some(NonNull::from(slot));
                Ok(Held { core, slot, operation: PhantomData })
            }
            Err(operation) => Err((operation, Completion::refused(libc::ECANCELED))),
        }
    }

    /// The result and the operation, or a promise to wake.
    ///
    /// # Panics
    /// If the result was taken before.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<(T, Completion)> {
        let slots = &self.core.driver().slots;
        let slot = self.slot.expect("the result was taken before");
        // SAFETY: the core that `self` shares owns the slot's memory; slots are only used through cells.
        let slot = unsafe { slot.as_ref() };
        if slot.state.get() != State::Done {
            let waker = match slot.waker.take() {
                Some(waker) if waker.will_wake(cx.waker()) => waker,
                _ => cx.waker().clone(),
            };
            drop(slot.waker.replace(Some(waker)));
            return Poll::Pending;
        }
        self.slot = None;
        // SAFETY: `start` filled the slot with a `T`, nobody else holds it, and the hold was just given up.
        Poll::Ready(unsafe { slots.take(slot) })
    }

    /// A result before the last one, of a multishot operation.
    pub(crate) fn take_early(&self) -> Option<Completion> {
        // SAFETY: as in `poll`.
        let slot = unsafe { self.slot?.as_ref() };
        let mut early = slot.early.take();
        let first = early.pop_front();
        slot.early.set(early);
        first.map(|(res, flags)| Completion::new(res, flags))
    }
}

impl<T> Held<T> {
    /// Asks for cancellation, and goes on waiting.
    pub(crate) fn cancel(&self) {
        if let Some(key) = self.key() {
            self.core.driver().cancel(key);
        }
    }

    #[cold]
    fn detach(&self) {
        if let Some(key) = self.key() {
            self.core.driver().detach(key);
        }
    }

    fn key(&self) -> Option<Key> {
        // SAFETY: as in `poll`.
        self.slot.map(|slot| unsafe { slot.as_ref() }.key.get())
    }
}

impl<T> Drop for Held<T> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.detach();
        }
    }
}
