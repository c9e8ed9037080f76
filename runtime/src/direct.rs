//! A descriptor of the ring's own table.

use std::os::fd::RawFd;
use std::rc::Rc;

use crate::driver::direct::Place;
use crate::op::Op;
use crate::op::fixed_fd_install::{Install, install};

/// An open file in the ring's own table of files, which has no number in the process: the kernel finds it without
/// counting references, it cannot be inherited, and it does not count towards the limit of open files. Only operations
/// of the runtime that made it can use it; in another they fail with EBADF.
///
/// Like a [`Descriptor`](crate::Descriptor) it is owned together by whoever clones it, and by each operation in
/// flight. The last one closes it, through the ring and without waiting; the end of the runtime does too.
///
/// [`Builder::direct_descriptors`](crate::Builder::direct_descriptors) says how many there can be.
#[derive(Clone, Debug)]
pub struct DirectDescriptor(Rc<Place>);

impl DirectDescriptor {
    /// Of a place that the kernel has put a file into.
    pub(crate) fn new(place: Place) -> Self {
        DirectDescriptor(Rc::new(place))
    }

    /// Its place; none that there is if another runtime is running.
    #[inline]
    pub(crate) fn index(&self) -> RawFd {
        self.0.index() as RawFd
    }

    /// Whether an operation in flight, or a clone, uses it too.
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Makes an ordinary descriptor (close-on-exec) of the same file, for what a direct one cannot do. This one stays
    /// open.
    ///
    /// Linux 6.8; below that it fails with [`Unsupported`](std::io::ErrorKind::Unsupported).
    ///
    /// Dropping the future cancels; a descriptor that was made all the same is closed.
    ///
    /// # Errors
    /// EMFILE at the limit of open files; EBADF in another runtime.
    pub fn install(&self) -> Op<Install> {
        install(self)
    }
}
