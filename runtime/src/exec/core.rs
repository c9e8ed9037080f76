//! What a core is made of, and how code that runs on it finds it.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use super::blocking::Pool;
use super::budget::Budget;
use super::core_local::CoreLocals;
use super::linger::Linger;
use super::task::{self, Polled, Scheduler};
use super::{CoreHandle, Remote, Waiter};
use crate::driver::Driver;
use crate::metrics::Metrics;
use crate::ring::capabilities::Capabilities;
use crate::signal::SignalWaiters;
use crate::time::Timers;

pub(crate) struct Core {
    pub(crate) driver: Driver,
    pub(super) scheduler: Scheduler,
    pub(crate) remote: Arc<Remote>,
    pub(super) linger: Linger,
    pub(crate) timers: Timers,
    pub(crate) signals: SignalWaiters,
    /// Until the runtime ends.
    pub(super) pool: RefCell<Option<Arc<Pool>>>,
    /// What the task that is polled may still get without waiting.
    pub(super) budget: Budget,
    /// The future of `block_on` is to be polled; set by the task that stands for it.
    pub(super) main_woken: Rc<Cell<bool>>,
    /// Tasks that stand for the future of `block_on`: one while it runs.
    pub(super) stand_ins: Cell<usize>,
    pub(super) locals: CoreLocals,
    /// The core's own handle, if it is one of a group.
    pub(super) group: OnceCell<CoreHandle>,
}

impl Core {
    /// The task that is polled, if that is its waker. It is one of this core's, and not done.
    #[inline]
    pub(crate) fn polled_with(&self, waker: &Waker) -> Option<Polled<'_>> {
        self.scheduler.polled_with(waker)
    }

    /// Whoever polls with `waker`.
    pub(crate) fn waiter(&self, waker: &Waker) -> Waiter {
        Waiter::new(waker, &self.scheduler)
    }

    /// Makes this core known as `own`, and lets other cores' rings send to this one's, where the kernel can.
    pub(super) fn join_group(&self, own: CoreHandle) -> io::Result<()> {
        // Only once; a core is of one group.
        let _ = self.group.set(own);
        if self.driver.ring.capabilities().message_ring() {
            self.remote.set_ring(self.driver.ring.duplicate()?);
        }
        Ok(())
    }
}

const NO_CORE: &str = "there is no chainring runtime on this thread: use block_on";

thread_local! {
    static CURRENT: Cell<*const Core> = const { Cell::new(ptr::null()) };
}

/// A handle to the core that a runtime drives. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Handle(pub(super) Rc<Core>);

/// Which core something belongs to. Keeps the core's address from being another's, and nothing else of it.
#[derive(Clone)]
pub(crate) struct Identity(Weak<Core>);

impl Identity {
    /// Whether the thread runs it at the moment.
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.try_with(Cell::get).is_ok_and(|core| ptr::eq(core, self.0.as_ptr()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Handle {
    /// The core that this thread runs at the moment.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn current() -> Handle {
        Handle::try_current().expect(NO_CORE)
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

    /// Whether the thread runs this core at the moment.
    pub(crate) fn runs_here(core: NonNull<Core>) -> bool {
        CURRENT.try_with(Cell::get).is_ok_and(|current| ptr::eq(current, core.as_ptr()))
    }

    /// Shows the core that this thread runs at the moment, with the pointer for [`Handle::of`].
    ///
    /// # Panics
    /// Outside of a runtime.
    #[inline]
    pub(crate) fn with_current<T>(then: impl FnOnce(&Core, NonNull<Core>) -> T) -> T {
        let core = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
        let core = NonNull::new(core.cast_mut()).expect(NO_CORE);
        // SAFETY: an `Entered` holds the core until it takes the pointer back, which happens on this thread, in a frame of
        // the stack below this one.
        then(unsafe { core.as_ref() }, core)
    }

    /// Shows the core that this thread runs at the moment, if it runs one.
    #[inline]
    pub(crate) fn try_with_current<T>(then: impl FnOnce(Option<&Core>) -> T) -> T {
        let core = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
        // SAFETY: as in `with_current`.
        then(unsafe { core.as_ref() })
    }

    /// A handle to a core that somebody shares.
    ///
    /// # Safety
    /// The pointer is one that `with_current` gave, on this thread, and the core is there.
    pub(crate) unsafe fn of(core: NonNull<Core>) -> Handle {
        // SAFETY: the caller's promise: the pointer is that of an `Rc` whose count is not zero.
        unsafe {
            Rc::increment_strong_count(core.as_ptr());
            Handle(Rc::from_raw(core.as_ptr()))
        }
    }

    /// Whether this is the core that the thread runs at the moment.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.try_with(Cell::get).is_ok_and(|core| ptr::eq(core, Rc::as_ptr(&self.0)))
    }

    /// Which core this is, for what is not to keep it.
    pub(crate) fn identity(&self) -> Identity {
        Identity(Rc::downgrade(&self.0))
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

    /// This core as the others of its [`Cores`](crate::Cores) know it; `None` if it is none of a group.
    pub fn in_group(&self) -> Option<CoreHandle> {
        self.0.group.get().cloned()
    }

    /// The counters of this core.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(self.core())
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.0.driver.ring).finish()
    }
}

/// Marks a core as the one that this thread runs, until it is dropped.
pub(super) struct Entered {
    // In this order: whoever is current is held by the second.
    _scheduler: task::Entered,
    _core: Held,
}

struct Held {
    core: *const Core,
    previous: *const Core,
}

impl Entered {
    /// Enters, unless the thread runs a core already.
    pub(super) fn new(handle: &Handle) -> Option<Entered> {
        CURRENT.with(Cell::get).is_null().then(|| Entered::nested(handle))
    }

    /// Enters even if the thread runs another core, to which it returns afterwards.
    pub(super) fn nested(handle: &Handle) -> Entered {
        let core = Rc::into_raw(handle.0.clone());
        let _core = Held { core, previous: CURRENT.with(|current| current.replace(core)) };
        // SAFETY: the scheduler is a part of the core, which `_core` holds in its place until `_scheduler`
        // is gone.
        let _scheduler = unsafe { task::Entered::new(&(*core).scheduler) };
        Entered { _scheduler, _core }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.previous));
        // SAFETY: the pointer is the one that `Rc::into_raw` gave in `nested`, given back once.
        drop(unsafe { Rc::from_raw(self.core) });
    }
}
