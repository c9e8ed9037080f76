//! The part of a core that other threads may touch: a queue of tasks and a bell.
//!
//! The bell is an eventfd that the core polls through its ring while it sleeps. It is rung by a thread that
//! has put something into the queue and finds the core asleep, and by signal handlers, which cannot look at
//! anything. A handler may run, on any thread, long after the runtime is gone: so the eventfds are never
//! closed but pooled for the life of the process, and a late ring reaches a stranger who looks around and
//! goes back to sleep.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use async_task::Runnable;
use concurrent_queue::ConcurrentQueue;

use super::runtime::bell_entry;
use crate::driver::Driver;

/// An eventfd out of the pool, given back on drop.
pub(crate) struct Bell(Option<OwnedFd>);

static POOL: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

impl Bell {
    pub(crate) fn lease() -> io::Result<Bell> {
        if let Some(fd) = POOL.lock().unwrap_or_else(|e| e.into_inner()).pop() {
            let bell = Bell(Some(fd));
            bell.quiet();
            return Ok(bell);
        }
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just created, owned by nobody else.
        Ok(Bell(Some(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_ref().expect("a bell is only empty while it is dropped").as_raw_fd()
    }

    pub(crate) fn ring(&self) {
        ring(self.raw());
    }

    /// Forgets that it was rung.
    pub(crate) fn quiet(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of a local variable. The descriptor does not block, and EAGAIN is as good.
        unsafe { libc::read(self.raw(), std::ptr::from_mut(&mut count).cast(), size_of::<u64>()) };
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        POOL.lock().unwrap_or_else(|e| e.into_inner()).extend(self.0.take());
    }
}

/// Rings a bell that is known by number: all that a signal handler can do. Async-signal-safe.
pub(crate) fn ring(fd: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes of a local variable. A full counter (EAGAIN) has been rung enough.
    unsafe { libc::write(fd, std::ptr::from_ref(&one).cast(), size_of::<u64>()) };
}

/// Shared by a core with every waker of its tasks, wherever they are.
pub(crate) struct Remote {
    queue: ConcurrentQueue<Runnable>,
    /// Set behind a push, cleared before the queue is emptied: spares the core a look at the queue each turn.
    pushed: AtomicBool,
    asleep: AtomicBool,
    /// Whether the ring watches the bell; used by the core's thread only.
    armed: AtomicBool,
    bell: Bell,
}

impl Remote {
    pub(crate) fn new() -> io::Result<Remote> {
        Ok(Remote {
            queue: ConcurrentQueue::unbounded(),
            pushed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            armed: AtomicBool::new(false),
            bell: Bell::lease()?,
        })
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Puts a task into the queue, from any thread.
    pub(super) fn push(&self, task: Runnable) {
        // The queue closes after the last task is gone, and a task that is gone is never scheduled.
        match self.queue.push(task) {
            Ok(()) => {
                self.pushed.store(true, Ordering::Release);
                self.wake();
            }
            // Dropping it here would drop a future on a foreign thread.
            Err(task) => std::mem::forget(task),
        }
    }

    /// Ends the core's sleep, if it sleeps.
    pub(super) fn wake(&self) {
        // Pairs with the fence in `fall_asleep`: either we see that it sleeps, or it sees what we pushed.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.bell.ring();
        }
    }

    /// Everything that was pushed.
    pub(super) fn drain(&self) -> impl Iterator<Item = Runnable> + '_ {
        self.pushed.swap(false, Ordering::Acquire);
        std::iter::from_fn(|| self.queue.pop().ok())
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.pushed.load(Ordering::Relaxed)
    }

    /// Announces that the core is about to sleep. Look at the queue once more afterwards.
    pub(super) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) fn get_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Has the core's ring watch the bell, if it does not yet.
    pub(super) fn arm_bell(&self, driver: &Driver) {
        if !self.armed.load(Ordering::Relaxed) && driver.push(bell_entry(self.bell.raw())) {
            self.armed.store(true, Ordering::Relaxed);
        }
    }

    /// The ring's watch has ended because the bell was rung.
    pub(super) fn bell_rang(&self) {
        self.armed.store(false, Ordering::Relaxed);
        self.bell.quiet();
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }
}
