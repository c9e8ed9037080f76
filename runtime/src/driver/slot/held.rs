//! A future's hold on its operation: the operation itself until it is submitted, then its slot.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use super::chunk::Chunk;
use super::{Slot, State};
use crate::exec::{Core, Handle};
use crate::op::{Completion, Operation};

/// The slot of an operation that a future waits for, found without a look-up. Dropping it detaches the slot.
pub(crate) struct Held<T> {
    /// The core of the slot: there unless the slot is an orphan, or lost.
    core: NonNull<Core>,
    /// There as long as this is: see [`chunk`](super::chunk).
    slot: NonNull<Slot>,
    operation: PhantomData<T>,
}

impl<T: Operation> Held<T> {
    /// Moves an operation into a slot and submits it. If that cannot be, because the runtime is shutting down or the
    /// kernel lacks the opcode, the slot has its result at once, and the waker is woken.
    ///
    /// `take` gives the operation. It is asked as late as can be, so that the operation goes from where it is into the
    /// slot without a stop on the stack. Once it was asked, `hold` is given the hold on the slot, and nothing runs in
    /// between that can panic; the submission may.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[inline]
    pub(crate) fn start(take: impl FnOnce() -> T, cx: &Context<'_>, hold: impl FnOnce(Self)) {
        Handle::with_current(|core, pointer| {
            let (driver, slots) = (&core.driver, &core.driver.slots);
            let held = |slot| Held { core: pointer, slot: NonNull::from(slot), operation: PhantomData };
            let offered = T::IS_BASELINE || driver.ring.offers(&T::FACTS);
            if offered
                && driver.is_straight()
                && let Some(task) = core.polled_with(cx.waker())
                && let Some(free) = slots.first_free()
            {
                let slot = slots.fill(free, take, || State::Task(task.retain()));
                hold(held(slot));
                return driver.submit_straight::<T>(slot);
            }
            let waiter = core.waiter(cx.waker());
            let slot = slots.insert(take, Some(waiter));
            hold(held(slot));
            driver.submit_otherwise::<T>(slot, offered);
        });
    }

    /// Whether the result is there; if not, whoever polls will be woken.
    #[inline]
    pub(crate) fn is_done(&self, cx: &Context<'_>) -> bool {
        matches!(self.slot().state(), State::Done) || self.is_done_otherwise(cx)
    }

    /// Polled before the completion, by another task perhaps; or after the end of the runtime.
    #[cold]
    fn is_done_otherwise(&self, cx: &Context<'_>) -> bool {
        let slot = self.slot();
        match slot.state() {
            State::Orphan => return true,
            State::Lost => return false,
            _ => {}
        }
        let waiter = match slot.state.replace(State::Told).waiter() {
            Some(waiter) if waiter.will_wake(cx.waker()) => waiter,
            old => {
                // Foreign code, twice, which may do anything to the core: it may even be gone afterwards.
                let waiter = self.core().waiter(cx.waker());
                drop(old);
                waiter
            }
        };
        if matches!(slot.state(), State::Told) {
            slot.state.set(waiter.into());
            return false;
        }
        drop(waiter);
        matches!(slot.state(), State::Done | State::Orphan)
    }

    /// The operation and its result.
    ///
    /// # Panics
    /// If the result is not there.
    #[inline]
    pub(crate) fn finish(self) -> (T, Completion) {
        if !matches!(self.slot().state(), State::Done) {
            return *self.finish_orphan();
        }
        let held = ManuallyDrop::new(self);
        // SAFETY: `start` filled the slot with a `T`, nobody else holds it, and the hold was just given up.
        unsafe { held.core().driver.slots.take(held.slot()) }
    }

    /// Boxed, so that the operation of all others can stay in registers.
    #[cold]
    #[inline(never)]
    fn finish_orphan(self) -> Box<(T, Completion)> {
        assert!(matches!(self.slot().state(), State::Orphan), "the result is not there");
        let held = ManuallyDrop::new(self);
        // SAFETY: as in `finish`, for a slot without a table.
        let result = Box::new(unsafe { held.slot().take() });
        // SAFETY: the hold was given up.
        unsafe { Chunk::let_go(held.slot) };
        result
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
        if self.slot().state().is_held() {
            self.core().driver.cancel(self.slot().key());
        }
    }

    /// Whether the thread runs its core at the moment.
    fn is_here(&self) -> bool {
        !matches!(self.slot().state(), State::Orphan | State::Lost) && Handle::runs_here(self.core)
    }

    #[inline]
    fn slot(&self) -> &Slot {
        // SAFETY: its table or, once that is gone, the count of orphans keeps the slot's memory; slots are only used
        // through cells.
        unsafe { self.slot.as_ref() }
    }

    /// The core; not for orphans.
    #[inline]
    fn core(&self) -> &Core {
        debug_assert!(!matches!(self.slot().state(), State::Orphan | State::Lost), "the core is gone");
        // SAFETY: when the core goes, the slot becomes an orphan, or lost; before that nothing foreign runs.
        unsafe { self.core.as_ref() }
    }
}

impl<T> Drop for Held<T> {
    #[cold]
    fn drop(&mut self) {
        match self.slot().state() {
            State::Lost => {}
            State::Orphan => {
                self.slot().discard_orphan();
                // SAFETY: an orphan that nobody uses any more.
                unsafe { Chunk::let_go(self.slot) };
            }
            _ => {
                // Shared meanwhile, because what is dropped may be the last that does.
                // SAFETY: the slot is no orphan, and not lost: the core is there. The pointer came from `with_current`.
                let core = unsafe { Handle::of(self.core) };
                core.driver().detach(self.slot());
            }
        }
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

    /// See [`Held::cancel`].
    pub(crate) fn cancel(&self) {
        if self.stage == Stage::InFlight {
            // SAFETY: the stage says that the hold is here.
            unsafe { &self.is.held }.cancel();
        }
    }

    /// Whether the thread runs the core that it was submitted to, if it was.
    pub(crate) fn is_here(&self) -> bool {
        match self.stage {
            Stage::Unsubmitted | Stage::Done => true,
            // SAFETY: the stage says that the hold is here.
            Stage::InFlight => unsafe { &self.is.held }.is_here(),
        }
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
        let this = &raw mut *self;
        // SAFETY: the stage says that the operation is here; once this was asked, nothing panics before `hold` says that
        // it is no more.
        let take = || ManuallyDrop::into_inner(unsafe { ptr::read(&raw const (*this).is.operation) });
        // SAFETY: `self`, which nobody else uses meanwhile.
        let hold = |held| unsafe {
            (*this).is.held = ManuallyDrop::new(held);
            (*this).stage = Stage::InFlight;
        };
        Held::start(take, cx, hold);
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
