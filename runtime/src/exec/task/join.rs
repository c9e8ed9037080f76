//! What is left in the hand of whoever spawned: the result to be awaited, and the means to end it early.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Polled;
use super::header::{DONE, TaskRef};
use crate::exec::Handle;
use crate::exec::packet::{Abort, Awaited};

/// The result of a task, of a blocking closure, or of a future that was sent to another core; to be awaited.
///
/// Dropping it detaches: the task goes on by itself, and its output is dropped when it ends. A handle stays
/// on the thread on which it was made; any executor on that thread can await it, also after the runtime is gone.
///
/// # Panics
/// If it is polled again after it gave the result.
#[must_use = "dropping the handle detaches the task; say so with `drop` or `let _ =`"]
pub struct JoinHandle<T> {
    source: Source<T>,
}

enum Source<T> {
    Task(Joined<T>),
    Packet(Arc<dyn Awaited<T>>),
}

impl<T> JoinHandle<T> {
    pub(in crate::exec) fn of_task(task: Joined<T>) -> Self {
        JoinHandle { source: Source::Task(task) }
    }

    pub(in crate::exec) fn of_packet(packet: Arc<dyn Awaited<T>>) -> Self {
        JoinHandle { source: Source::Packet(packet) }
    }

    /// Ends the task: its future is dropped when its turn comes, and awaiting it gives a
    /// [cancelled](JoinError::is_cancelled) error. Nothing happens to a task that is done, and a blocking closure
    /// that has started runs on. A task that aborts itself ends at its next await.
    pub fn abort(&self) {
        match &self.source {
            Source::Task(joined) => joined.task.abort(),
            Source::Packet(packet) => packet.abort(),
        }
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        match &self.source {
            Source::Task(joined) => joined.task.header().has(DONE),
            Source::Packet(packet) => packet.is_finished(),
        }
    }

    /// A means to abort the task that can be cloned, kept and sent anywhere.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(match &self.source {
            Source::Task(joined) => Target::Task(joined.task.clone()),
            Source::Packet(packet) => Target::Packet(packet.clone()),
        })
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.source {
            Source::Task(joined) => joined.poll(cx),
            Source::Packet(packet) => packet.poll(cx),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

/// The handle of a task: the only one, and the only reader of its output.
pub(in crate::exec) struct Joined<T> {
    task: TaskRef,
    /// Not `Send`: the output belongs to the core's thread.
    output: PhantomData<*const T>,
}

impl<T> Joined<T> {
    /// # Safety
    /// The reference is the one of the handle, used on the core's thread, to a task whose output is a `T`.
    pub(super) unsafe fn new(task: TaskRef) -> Self {
        Joined { task, output: PhantomData }
    }

    pub(super) fn task(&self) -> &TaskRef {
        &self.task
    }

    pub(in crate::exec) fn waker(&self) -> Waker {
        self.task.clone().into_waker()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let header = self.task.header();
        if !header.has(DONE) {
            let old = header.joiner.replace(Some(cx.waker().clone()));
            drop(old);
            return Poll::Pending;
        }
        let mut output: Option<Result<T, JoinError>> = None;
        // SAFETY: the task is done; this is the core's thread, because a `Joined` never leaves it; and the type
        // is the one the task was made with, by the promise to `new`.
        unsafe { (header.table.take)(self.task.as_ptr(), std::ptr::from_mut(&mut output).cast()) };
        Poll::Ready(output.expect("a JoinHandle was polled after it had given the result"))
    }
}

impl<T> Drop for Joined<T> {
    fn drop(&mut self) {
        let header = self.task.header();
        header.joined.set(false);
        drop(header.joiner.take());
        if header.has(DONE) {
            // SAFETY: the task is done and this is the core's thread.
            unsafe { (header.table.discard)(self.task.as_ptr()) };
        }
    }
}

/// Ends a task from anywhere. Dropping it does nothing.
#[derive(Clone)]
pub struct AbortHandle(Target);

#[derive(Clone)]
enum Target {
    Task(TaskRef),
    Packet(Arc<dyn Abort>),
}

impl AbortHandle {
    /// Ends the task that is polled with `cx`, which is one of this thread's core.
    pub(in crate::exec) fn of_current(cx: &mut Context<'_>) -> AbortHandle {
        let task = Handle::with_current(|core, _| core.polled_with(cx.waker()).map(Polled::retain));
        AbortHandle(Target::Task(task.expect("a task is polled with its own waker")))
    }

    /// See [`JoinHandle::abort`]; from any thread.
    pub fn abort(&self) {
        match &self.0 {
            Target::Task(task) => task.abort(),
            Target::Packet(packet) => packet.abort(),
        }
    }

    /// Whether the task is done.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Target::Task(task) => task.header().is_merged(),
            Target::Packet(packet) => packet.is_finished(),
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle").field("finished", &self.is_finished()).finish()
    }
}

/// Why there is no result: the task or closure panicked, or it was cancelled, by [`JoinHandle::abort`] or by
/// the end of its runtime.
///
/// Send and Sync, so that it converts into the errors that most people pass around.
// What it panicked with need not be Sync: the lock makes it so, and is only ever taken to print it. Boxed once more, so that a
// result is not larger for it.
pub struct JoinError(Option<Box<Panic>>);

type Panic = Mutex<Box<dyn Any + Send>>;

impl JoinError {
    pub(in crate::exec) fn panicked(panic: Box<dyn Any + Send>) -> Self {
        JoinError(Some(Box::new(Mutex::new(panic))))
    }

    pub(in crate::exec) fn cancelled() -> Self {
        JoinError(None)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// What the task panicked with, to be resumed with [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// If it was cancelled.
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic().expect("the task was cancelled and has not panicked")
    }

    /// What the task panicked with, or the error itself if it was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        let panic = self.0.ok_or(JoinError(None))?;
        Ok(panic.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(panic) => match panic_message(panic.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
            {
                Some(message) => write!(f, "the task panicked: {message}"),
                None => write!(f, "the task panicked"),
            },
            None => write!(f, "the task was cancelled"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        std::io::Error::other(error.to_string())
    }
}

/// The text of a panic, where it has one.
pub(in crate::exec) fn panic_message<'a>(panic: &'a (dyn Any + Send + 'static)) -> Option<&'a str> {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}
