//! A result as the kernel reported it, and the few shapes it is read in.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::buf::{BufResult, IoBufMut, filled};

/// More completions of the same operation will follow (`IORING_CQE_F_MORE`).
const F_MORE: u32 = 1 << 1;

/// The result of one submission: a count, a descriptor or a negated errno, and flags.
///
/// Only the driver makes one, from a CQE of the operation that reads it.
#[derive(Debug)]
pub struct Completion {
    res: i32,
    flags: u32,
}

impl Completion {
    pub(crate) fn new(res: i32, flags: u32) -> Self {
        Completion { res, flags }
    }

    /// The completion of an operation that was never submitted.
    pub(crate) fn refused(errno: i32) -> Self {
        Completion { res: -errno, flags: 0 }
    }

    /// The raw result.
    #[inline]
    pub fn result(&self) -> i32 {
        self.res
    }

    /// Whether this is not the last completion of its operation.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.flags & F_MORE != 0
    }

    /// Success or an error.
    pub(crate) fn unit(self) -> io::Result<()> {
        self.count().map(|_| ())
    }

    /// A count of bytes, or an error.
    #[inline]
    pub(crate) fn count(self) -> io::Result<usize> {
        usize::try_from(self.res).map_err(|_| io::Error::from_raw_os_error(self.res.wrapping_neg()))
    }

    /// A new descriptor, or an error.
    pub(crate) fn descriptor(self) -> io::Result<OwnedFd> {
        if self.res < 0 {
            return Err(io::Error::from_raw_os_error(self.res.wrapping_neg()));
        }
        // SAFETY: the driver hands the completion of an operation with `Returns::Descriptor` to exactly
        // one reader, so nobody else owns the new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(self.res) })
    }

    /// A count of bytes that were written into `buffer`, which is told so.
    #[inline]
    pub(crate) fn fill<B: IoBufMut>(self, mut buffer: B) -> BufResult<usize, B> {
        let result = self.count();
        if let Ok(n) = result {
            filled(&mut buffer, n);
        }
        (result, buffer)
    }
}
