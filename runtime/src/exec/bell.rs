//! The bell of a core: an eventfd that ends its sleep.
//!
//! The core polls it through its ring while it sleeps. It is rung by a thread that has put something into the
//! core's queue and finds the core asleep, and by signal handlers, which cannot look at anything. A handler
//! may run, on any thread, long after the runtime is gone: so the eventfds are never closed but pooled for the
//! life of the process, and a late ring reaches a stranger who looks around and goes back to sleep.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use io_uring::opcode;

use crate::driver::Key;
use crate::op::poll;
use crate::ring::Sqe;
use crate::ring::sqe::CQE_SKIP_SUCCESS;

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

/// The entry by which a ring tells the core of the ring `target` to look around, as its bell would; nothing
/// comes back if it is delivered.
pub(crate) fn message(target: RawFd, unheard: Key) -> Sqe {
    // IORING_MSG_DATA: `off` becomes the user_data of a completion there.
    let user_data = unheard.with_step(0);
    let message = Sqe::new(opcode::MsgRingData::CODE);
    Sqe { fd: target, off: Key::HEARD.with_step(0), flags: CQE_SKIP_SUCCESS, user_data, ..message }
}

/// The entry that waits for a bell.
pub(super) fn entry(fd: RawFd) -> Sqe {
    Sqe { fd, user_data: Key::BELL.with_step(0), ..poll::template(libc::POLLIN as u32) }
}
