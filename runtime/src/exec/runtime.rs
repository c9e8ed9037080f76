//! The runtime: builds a core, drives its turns, drains it at the end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use slab::Slab;

use super::core::{Core, Entered, with_local};
use super::{Handle, Remote};
use crate::driver::{Driver, Key};
use crate::metrics::Metrics;
use crate::op::poll;
use crate::ring::capabilities::{Capabilities, Capability};
use crate::ring::setup::{RingConfig, SetupError};
use crate::ring::{Ring, Sqe, Wait};
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
}

impl Default for Builder {
    fn default() -> Self {
        Builder { sq_entries: 512, cq_entries: 4096, mask: Capabilities::default() }
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

    /// Sets up the ring. The runtime belongs to the calling thread.
    pub fn build(&self) -> Result<Runtime, SetupError> {
        let ring = Ring::setup(RingConfig {
            sq_entries: self.sq_entries,
            cq_entries: self.cq_entries,
            mask: self.mask.union(masked_by_environment()),
        })?;
        let remote = Remote::new().map_err(SetupError::eventfd)?;
        let core = Core {
            driver: Driver::new(ring),
            local: RefCell::new(VecDeque::new()),
            tasks: RefCell::new(Slab::new()),
            remote: Arc::new(remote),
            timers: Timers::new(),
            signals: SignalWaiters::default(),
        };
        Ok(Runtime { handle: Handle(Rc::new(core)) })
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

/// One thread's executor with its ring.
///
/// Dropping it drops all tasks, cancels everything in flight and waits until the kernel has finished with it;
/// only then memory is freed. What can be cancelled ends at once; block I/O takes as long as the device.
pub struct Runtime {
    handle: Handle,
}

/// Tasks run before the ring is looked at again.
const TASKS_A_TURN: usize = 256;

impl Runtime {
    /// A runtime with the defaults.
    pub fn new() -> Result<Runtime, SetupError> {
        Builder::new().build()
    }

    /// A handle to this runtime's core.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The counters of this runtime.
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Runs `future` to its end, and the core's tasks and frames beside it.
    ///
    /// # Panics
    /// If the thread already runs a core, this one or another; and with the panic of `future`.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let Some(_entered) = Entered::new(&self.handle) else {
            panic!("block_on inside of a chainring runtime: await the future instead");
        };
        let core = self.handle.core();
        let main = Arc::new(MainWaker { woken: AtomicBool::new(true), remote: core.remote.clone() });
        let waker = Waker::from(main.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if main.woken.swap(false, Ordering::Acquire) {
                core.driver.counters.polls.add(1);
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            core.turn(|| main.woken.load(Ordering::Acquire));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.handle).finish()
    }
}

/// The waker of the future of `block_on`.
struct MainWaker {
    woken: AtomicBool,
    remote: Arc<Remote>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            // On its own thread the core looks at the flag before it sleeps.
            with_local(&self.remote, |core| {
                if core.is_none() {
                    self.remote.wake();
                }
            });
        }
    }
}

impl Core {
    /// One turn of the loop: what is ready runs, everything is submitted with one enter that also waits, and
    /// the completions are handled. It sleeps only if nothing at all is ready, `main_ready` included.
    fn turn(&self, main_ready: impl Fn() -> bool) {
        self.driver.counters.turns.add(1);
        self.run_tasks();
        self.driver.run_backlog();
        self.driver.run_ready();
        self.take_remote();
        let next_timer = self.timers.fire();
        let next_cancel = self.driver.ask_cancels();

        let busy = || main_ready() || self.has_ready_tasks() || self.driver.has_ready();
        if busy() {
            // An enter only if there is something to gain.
            if self.driver.ring.wants_enter() {
                self.enter(Wait::No);
            }
        } else {
            let limit = [next_timer, next_cancel].into_iter().flatten().min();
            self.sleep(limit, busy);
        }
        self.after_enter();
    }

    fn run_tasks(&self) {
        let ready = self.local.borrow().len().min(TASKS_A_TURN);
        for _ in 0..ready {
            let Some(task) = self.local.borrow_mut().pop_front() else { break };
            self.driver.counters.polls.add(1);
            task.run();
        }
    }

    fn take_remote(&self) {
        if !self.remote.is_empty() {
            self.remote.drain().for_each(|task| self.local.borrow_mut().push_back(task));
        }
    }

    fn has_ready_tasks(&self) -> bool {
        !self.local.borrow().is_empty()
    }

    /// Submits and waits, unless something has become ready on another thread meanwhile.
    fn sleep(&self, limit: Option<Duration>, busy: impl Fn() -> bool) {
        self.remote.arm_bell(&self.driver);
        self.remote.fall_asleep();
        let wait = if busy() || !self.remote.is_empty() {
            Wait::No
        } else {
            limit.map_or(Wait::Forever, Wait::AtMost)
        };
        self.enter(wait);
        self.remote.get_up();
    }

    fn enter(&self, wait: Wait) {
        if let Err(error) = self.driver.ring.submit_and_wait(wait) {
            // Bad descriptor, bad address: the ring itself is broken, and no operation can complete.
            panic!("io_uring_enter failed: {error}");
        }
    }

    fn after_enter(&self) {
        if self.driver.reap() {
            self.remote.bell_rang();
            self.signals.look();
        }
    }

    /// Ends everything and waits until the kernel is done with this core's memory.
    fn drain(&self) {
        self.driver.begin_closing();
        // Dropping a task may start others, which are cancelled at once.
        loop {
            let wakers: Vec<Waker> = self.tasks.borrow().iter().map(|(_, waker)| waker.clone()).collect();
            if wakers.is_empty() {
                break;
            }
            wakers.into_iter().for_each(Waker::wake);
            self.take_remote();
            let ready = std::mem::take(&mut *self.local.borrow_mut());
            drop(ready);
        }
        self.drain_ring();
        self.driver.forget_owners();
        self.drain_ring();
        self.driver.close_door();
        self.remote.close();
    }

    fn drain_ring(&self) {
        while !self.driver.is_drained() {
            self.driver.run_backlog();
            self.driver.run_ready();
            let next_cancel = self.driver.ask_cancels();
            let wait = match next_cancel {
                _ if self.driver.has_ready() => Wait::No,
                Some(limit) => Wait::AtMost(limit),
                None => Wait::Forever,
            };
            self.enter(wait);
            self.after_enter();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Wakers and destructors find their core, as they did while it ran.
        let entered = Entered::new(&self.handle);
        assert!(entered.is_some() || std::thread::panicking(), "a runtime is dropped inside of another");
        self.handle.core().drain();
    }
}

/// The entry that waits for a bell.
pub(super) fn bell_entry(fd: i32) -> Sqe {
    Sqe { fd, user_data: Key::BELL.with_step(0), ..poll::template(libc::POLLIN as u32) }
}
