//! The task that stands for the future of `block_on`.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::core::Core;
use super::task::Joined;

/// Woken in the place of the future, which need not be 'static and so is no task; when it runs, it notes that.
pub(super) struct StandIn<'c> {
    core: &'c Core,
    task: Joined<()>,
}

impl<'c> StandIn<'c> {
    pub(super) fn new(core: &'c Core) -> Self {
        core.main_woken.set(true);
        let woken = core.main_woken.clone();
        let task = core.scheduler.insert(poll_fn(move |_| {
            woken.set(true);
            Poll::Pending
        }));
        core.stand_ins.set(core.stand_ins.get() + 1);
        StandIn { core, task }
    }

    pub(super) fn waker(&self) -> Waker {
        self.task.waker()
    }
}

impl Drop for StandIn<'_> {
    fn drop(&mut self) {
        self.core.stand_ins.set(self.core.stand_ins.get() - 1);
        self.core.scheduler.refuse(&self.task);
    }
}
