//! Wakers of tasks: a reference to the task in the shape that `std` wants.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::{Header, TaskRef};

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// A waker for as long as somebody else keeps the task alive: it has no reference of its own, and must not
/// be dropped.
///
/// # Safety
/// The task outlives the waker (clones of it count for themselves).
#[inline]
pub(super) unsafe fn borrowed(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the table's functions take the pointer for that of a live task, which the caller promises. They
    // may be called on any thread, because `TaskRef` may.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &TABLE)) })
}

impl TaskRef {
    /// The same reference as a waker.
    pub(super) fn into_waker(self) -> Waker {
        // SAFETY: as in `borrowed`; the waker takes the reference over, and gives it up when it is dropped.
        unsafe { Waker::from_raw(RawWaker::new(self.into_raw().as_ptr().cast_const().cast(), &TABLE)) }
    }
}

/// The reference that a waker's pointer stands for.
///
/// # Safety
/// The pointer came from `borrowed` or `clone`, and the task is alive.
#[inline]
unsafe fn task(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: the caller's promise; not dropped, so no count is given up here.
    ManuallyDrop::new(unsafe { TaskRef::from_raw(NonNull::new_unchecked(data.cast_mut().cast())) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: a waker that is cloned is alive, and with it the task.
    let clone = TaskRef::clone(&*unsafe { task(data) });
    RawWaker::new(clone.into_raw().as_ptr().cast_const().cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: waking by value gives the waker's reference up.
    ManuallyDrop::into_inner(unsafe { task(data) }).wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: a waker that is used is alive, and with it the task.
    unsafe { task(data) }.wake_by_ref();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: dropping a waker gives its reference up.
    drop(ManuallyDrop::into_inner(unsafe { task(data) }));
}
