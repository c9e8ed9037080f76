//! Starting tasks.

use std::future::Future;

use super::{Handle, JoinHandle};

/// Starts a task on the core that runs the caller. It need not be `Send`.
///
/// It is polled for the first time in the core's next turn. A panic in it reaches its [`JoinHandle`] and nobody
/// else.
///
/// # Panics
/// Outside of a runtime.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    Handle::current().spawn(future)
}

impl Handle {
    /// Starts a task on this core; see [`spawn`]. If the runtime is being dropped, or is gone, the future is
    /// dropped and the handle gives a cancelled error.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let core = self.core();
        let task = core.scheduler.insert(future);
        if core.driver.is_closing() {
            core.scheduler.refuse(&task);
        } else {
            core.driver.counters.spawned.add(1);
            core.scheduler.start(&task);
        }
        JoinHandle::of_task(task)
    }
}
