//! Sizes and wishes, and how a core is made of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::blocking::Pool;
use super::budget::Budget;
use super::core::Core;
use super::core_local::CoreLocals;
use super::linger::Linger;
use super::task::Scheduler;
use super::{Handle, Remote, Runtime};
use crate::driver::Driver;
use crate::driver::direct::MAX_DIRECT;
use crate::events;
use crate::ring::Ring;
use crate::ring::capabilities::{Capabilities, Capability};
use crate::ring::setup::{Poller, RingConfig, SetupError};
use crate::signal::SignalWaiters;
use crate::time::Timers;

/// Sizes and wishes for a runtime.
///
/// The default ring has 512 SQEs and 4096 CQEs, about 100 KiB of locked memory: 64 cores fit into the
/// 8 MiB that an unprivileged process may lock by default.
#[derive(Clone, Debug)]
pub struct Builder {
    sq_entries: u32,
    cq_entries: u32,
    mask: Capabilities,
    blocking_threads: usize,
    hold_clock: bool,
    poller: Option<Poller>,
    direct_descriptors: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            sq_entries: 512,
            cq_entries: 4096,
            mask: Capabilities::default(),
            blocking_threads: 64,
            hold_clock: false,
            poller: None,
            direct_descriptors: 0,
        }
    }
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The size of the submission queue: how many operations are submitted at once, and the longest list of
    /// linked ones. Rounded up to a power of two; 1 to 32768.
    #[must_use]
    pub fn submission_entries(mut self, entries: u32) -> Self {
        self.sq_entries = entries.clamp(1, 32_768);
        self
    }

    /// The size of the completion queue. Rounded up to a power of two, and to twice the submission queue; at
    /// most 65536. Completions that do not fit wait in the kernel and are not lost.
    #[must_use]
    pub fn completion_entries(mut self, entries: u32) -> Self {
        self.cq_entries = entries.clamp(2, 65_536);
        self
    }

    /// Does without a capability although the kernel may have it.
    #[must_use]
    pub fn mask(mut self, capability: Capability) -> Self {
        self.mask = self.mask.with(capability);
        self
    }

    /// How many threads [`spawn_blocking`](crate::spawn_blocking) may use, at least 1. The default is 64. They are
    /// started when they are needed, and shared by all cores of a [`Cores`](crate::Cores).
    #[must_use]
    pub fn blocking_threads(mut self, limit: usize) -> Self {
        self.blocking_threads = limit.max(1);
        self
    }

    /// Starts with a clock that only moves when [`time::advance`](crate::time::advance) moves it.
    #[must_use]
    pub fn hold_clock(mut self, hold: bool) -> Self {
        self.hold_clock = hold;
        self
    }

    /// Gives each ring a kernel thread of its own that takes its submissions (`IORING_SETUP_SQPOLL`), so that a
    /// busy core submits without a system call. The thread spins on a CPU, on `cpu` if it is given, and sleeps
    /// after `idle` without work; the core then wakes it with an enter. Lists of linked operations stay whole.
    ///
    /// It takes a CPU that has nothing else to do: where the poller shares one with the cores, everything is
    /// slower than without. `DEFER_TASKRUN` is not used with it.
    #[must_use]
    pub fn sqpoll(mut self, idle: Duration, cpu: Option<u32>) -> Self {
        self.poller = Some(Poller { idle, cpu });
        self
    }

    /// How many direct descriptors there can be on each core: sockets in the ring's own table instead of the
    /// process's, see [`DirectDescriptor`](crate::DirectDescriptor). The default is none; the kernel takes as many as
    /// the soft limit of open files (RLIMIT_NOFILE) says, and at most about a million. A place costs some bytes of
    /// the kernel's memory.
    #[must_use]
    pub fn direct_descriptors(mut self, places: u32) -> Self {
        self.direct_descriptors = places.min(MAX_DIRECT);
        self
    }

    /// Sets up the ring. The runtime belongs to the calling thread.
    ///
    /// # Errors
    /// If io_uring is forbidden, too old, or short of memory or descriptors; the error says which and what to do
    /// about it.
    pub fn build(&self) -> Result<Runtime, SetupError> {
        let remote = Arc::new(Remote::new().map_err(SetupError::eventfd)?);
        self.build_with(remote, self.pool())
    }

    pub(super) fn pool(&self) -> Arc<Pool> {
        Arc::new(Pool::new(self.blocking_threads))
    }

    /// Builds a core that others know already by its `remote`.
    pub(super) fn build_with(&self, remote: Arc<Remote>, pool: Arc<Pool>) -> Result<Runtime, SetupError> {
        let ring = Ring::setup(RingConfig {
            sq_entries: self.sq_entries,
            cq_entries: self.cq_entries,
            mask: self.mask.union(masked_by_environment()),
            poller: self.poller,
        })?;
        events::debug!(fd = ring.fd(), capabilities = ?ring.capabilities(), "a ring is set up");
        let driver = Driver::new(ring);
        driver.provide_direct(self.direct_descriptors).map_err(SetupError::direct_descriptors)?;
        let core = Core {
            driver,
            scheduler: Scheduler::new(remote.clone()),
            remote,
            linger: Linger::default(),
            timers: Timers::new(self.hold_clock),
            signals: SignalWaiters::default(),
            pool: RefCell::new(Some(pool)),
            budget: Budget::default(),
            main_woken: Rc::default(),
            stand_ins: Cell::new(0),
            locals: CoreLocals::default(),
            group: OnceCell::new(),
        };
        Ok(Runtime::of(Handle(Rc::new(core))))
    }
}

/// `CHAINRING_MASK=name,name` masks capabilities for a whole process, so that a test suite or a server can be
/// run as on an older kernel. Unknown names are reported and ignored.
fn masked_by_environment() -> Capabilities {
    let Ok(names) = std::env::var("CHAINRING_MASK") else { return Capabilities::default() };
    names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .filter_map(|name| name.parse().map_err(|error| eprintln!("CHAINRING_MASK: {error}")).ok())
        .collect()
}
