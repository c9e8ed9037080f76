//! An epoll instance, level-triggered or edge-triggered as a whole.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// What a descriptor waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Readable,
    Writable,
    Either,
}

impl Interest {
    fn flags(self) -> i32 {
        match self {
            Interest::Readable => libc::EPOLLIN,
            Interest::Writable => libc::EPOLLOUT,
            Interest::Either => libc::EPOLLIN | libc::EPOLLOUT,
        }
    }
}

/// Owns the epoll descriptor; the descriptors watched leave it when they are closed.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
    trigger: i32,
}

impl Epoll {
    /// Tells of a descriptor for as long as it is ready.
    pub(crate) fn level_triggered() -> io::Result<Self> {
        Self::new(0)
    }

    /// Tells of a descriptor when it becomes ready, which costs the kernel less.
    pub(crate) fn edge_triggered() -> io::Result<Self> {
        Self::new(libc::EPOLLET)
    }

    fn new(trigger: i32) -> io::Result<Self> {
        // SAFETY: the call takes no pointers, and its result, once checked, is a descriptor that nobody else
        // owns.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { fd, trigger })
    }

    /// Starts to watch `fd`; its events carry `key`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, key, interest)
    }

    /// Replaces what `fd` waits for.
    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, key: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, key, interest)
    }

    /// Stops watching `fd`.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Readable)
    }

    fn control(&self, operation: i32, fd: BorrowedFd<'_>, key: u64, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (interest.flags() | self.trigger) as u32, u64: key };
        // SAFETY: both descriptors are open, and the kernel copies `event` before the call returns.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_raw_fd(), &mut event) })?;
        Ok(())
    }

    /// Waits until something is ready or `timeout` milliseconds have passed (-1: forever); a signal counts as
    /// nothing ready.
    #[inline]
    pub(crate) fn wait<'a>(
        &self,
        events: &'a mut Events,
        timeout: i32,
    ) -> io::Result<&'a [libc::epoll_event]> {
        let room = events.0.len() as i32;
        // SAFETY: `events` has room for that many events.
        match check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.0.as_mut_ptr(), room, timeout) }) {
            Ok(ready) => Ok(&events.0[..ready as usize]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(&[]),
            Err(error) => Err(error),
        }
    }
}

/// The memory that one wait fills.
pub(crate) struct Events(Box<[libc::epoll_event]>);

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(vec![libc::epoll_event { events: 0, u64: 0 }; capacity].into())
    }
}
