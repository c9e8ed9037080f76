//! The tasks of a core: all of them in one list, those that are ready in one queue.
//!
//! Both are linked through the tasks' headers, so that neither waking nor spawning allocates for them. The list
//! is how the end of the runtime reaches every task that is not done; it holds the core's reference.

use std::cell::Cell;
use std::future::Future;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::Context;

use super::cell::allocate;
use super::header::{DONE, ENDING, Header, JOINED, SCHEDULED, TaskRef};
use super::join::Joined;
use crate::exec::Remote;

pub(in crate::exec) struct Scheduler {
    remote: Arc<Remote>,
    first_ready: Cell<Option<NonNull<Header>>>,
    last_ready: Cell<Option<NonNull<Header>>>,
    ready: Cell<usize>,
    first_task: Cell<Option<NonNull<Header>>>,
    tasks: Cell<usize>,
}

thread_local! {
    /// The scheduler that this thread runs.
    static CURRENT: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// While it lives, the thread runs a scheduler.
pub(in crate::exec) struct Entered {
    previous: *const Scheduler,
}

impl Entered {
    /// # Safety
    /// The scheduler outlives what is returned, and is not moved meanwhile.
    pub(in crate::exec) unsafe fn new(scheduler: &Scheduler) -> Entered {
        Entered { previous: CURRENT.with(|current| current.replace(scheduler)) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.previous));
    }
}

impl Scheduler {
    pub(in crate::exec) fn new(remote: Arc<Remote>) -> Scheduler {
        Scheduler {
            remote,
            first_ready: Cell::new(None),
            last_ready: Cell::new(None),
            ready: Cell::new(0),
            first_task: Cell::new(None),
            tasks: Cell::new(0),
        }
    }

    /// Shows the scheduler that belongs to `remote`, if the calling thread runs it.
    #[inline]
    pub(super) fn with_current<T>(remote: &Arc<Remote>, then: impl FnOnce(Option<&Scheduler>) -> T) -> T {
        let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
        // SAFETY: `Entered::new` had the promise that the scheduler is there until the pointer is taken back,
        // which happens on this thread, in a frame of the stack below this one.
        let current = unsafe { current.as_ref() };
        then(current.filter(|scheduler| scheduler.is_of(remote)))
    }

    /// Whether this is the scheduler that belongs to `remote`.
    #[inline]
    pub(super) fn is_of(&self, remote: &Arc<Remote>) -> bool {
        // The address of an `Arc` that both hold is never that of another core's.
        ptr::eq(Arc::as_ptr(&self.remote), Arc::as_ptr(remote))
    }

    /// Whether the calling thread runs the scheduler of `remote`.
    #[inline]
    pub(in crate::exec) fn is_current(remote: &Arc<Remote>) -> bool {
        Scheduler::with_current(remote, |scheduler| scheduler.is_some())
    }

    /// Tasks in the queue.
    #[inline]
    pub(in crate::exec) fn ready(&self) -> usize {
        self.ready.get()
    }

    /// Tasks that are not done.
    pub(in crate::exec) fn tasks(&self) -> usize {
        self.tasks.get()
    }

