//! A future's hold on its operation: the operation itself until it is submitted, then its slot.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::{Outcome, Slot, State};
use crate::exec::Handle;
use crate::op::{Completion, Operation};

/// The slot of an operation that a future waits for, found without a look-up. Dropping it detaches the slot.
pub(crate) struct Held<T> {
    /// Keeps the slot's memory.
    core: Handle,
    slot: NonNull<Slot>,
    operation: PhantomData<T>,
}

impl<T: Operation> Held<T> {
    /// Moves an operation into a slot and submits it. If that cannot be, because the runtime is shutting down or the
    /// kernel lacks the opcode, the slot has its result at once, and the waker is woken.
    ///
    /// `take` gives the operation. It is asked as late as can be, so that the operation goes from where it is into the
    /// slot without a stop on the stack.
    ///
    /// # Panics
    /// Outside of a runtime, and if `take` does.
    #[inline]
    pub(crate) fn start(take: impl FnOnce() -> T, cx: &Context<'_>) -> Self {
        let core = Handle::current();
        if core.driver().is_closing() || !T::FACTS.is_baseline() && !core.driver().ring.offers(&T::FACTS) {
            return Held::refused(core, take(), cx);
        }
        let waker = core.core().clone_waker(cx.waker());
        let slot = NonNull::from(core.driver().submit(take, Some(waker)));
        Held { core, slot, operation: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn refused(core: Handle, mut operation: T, cx: &Context<'_>) -> Self {
        let completion = if core.driver().ring.offers(&T::FACTS) {
            Completion::refused(libc::ECANCELED)
        } else {
            operation.fallback().unwrap_or(Completion::lacking(T::FACTS.opcode))
        };
        let slots = &core.driver().slots;
        let slot = slots.insert(|| operation, Some(cx.waker().clone()));
        let outcome = slots.complete(slot.key(), completion.result(), 0);
        let held = Held { slot: NonNull::from(slot), core, operation: PhantomData };
        if let Outcome::Wake(Some(waker)) = outcome {
            waker.wake();
        }
        held
    }

    /// Whether the result is there; if not, whoever polls will be woken.
    #[inline]
    pub(crate) fn is_done(&self, cx: &Context<'_>) -> bool {
        let done = self.slot().state.get() == State::Done;
        if !done {
            self.wait(cx);
        }
        done
    }

    /// Polled before the completion: by another task perhaps.
    #[cold]
    fn wait(&self, cx: &Context<'_>) {
        let slot = self.slot();
        let waker = match slot.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        };
        drop(slot.waker.replace(Some(waker)));
    }

    /// The operation and its result.
    ///
    /// # Panics
    /// If the result is not there.
    #[inline]
    pub(crate) fn finish(self) -> (T, Completion) {
        assert!(self.slot().state.get() == State::Done, "the result is not there");
        let held = ManuallyDrop::new(self);
        // SAFETY: `held` is not dropped and not used any more, except for its slot, which this very core keeps.
        let core = unsafe { ptr::read(&held.core) };
        // SAFETY: `start` filled the slot with a `T`, nobody else holds it, and the hold was just given up.
        unsafe { core.driver().slots.take(held.slot()) }
    }

    /// A result before the last one, of a multishot operation.
    pub(crate) fn take_early(&self) -> Option<Completion> {
        let slot = self.slot();
        let mut early = slot.early.take();
        let first = early.as_mut().and_then(|early| early.pop_front());
        slot.early.set(early);
        first.map(|(res, flags)| Completion::new(res, flags))
    }
}

impl<T> Held<T> {
    /// Asks for cancellation, and goes on waiting.
    pub(crate) fn cancel(&self) {
        self.core.driver().cancel(self.slot().key());
    }

    #[inline]
    fn slot(&self) -> &Slot {
        // SAFETY: the core that `self` shares owns the slot's memory; slots are only used through cells.
        unsafe { self.slot.as_ref() }
    }
}

impl<T> Drop for Held<T> {
    #[cold]
    fn drop(&mut self) {
        self.core.driver().detach(self.slot().key());
    }
}

/// An operation that is submitted when it is first polled, and what becomes of it.
///
/// A stage and a union, and no enum: going from one stage to the next copies what is there and nothing else, and at
/// the end there is nothing to drop, which the compiler sees.
pub(crate) struct Awaited<T: Operation> {
    stage: Stage,
    is: Is<T>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The operation is here.
    Unsubmitted,
    /// The hold on its slot is here.
    InFlight,
    /// Nothing is here.
    Done,
}

union Is<T: Operation> {
    operation: ManuallyDrop<T>,
    held: ManuallyDrop<Held<T>>,
}

impl<T: Operation> Awaited<T> {
    #[inline]
    pub(crate) fn new(operation: T) -> Self {
        Awaited { stage: Stage::Unsubmitted, is: Is { operation: ManuallyDrop::new(operation) } }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// # Panics
    /// Once the result was given, and as [`Held::start`].
    #[inline]
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<T::Output> {
        if self.stage == Stage::InFlight {
            // SAFETY: the stage says that the hold is here.
            if !unsafe { &self.is.held }.is_done(cx) {
                return Poll::Pending;
            }
            self.stage = Stage::Done;
            // SAFETY: it was here, and by the stage it is no more.
            let held = ManuallyDrop::into_inner(unsafe { ptr::read(&self.is.held) });
            let (operation, completion) = held.finish();
            return Poll::Ready(operation.complete(completion));
        }
        assert!(self.stage == Stage::Unsubmitted, "an operation was polled after it had completed");
        let take = || {
            self.stage = Stage::Done;
            // SAFETY: the stage said that the operation is here, and now says that it is no more.
            ManuallyDrop::into_inner(unsafe { ptr::read(&self.is.operation) })
        };
        self.is.held = ManuallyDrop::new(Held::start(take, cx));
        self.stage = Stage::InFlight;
        Poll::Pending
    }

    /// Drops what is here.
    #[cold]
    #[inline(never)]
    fn let_go(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            // SAFETY: the stage said that the operation is here.
            Stage::Unsubmitted => unsafe { ManuallyDrop::drop(&mut self.is.operation) },
            // SAFETY: the stage said that the hold is here.
            Stage::InFlight => unsafe { ManuallyDrop::drop(&mut self.is.held) },
            Stage::Done => {}
        }
    }
}

impl<T: Operation> Drop for Awaited<T> {
    #[inline]
    fn drop(&mut self) {
        if self.stage != Stage::Done {
            self.let_go();
        }
    }
}
