//! What operations work on: descriptors that they share.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use crate::direct::DirectDescriptor;
use crate::exec::Handle;
use crate::ring::sqe::FIXED_FILE;

/// What an operation works on: a [`Descriptor`] of the process, or a [`DirectDescriptor`] of the ring.
pub trait AnyDescriptor: sealed::Sealed + Clone + std::fmt::Debug + 'static {}

impl AnyDescriptor for Descriptor {}
impl AnyDescriptor for DirectDescriptor {}

mod sealed {
    use std::os::fd::RawFd;

    pub trait Sealed {
        /// The flags of an entry that works on it, and its number.
        fn target(&self) -> (u8, RawFd);

        /// Its number for system calls, if it has one.
        fn of_process(&self) -> Option<RawFd>;
    }
}

impl sealed::Sealed for Descriptor {
    #[inline]
    fn target(&self) -> (u8, RawFd) {
        (0, self.raw())
    }

    fn of_process(&self) -> Option<RawFd> {
        Some(self.raw())
    }
}

impl sealed::Sealed for DirectDescriptor {
    #[inline]
    fn target(&self) -> (u8, RawFd) {
        (FIXED_FILE, self.index())
    }

    fn of_process(&self) -> Option<RawFd> {
        None
    }
}

/// A file descriptor, owned together by whoever clones it: by a socket or file, and by each of its operations
/// in flight. So it stays open, and its number is not given to another file, until the last operation on it has
/// completed.
///
/// The last one closes it: through the ring, without waiting, or on the spot outside of a runtime.
#[derive(Clone, Debug)]
pub struct Descriptor(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    fd: ManuallyDrop<OwnedFd>,
    closes_in_background: Cell<bool>,
}

impl Descriptor {
    /// Takes ownership of `fd`.
    pub fn new(fd: OwnedFd) -> Self {
        Descriptor(Rc::new(Shared { fd: ManuallyDrop::new(fd), closes_in_background: Cell::new(false) }))
    }

    #[inline]
    pub(crate) fn raw(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }

    /// Whether an operation in flight, or a clone, uses it too.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Whether the last owner is to have it closed by a thread of the kernel: for what makes close(2) wait, as a socket
    /// does that lingers (SO_LINGER). Not unless this is called.
    pub fn close_in_background(&self, background: bool) {
        self.0.closes_in_background.set(background);
    }

    /// What [`close_in_background`](Descriptor::close_in_background) has set.
    pub fn closes_in_background(&self) -> bool {
        self.0.closes_in_background.get()
    }

    /// The descriptor itself, if no operation and no clone uses it any more.
    pub fn try_into_owned(self) -> Result<OwnedFd, Descriptor> {
        match Rc::try_unwrap(self.0) {
            Ok(shared) => {
                let mut shared = ManuallyDrop::new(shared);
                Ok(take(&mut shared.fd))
            }
            Err(shared) => Err(Descriptor(shared)),
        }
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Descriptor::new(fd)
    }
}

impl From<std::fs::File> for Descriptor {
    fn from(file: std::fs::File) -> Self {
        Descriptor::new(file.into())
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let fd = take(&mut self.fd);
        match Handle::try_current() {
            Some(core) if self.closes_in_background.get() => core.driver().close_in_background(fd),
            Some(core) => core.driver().close(fd),
            None => drop(fd),
        }
    }
}

/// Moves the descriptor out of a `Shared` that is going away.
fn take(fd: &mut ManuallyDrop<OwnedFd>) -> OwnedFd {
    // SAFETY: both callers give up the `Shared` right after: one is its Drop, one keeps it from being dropped.
    unsafe { ManuallyDrop::take(fd) }
}
