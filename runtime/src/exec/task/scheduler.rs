//! The tasks of a core: all of them in one list, those that are ready in one queue.
//!
//! Both are linked through the tasks' headers, so that neither waking nor spawning allocates for them. The list
//! is how the end of the runtime reaches every task that is not done; it holds the core's reference.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::{Context, Waker};

use super::cell::allocate;
use super::header::{DONE, Header, SCHEDULED, TaskRef};
use super::join::Joined;
use crate::exec::Remote;
use crate::metrics::Counter;

pub(in crate::exec) struct Scheduler {
    remote: Arc<Remote>,
    first_ready: Cell<Option<NonNull<Header>>>,
    last_ready: Cell<Option<NonNull<Header>>>,
    /// The waker inside of the task that was polled last, unless that is done: it is alive if it is not null.
    polled: Cell<*mut Waker>,
    first_task: Cell<Option<NonNull<Header>>>,
    tasks: Cell<usize>,
}

thread_local! {
    /// The scheduler that this thread runs.
    static CURRENT: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// A task of a scheduler that is not done.
pub(crate) struct Polled<'s> {
    task: NonNull<Header>,
    /// Not `Send`: this is the core's thread. To be used before anything foreign runs.
    scheduler: PhantomData<&'s Scheduler>,
}

impl Polled<'_> {
    /// A reference to it.
    #[inline]
    pub(crate) fn retain(self) -> TaskRef {
        // SAFETY: the task is alive, because it is not done; the reference is counted here, and by the core itself, on
        // whose thread this is.
        unsafe {
            self.task.as_ref().retain_locally();
            TaskRef::from_raw(self.task)
        }
    }
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
            polled: Cell::new(ptr::null_mut()),
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

    /// Whether a task is in the queue.
    #[inline]
    pub(in crate::exec) fn has_ready(&self) -> bool {
        self.first_ready.get().is_some()
    }

    /// The task that was polled last, if that is its own waker.
    #[inline]
    pub(in crate::exec) fn polled_with(&self, waker: &Waker) -> Option<Polled<'_>> {
        let own = self.polled.get();
        // The address of a waker that is a part of a live task is that of no other.
        if !ptr::eq(own, waker) {
            return None;
        }
        // SAFETY: it is where a reference points to; and `run_task` made this pointer of one to the whole task, which is
        // alive, because it is not done.
        let task = unsafe { task_of(NonNull::new_unchecked(own)) };
        Some(Polled { task, scheduler: PhantomData })
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
        let header = unsafe { task.as_ref() };
        if header.begin_waiting() {
            self.enqueue(task);
        } else if !header.has(SCHEDULED | DONE) {
            // One that is to end.
            header.set(SCHEDULED);
            self.enqueue(task);
        }
    }

    /// Puts a task of this core into the queue, which was not there and is marked now.
    #[inline]
    pub(super) fn enqueue(&self, task: NonNull<Header>) {
        match self.last_ready.replace(Some(task)) {
            // SAFETY: tasks in the queue are alive: the core keeps its reference until they leave it.
            Some(last) => unsafe { last.as_ref() }.queue_next.set(Some(task)),
            None => self.first_ready.set(Some(task)),
        }
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

    /// Polls the tasks that are in the queue now, but no more than `most`, and counts them. Those that are woken
    /// meanwhile wait behind them.
    #[inline]
    pub(in crate::exec) fn run(&self, most: usize, polls: &Counter) {
        let (Some(first), Some(last)) = (self.first_ready.take(), self.last_ready.take()) else { return };
        let mut batch = Batch { scheduler: self, first: Some(first), last };
        for _ in 0..most {
            let Some(task) = batch.first else { break };
            polls.add(1);
            // SAFETY: tasks in the queue are alive.
            batch.first = unsafe { task.as_ref() }.queue_next.take();
            self.run_task(task);
        }
    }

    /// Takes the first task out of the queue and polls it. False if there is none.
    pub(in crate::exec) fn run_one(&self) -> bool {
        let ready = self.has_ready();
        self.run(1, &Counter::default());
        ready
    }

    /// Polls a task that was just taken out of the queue.
    #[inline]
    fn run_task(&self, task: NonNull<Header>) {
        // SAFETY: tasks in the queue are alive.
        let header = unsafe { task.as_ref() };
        if !header.begin_poll() {
            return self.end(task);
        }
        self.polled.set(own_waker(task));
        // SAFETY: the core's reference keeps the task alive over the poll; the future is there, on this
        // thread, and polled by nobody else, since tasks are not run from inside of tasks.
        let done = unsafe { (header.table.poll)(task, &mut Context::from_waker(&header.waker)) };
        if done {
            self.finish(task);
        }
    }

    /// Lets a task go that is done, or is to end, as its turn in the queue has come.
    #[cold]
    fn end(&self, task: NonNull<Header>) {
        // SAFETY: tasks in the queue are alive.
        let header = unsafe { task.as_ref() };
        header.clear(SCHEDULED);
        if header.has(DONE) {
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
        while self.has_ready() {
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
        if ptr::eq(self.polled.get(), own_waker(task)) {
            self.polled.set(ptr::null_mut());
        }
        header.set(DONE);
        header.merge();
        let joiner = header.joiner.take();
        if !header.joined.get() {
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

/// Where the waker is that a task is polled with. The task is alive.
#[inline]
fn own_waker(task: NonNull<Header>) -> *mut Waker {
    // SAFETY: inside of the task.
    unsafe { task.byte_add(offset_of!(Header, waker)).cast().as_ptr() }
}

/// The way back.
///
/// # Safety
/// The pointer is one that `own_waker` gave, of a task that is alive.
#[inline]
unsafe fn task_of(own: NonNull<Waker>) -> NonNull<Header> {
    // SAFETY: the caller's promise.
    unsafe { own.byte_sub(offset_of!(Header, waker)).cast() }
}

/// Tasks that were taken off the queue to be polled. Those that are left when it is dropped go back to its head.
struct Batch<'s> {
    scheduler: &'s Scheduler,
    first: Option<NonNull<Header>>,
    /// The last of those that are left, if there are any.
    last: NonNull<Header>,
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(first) = self.first else { return };
        let behind = self.scheduler.first_ready.replace(Some(first));
        // SAFETY: tasks in the queue are alive, and those of a batch are in it again.
        unsafe { self.last.as_ref() }.queue_next.set(behind);
        if behind.is_none() {
            self.scheduler.last_ready.set(Some(self.last));
        }
    }
}
