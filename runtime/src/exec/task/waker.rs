//! Wakers of tasks: a reference to the task in the shape that `std` wants.
//!
//! Where the core keeps a waker itself, it first looks whether it is that of the task it polls, which it nearly always
//! is. Then it keeps the task ([`Waiter`]), and needs neither the table's functions nor the thread's current scheduler.

use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::{Header, TaskRef};
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

/// Who waits for what a core will do.
pub(crate) enum Waiter {
    /// A task of this core, the reference counted by the core itself.
    Task(TaskRef),
    /// Anybody else.
    Waker(Waker),
}

impl Waiter {
    /// Whoever polls with `waker`. The calling thread is that of `scheduler`.
    pub(in crate::exec) fn new(waker: &Waker, scheduler: &Scheduler) -> Waiter {
        match scheduler.polled_with(waker) {
            Some(task) => Waiter::Task(task.retain()),
            None => Waiter::Waker(waker.clone()),
        }
    }

    /// Whether waking it wakes whoever polls with `waker`.
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        match self {
            Waiter::Task(task) => task_of(waker) == Some(task.as_ptr()),
            Waiter::Waker(own) => own.will_wake(waker),
        }
    }

    /// Wakes it.
    pub(crate) fn wake(self) {
        match self {
            Waiter::Task(task) => task.wake(),
            Waiter::Waker(waker) => waker.wake(),
        }
    }
}

impl TaskRef {
    /// [`wake`](TaskRef::wake) for a task of `scheduler`, whose core runs on the calling thread, which therefore need not
    /// be found out.
    #[inline]
    pub(in crate::exec) fn wake_here(self, scheduler: &Scheduler) {
        let header = self.header();
        if !header.begin_waiting() {
            return self.wake();
        }
        scheduler.enqueue(self.as_ptr());
        header.release_locally();
        // What it counted for was just given up.
        mem::forget(self);
    }
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
