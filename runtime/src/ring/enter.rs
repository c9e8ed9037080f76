//! The one system call of the hot path, and the descriptor it is made with.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

pub(super) const GETEVENTS: u32 = 1 << 0;
pub(super) const SQ_WAKEUP: u32 = 1 << 1;
pub(super) const SQ_WAIT: u32 = 1 << 2;
pub(super) const NO_IOWAIT: u32 = 1 << 7;
const EXT_ARG: u32 = 1 << 3;
const REGISTERED_RING: u32 = 1 << 4;

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

/// `struct io_uring_getevents_arg` of io_uring_enter(2), without a signal mask.
#[repr(C)]
struct GeteventsArg {
    sigmask: u64,
    sigmask_sz: u32,
    min_wait_usec: u32,
    ts: u64,
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timespec {
    sec: i64,
    nsec: i64,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RsrcUpdate {
    offset: u32,
    resv: u32,
    data: u64,
}

impl RsrcUpdate {
    /// io_uring_register(2) with this one update; whether it was carried out.
    fn apply(&mut self, fd: RawFd, opcode: u32) -> bool {
        // SAFETY: one update of the layout that both opcodes name, borrowed for the call.
        let done =
            unsafe { libc::syscall(libc::SYS_io_uring_register, fd, opcode, std::ptr::from_mut(self), 1) };
        done == 1
    }
}

/// How a ring is named when it is entered.
#[derive(Clone, Copy, Debug)]
pub(super) struct EnterAs {
    fd: i32,
    flags: u32,
}

impl EnterAs {
    pub(super) fn descriptor(fd: RawFd) -> Self {
        EnterAs { fd, flags: 0 }
    }

    /// Registers the descriptor with its own ring (`IORING_REGISTER_RING_FDS`, 5.18), which saves the look-up
    /// in the descriptor table at each enter. The registration belongs to the thread and ends with the ring.
    pub(super) fn registered(fd: RawFd) -> Option<Self> {
        let mut update = RsrcUpdate { offset: u32::MAX, resv: 0, data: fd as u64 };
        let done = update.apply(fd, REGISTER_RING_FDS);
        done.then_some(EnterAs { fd: update.offset as i32, flags: REGISTERED_RING })
    }

    /// Takes the registration back: it would keep the ring `fd` alive until the thread ends.
    pub(super) fn unregister(self, fd: RawFd) {
        if self.flags & REGISTERED_RING != 0 {
            RsrcUpdate { offset: self.fd as u32, resv: 0, data: 0 }.apply(fd, UNREGISTER_RING_FDS);
        }
    }

    /// io_uring_enter(2). Returns how many entries the kernel took.
    ///
    /// # Safety
    /// What the published entries point to must be valid until their completions.
    #[inline]
    pub(super) unsafe fn enter(
        self,
        to_submit: u32,
        want: u32,
        flags: u32,
        limit: Option<Duration>,
    ) -> io::Result<u32> {
        let ts;
        let arg;
        let (arg_ptr, arg_len, flags) = match limit {
            None => (std::ptr::null(), 0, flags | self.flags),
            Some(limit) => {
                let sec = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
                ts = Timespec { sec, nsec: i64::from(limit.subsec_nanos()) };
                let ts = std::ptr::from_ref(&ts) as u64;
                arg = GeteventsArg { sigmask: 0, sigmask_sz: 0, min_wait_usec: 0, ts };
                (std::ptr::from_ref(&arg), size_of::<GeteventsArg>(), flags | self.flags | EXT_ARG)
            }
        };
        // SAFETY: argument and time are local variables of the layout that EXT_ARG names; the rest is the
        // caller's promise.
        let entered = unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.fd, to_submit, want, flags, arg_ptr, arg_len)
        };
        u32::try_from(entered).map_err(|_| io::Error::last_os_error())
    }
}