    /// Makes a task, in the list but not in the queue, and gives its handle.
    pub(in crate::exec) fn insert<F: Future + 'static>(&self, future: F) -> Joined<F::Output> {
        let task = allocate(future, self.remote.clone());
        // SAFETY: just allocated; the list takes the core's reference, the caller the other one.
        let header = unsafe { task.as_ref() };
        let next = self.first_task.replace(Some(task));
        header.list_next.set(next);
        if let Some(next) = next {
            // SAFETY: tasks in the list are alive.
            unsafe { next.as_ref() }.list_previous.set(Some(task));
        }
        self.tasks.set(self.tasks.get() + 1);
        // SAFETY: the reference of the handle, counted by `allocate`, and the type of its output.
        unsafe { Joined::new(TaskRef::from_raw(task)) }
    }

    fn unlist(&self, header: &Header) {
        let (previous, next) = (header.list_previous.take(), header.list_next.take());
        match previous {
            // SAFETY: tasks in the list are alive.
            Some(previous) => unsafe { previous.as_ref() }.list_next.set(next),
            None => self.first_task.set(next),
        }
        if let Some(next) = next {
            // SAFETY: as above.
            unsafe { next.as_ref() }.list_previous.set(previous);
        }
        self.tasks.set(self.tasks.get() - 1);
    }

    /// Puts a task of this core into the queue, unless it is there or done. The task is alive.
    #[inline]
    pub(in crate::exec::task) fn schedule(&self, task: NonNull<Header>) {
        // SAFETY: the caller has a reference to it.
        if !unsafe { task.as_ref() }.has(SCHEDULED | DONE) {
            self.enqueue(task);
        }
    }

    /// Puts a task of this core into the queue, which is neither there nor done.
    #[inline]
    pub(super) fn enqueue(&self, task: NonNull<Header>) {
        // SAFETY: the caller has a reference to it.
        unsafe { task.as_ref() }.set(SCHEDULED);
        match self.last_ready.replace(Some(task)) {
            // SAFETY: tasks in the queue are alive: the core keeps its reference until they leave it.
            Some(last) => unsafe { last.as_ref() }.queue_next.set(Some(task)),
            None => self.first_ready.set(Some(task)),
        }
        self.ready.set(self.ready.get() + 1);
    }

    /// Puts a task that `insert` gave into the queue.
    pub(in crate::exec) fn start<T>(&self, task: &Joined<T>) {
        self.schedule(task.task().as_ptr());
    }

    /// A task that was woken elsewhere.
    pub(in crate::exec) fn take_remote(&self, task: TaskRef) {
        task.header().see_notification();
        self.schedule(task.as_ptr());
    }

    /// Takes the first task out of the queue and polls it. False if there is none.
    #[inline]
    pub(in crate::exec) fn run_one(&self) -> bool {
        let Some(task) = self.first_ready.get() else { return false };
        // SAFETY: tasks in the queue are alive.
        let header = unsafe { task.as_ref() };
        let next = header.queue_next.take();
        self.first_ready.set(next);
        if next.is_none() {
            self.last_ready.set(None);
        }
        self.ready.set(self.ready.get() - 1);
        header.clear(SCHEDULED);
        if header.has(DONE | ENDING) {
            self.end(task);
            return true;
        }
        // SAFETY: the core's reference keeps the task alive over the poll; the future is there, on this
        // thread, and polled by nobody else, since tasks are not run from inside of tasks.
        let done = unsafe { (header.table.poll)(task, &mut Context::from_waker(&header.waker)) };
        if done {
            self.finish(task);
        }
        true
    }

    /// Lets a task go that is done, or is to end, as its turn in the queue has come.
    #[cold]
    fn end(&self, task: NonNull<Header>) {
        // SAFETY: tasks in the queue are alive.
        if unsafe { task.as_ref() }.has(DONE) {
            // SAFETY: the core's reference, which a task that was done in the queue left for this moment.
            drop(unsafe { TaskRef::from_raw(task) });
        } else {
            self.cancel(task);
        }
    }

    /// Drops the future of a task that is not done.
    fn cancel(&self, task: NonNull<Header>) {
        // SAFETY: as for the poll in `run_one`.
        unsafe { (task.as_ref().table.cancel)(task) };
        self.finish(task);
    }

    /// Cancels a task that is not done and is not being polled.
    pub(in crate::exec) fn refuse<T>(&self, task: &Joined<T>) {
        let task = task.task();
        if !task.header().has(DONE) {
            self.cancel(task.as_ptr());
        }
    }

    /// Cancels the tasks that there are, and empties the queue. False if there was none.
    pub(in crate::exec) fn cancel_all(&self) -> bool {
        let mut any = false;
        while let Some(task) = self.first_task.get() {
            any = true;
            self.cancel(task);
        }
        while self.ready() > 0 {
            any |= self.run_one();
        }
        any
    }

    /// The future is gone and the output there: tells whoever waits, and lets go of the core's reference.
    #[cold]
    fn finish(&self, task: NonNull<Header>) {
        // SAFETY: the core's reference still keeps it alive.
        let header = unsafe { task.as_ref() };
        self.unlist(header);
        header.set(DONE);
        header.merge();
        let joiner = header.joiner.take();
        if !header.has(JOINED) {
            // SAFETY: the task is done, this is the core's thread, and no handle is left.
            unsafe { (header.table.discard)(task) };
        }
        if !header.has(SCHEDULED) {
            // SAFETY: the core's reference; nothing in here uses the task any more.
            drop(unsafe { TaskRef::from_raw(task) });
        }
        // Last, since it may be anybody's waker.
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}
