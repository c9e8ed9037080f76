//! Tasks: futures that a core runs beside its main one.
//!
//! A task is an `async_task` allocation: future, result and state in one. The future stays on its thread; its
//! wakers may go anywhere. Waking on the core puts the task into the core's own queue, waking elsewhere into the
//! remote one.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_task::Runnable;
use futures::FutureExt;

use super::core::with_local;
use super::{Handle, Remote};

/// Starts a task on the core that runs the caller. It need not be `Send`.
///
/// A panic in it reaches its [`JoinHandle`] and nobody else.
///
/// # Panics
/// Outside of a runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    Handle::current().spawn(future)
}

/// Lets every other task and every completion have a turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

impl Handle {
    /// Starts a task on this core; see [`spawn`].
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let core = self.core();
        let entry = core.tasks.borrow().vacant_key();
        let unlisted = Unlist { core: self.clone(), entry };
        let future = async move {
            // Lives as long as the future, whether it ends, panics or is dropped.
            let _unlisted = unlisted;
            AssertUnwindSafe(future).catch_unwind().await
        };
        let remote = core.remote.clone();
        let schedule = move |runnable| schedule(&remote, runnable);
        // SAFETY: the future and its output are 'static. The future need not be Send, because runnables are
        // only run and dropped by the core's thread: `schedule` puts them into that core's queues, which
        // only it reads and drains, and a runnable that comes after the end is forgotten. The schedule
        // function is Send and Sync: it holds an `Arc` of a `Sync` type.
        let (runnable, task) =
            unsafe { async_task::Builder::new().spawn_unchecked(move |()| future, schedule) };
        let listed = core.tasks.borrow_mut().insert(runnable.waker());
        debug_assert_eq!(listed, entry);
        if core.driver.is_closing() {
            // The runtime ends: dropping the runnable cancels the task.
            drop(runnable);
        } else {
            runnable.schedule();
        }
        JoinHandle { task: Some(task.fallible()) }
    }
}

fn schedule(remote: &Arc<Remote>, runnable: Runnable) {
    with_local(remote, |core| match core {
        Some(core) => core.local.borrow_mut().push_back(runnable),
        None => remote.push(runnable),
    });
}

/// Takes a task off its core's list.
struct Unlist {
    core: Handle,
    entry: usize,
}

impl Drop for Unlist {
    fn drop(&mut self) {
        let waker = self.core.core().tasks.borrow_mut().try_remove(self.entry);
        drop(waker);
    }
}

/// The result of a task, to be awaited. Dropping it lets the task go on by itself.
#[must_use = "dropping the handle detaches the task; say so with `drop` or `let _ =`"]
pub struct JoinHandle<T> {
    task: Option<async_task::FallibleTask<Result<T, Box<dyn Any + Send>>>>,
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task.as_mut().expect("only taken on drop");
        Pin::new(task).poll(cx).map(|result| match result {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => Err(JoinError(Some(panic))),
            None => Err(JoinError(None)),
        })
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// Why a task has no result: it panicked, or it was cancelled by the end of its runtime.
pub struct JoinError(Option<Box<dyn Any + Send>>);

impl JoinError {
    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_none()
    }

    /// What the task panicked with, to be resumed with [`std::panic::resume_unwind`].
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        self.0.ok_or(JoinError(None))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(panic) => match panic_message(panic.as_ref()) {
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

/// The text of a panic, where it has one.
pub(crate) fn panic_message<'a>(panic: &'a (dyn Any + Send + 'static)) -> Option<&'a str> {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}
