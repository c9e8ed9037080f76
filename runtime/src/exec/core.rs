//! What a core is made of, and how code that runs on it finds it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use async_task::Runnable;
use slab::Slab;

use super::Remote;
use crate::driver::Driver;
use crate::metrics::Metrics;
use crate::ring::capabilities::Capabilities;
use crate::signal::SignalWaiters;
use crate::time::Timers;

pub(crate) struct Core {
    pub(crate) driver: Driver,
    pub(super) local: RefCell<VecDeque<Runnable>>,
    /// The wakers of all unfinished tasks, by which the runtime's end reaches them.
    pub(super) tasks: RefCell<Slab<Waker>>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) timers: Timers,
    pub(crate) signals: SignalWaiters,
}

thread_local! {
    static CURRENT: Cell<*const Core> = const { Cell::new(ptr::null()) };
}

/// A handle to the core that a runtime drives. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Handle(pub(super) Rc<Core>);

impl Handle {
    /// The core that this thread runs at the moment.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn current() -> Handle {
        Handle::try_current().expect("there is no chainring runtime on this thread: use block_on")
    }

    /// The core that this thread runs at the moment, if it runs one.
    #[inline]
    pub fn try_current() -> Option<Handle> {
        let core = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
        if core.is_null() {
            return None;
        }
        // SAFETY: the pointer came from `Rc::into_raw` of an `Rc` that `Entered` holds, and is reset before
        // `Entered` lets go of it; it never leaves the thread.
        unsafe {
            Rc::increment_strong_count(core);
            Some(Handle(Rc::from_raw(core)))
        }
    }

    #[inline]
    pub(crate) fn driver(&self) -> &Driver {
        &self.0.driver
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0
    }

    /// What this kernel offers beyond the baseline, as far as it was not masked.
    pub fn capabilities(&self) -> Capabilities {
        *self.0.driver.ring.capabilities()
    }

    /// The longest list of linked entries that fits into the ring.
    pub fn longest_list(&self) -> u32 {
        self.0.driver.ring.longest_list()
    }

    /// The counters of this core.
    pub fn metrics(&self) -> Metrics {
        let (driver, ring) = (&self.0.driver, &self.0.driver.ring.counters);
        Metrics {
            enters: ring.enters.get(),
            submitted: ring.submitted.get(),
            completions: ring.completions.get(),
            flushes: ring.flushes.get(),
            congested: ring.congested.get(),
            overflows: ring.overflows.get(),
            lost: u64::from(driver.ring.queues().dropped()),
            strays: ring.strays.get(),
            turns: driver.counters.turns.get(),
            polls: driver.counters.polls.get(),
            wakes: driver.counters.wakes.get(),
            operations: u64::from(driver.operations()),
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.0.driver.ring).finish()
    }
}

/// Marks a core as the one that this thread runs.
pub(super) struct Entered {
    core: *const Core,
}

impl Entered {
    /// `None` if the thread runs a core already.
    pub(super) fn new(handle: &Handle) -> Option<Entered> {
        CURRENT.with(|current| {
            if !current.get().is_null() {
                return None;
            }
            let core = Rc::into_raw(handle.0.clone());
            current.set(core);
            Some(Entered { core })
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(ptr::null()));
        // SAFETY: the pointer is the one that `Rc::into_raw` gave in `new`, given back once.
        drop(unsafe { Rc::from_raw(self.core) });
    }
}

/// Whether the calling thread runs the core that `remote` belongs to, and if so, that core.
pub(super) fn with_local<T>(remote: &Remote, then: impl FnOnce(Option<&Core>) -> T) -> T {
    let core = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: see `Handle::try_current`; the reference does not outlive this call, during which this thread
    // cannot leave the core.
    let core = unsafe { core.as_ref() };
    then(core.filter(|core| ptr::eq(Arc::as_ptr(&core.remote), remote)))
}
