//! The runtime: what owns a core, runs it, and drains it at the end.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use super::core::Entered;
use super::stand_in::StandIn;
use super::{Builder, Handle};
use crate::metrics::Metrics;
use crate::ring::setup::SetupError;

/// One thread's executor with its ring.
///
/// Dropping it drops all tasks, cancels everything in flight and waits until the kernel has finished with it;
/// only then memory is freed. What can be cancelled ends at once; block I/O takes as long as the device. Blocking
/// closures are not waited for; see [`spawn_blocking`](crate::spawn_blocking).
pub struct Runtime {
    handle: Handle,
}

impl Runtime {
    /// A runtime with the defaults.
    ///
    /// # Errors
    /// See [`Builder::build`].
    pub fn new() -> Result<Runtime, SetupError> {
        Builder::new().build()
    }

    pub(super) fn of(handle: Handle) -> Runtime {
        Runtime { handle }
    }

    /// A handle to this runtime's core.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The counters of this runtime.
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Runs `future` to its end, and the core's tasks and frames beside it. Tasks that are not done by then
    /// stay, and go on in the next `block_on`.
    ///
    /// # Panics
    /// If the thread already runs a core, this one or another; and with the panic of `future`.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let Some(_entered) = Entered::new(&self.handle) else {
            panic!("block_on inside of a chainring runtime: await the future instead");
        };
        let core = self.handle.core();
        let stand_in = StandIn::new(core);
        let waker = stand_in.waker();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if core.main_woken.replace(false) {
                core.driver.counters.polls.add(1);
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    // Whatever was queued must not wait for the next time: it may be another core's bell.
                    core.flush();
                    return output;
                }
            }
            core.turn();
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.handle).finish()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Wakers and destructors find their core, as they did while it ran.
        let _entered = Entered::nested(&self.handle);
        self.handle.core().drain();
    }
}
