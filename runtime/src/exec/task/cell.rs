//! The part of a task that depends on its future, and the table by which the header reaches it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::header::{Header, Table};
use super::join::JoinError;
use super::waker;
use crate::events;
use crate::exec::Remote;
use crate::exec::quietly::{discard, quietly};

/// A task's allocation. The header comes first, so a pointer to it is one to the whole.
#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    /// Pinned: it is polled and dropped in place.
    Future(F),
    Output(Result<F::Output, JoinError>),
    Gone,
}

/// Puts a future into a task that has two references: the core's and that of its handle.
pub(super) fn allocate<F: Future + 'static>(future: F, remote: Arc<Remote>) -> NonNull<Header> {
    let cell: *mut TaskCell<F> = Box::into_raw(Box::<TaskCell<F>>::new_uninit()).cast();
    // SAFETY: a box's pointer is not null.
    let task = unsafe { NonNull::new_unchecked(cell) }.cast();
    // SAFETY: the waker is a part of the task, which is there before anybody uses it.
    let waker = unsafe { waker::borrowed(task) };
    let header = Header::new(remote, TableOf::<F>::TABLE, waker);
    // SAFETY: the box's memory, large and aligned for a cell.
    unsafe { cell.write(TaskCell { header, stage: UnsafeCell::new(Stage::Future(future)) }) };
    task
}

struct TableOf<F>(F);

impl<F: Future + 'static> TableOf<F> {
    const TABLE: &'static Table = &Table {
        poll: Self::poll,
        cancel: Self::cancel,
        take: Self::take,
        discard: Self::discard,
        free: Self::free,
    };

    /// # Safety
    /// - `header` is one that `allocate::<F>` made, and not freed;
    /// - the caller is the core's thread, and nobody else uses the stage for as long as the reference lives.
    unsafe fn stage<'t>(header: NonNull<Header>) -> &'t mut Stage<F> {
        // SAFETY: the caller's promise; the cell begins with the header.
        unsafe { &mut *header.cast::<TaskCell<F>>().as_ref().stage.get() }
    }

    /// # Safety
    /// As `stage`: while foreign code runs in here, it can reach the header's flags but not the stage, because
    /// handles look into it only when the task is done.
    unsafe fn poll(header: NonNull<Header>, cx: &mut Context<'_>) -> bool {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(header) };
        let polled = catch_unwind(AssertUnwindSafe(|| match stage {
            // SAFETY: the future is never moved out of the stage, which is on the heap; it is dropped where it is.
            Stage::Future(future) => unsafe { Pin::new_unchecked(future) }.poll(cx),
            _ => unreachable!("a task that is done is not polled"),
        }));
        let output = match polled {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => {
                let error = JoinError::panicked(panic);
                events::warning!(%error, future = std::any::type_name::<F>());
                Err(error)
            }
        };
        // The first panic is the one that is told; a destructor that panics after a result changes nothing.
        let _ = replace(stage, Stage::Gone).map_err(discard);
        *stage = Stage::Output(output);
        true
    }

    /// # Safety
    /// As `poll`.
    unsafe fn cancel(header: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(header) };
        let error = match replace(stage, Stage::Gone) {
            Ok(()) => JoinError::cancelled(),
            Err(panic) => JoinError::panicked(panic),
        };
        *stage = Stage::Output(Err(error));
    }

    /// # Safety
    /// - as `stage`, for a task that is done;
    /// - `into` points to an `Option<Result<F::Output, JoinError>>` that is `None`.
    unsafe fn take(header: NonNull<Header>, into: *mut ()) {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(header) };
        if let Stage::Output(output) = std::mem::replace(stage, Stage::Gone) {
            // SAFETY: the caller's promise; the `None` that is overwritten needs no drop.
            unsafe { into.cast::<Option<Result<F::Output, JoinError>>>().write(Some(output)) };
        }
    }

    /// # Safety
    /// As `stage`, for a task that is done.
    unsafe fn discard(header: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let stage = unsafe { Self::stage(header) };
        let output = std::mem::replace(stage, Stage::Gone);
        // Nobody is left to be told of a panic.
        quietly(|| drop(output));
    }

    /// # Safety
    /// `header` is one that `allocate::<F>` made, there is no other reference to it, and its stage is `Gone`.
    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: the caller's promise; `allocate` leaked this box, and filled it.
        drop(unsafe { Box::from_raw(header.cast::<TaskCell<F>>().as_ptr()) });
    }
}

/// Drops what is in the stage, in place, and says whether that panicked.
fn replace<F: Future>(stage: &mut Stage<F>, new: Stage<F>) -> Result<(), Box<dyn Any + Send>> {
    // An assignment writes the new value also if the drop of the old one unwinds.
    caught(|| *stage = new)
}

/// Runs foreign code, and catches its panic.
fn caught(run: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(run))
}
