//! Wakers of tasks: a reference to the task in the shape that `std` wants.
//!
//! Where the core handles a waker itself, it first looks whether it is that of one of its own tasks, which it nearly
//! always is. Then it needs neither the table's functions nor the thread's current scheduler.

use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::{DONE, Header, SCHEDULED, TaskRef};
use super::scheduler::Scheduler;

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

/// A clone of `waker`. The calling thread runs `scheduler`.
#[inline]
pub(in crate::exec) fn clone_here(waker: &Waker, scheduler: &Scheduler) -> Waker {
    let Some(task) = task_of(waker) else { return waker.clone() };
    // SAFETY: the waker keeps its task alive.
    let header = unsafe { task.as_ref() };
    // The flags only once it is known whose thread this is.
    if !header.is_of(scheduler) || header.has(DONE) {
        return waker.clone();
    }
    header.retain_locally();
    // SAFETY: as in `borrowed`; the reference that was just counted is the clone's.
    unsafe { Waker::from_raw(RawWaker::new(task.as_ptr().cast_const().cast(), &TABLE)) }
}

/// Wakes, and gives the waker up. The calling thread runs `scheduler`.
#[inline]
pub(in crate::exec) fn wake_here(waker: Waker, scheduler: &Scheduler) {
    let Some(task) = task_of(&waker) else { return waker.wake() };
    // SAFETY: the waker keeps its task alive.
    let header = unsafe { task.as_ref() };
    // The flags only once it is known whose thread this is.
    if !header.is_of(scheduler) || header.has(SCHEDULED | DONE) {
        return waker.wake();
    }
    scheduler.enqueue(task);
    header.release_locally();
    // Its reference was just given up.
    mem::forget(waker);
}

/// The task of `waker`, if it is that of a task of any core.
#[inline]
fn task_of(waker: &Waker) -> Option<NonNull<Header>> {
    // A static has one address, and nobody else can name this one.
    if !ptr::eq(waker.vtable(), &TABLE) {
        return None;
    }
    // SAFETY: the table is that of tasks, whose wakers never point to null.
    Some(unsafe { NonNull::new_unchecked(waker.data().cast_mut().cast()) })
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
