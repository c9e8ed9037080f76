//! A result as the kernel reported it, and the few shapes it is read in.

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::buf::{BufResult, Filling, IoBufMut};

/// The upper half of the flags is the number of a pool's buffer (`IORING_CQE_F_BUFFER`).
const F_BUFFER: u32 = 1 << 0;
/// More completions of the same operation will follow (`IORING_CQE_F_MORE`).
pub(crate) const F_MORE: u32 = 1 << 1;
/// The kernel is done with the memory of an operation whose result came before (`IORING_CQE_F_NOTIF`).
pub(crate) const F_NOTIF: u32 = 1 << 3;
/// The pool's buffer is only partly used and will be gone on with (`IORING_CQE_F_BUF_MORE`, 6.12).
const F_BUF_MORE: u32 = 1 << 4;
const BUFFER_SHIFT: u32 = 16;

/// Results below this are not errnos: the operation was never submitted, because the kernel lacks the opcode
/// whose number is subtracted.
const LACKING: i32 = -0x1_0000;

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

    /// The completion of an operation that this kernel cannot be given.
    pub(crate) fn lacking(opcode: u8) -> Self {
        Completion { res: LACKING - i32::from(opcode), flags: 0 }
    }

    /// The completion of what was done by a system call instead.
    pub(crate) fn instead(result: io::Result<i32>) -> Self {
        let errno = |error: io::Error| -error.raw_os_error().unwrap_or(libc::EIO);
        Completion { res: result.unwrap_or_else(errno), flags: 0 }
    }

    /// The raw result: not negative, or a negated errno.
    #[inline]
    pub fn result(&self) -> i32 {
        self.res
    }

    /// Whether this is not the last completion of its operation.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.flags & F_MORE != 0
    }

    /// The pool's buffer that the result is about. May be any number: it is the kernel's word.
    pub(crate) fn buffer(&self) -> Option<u16> {
        (self.flags & F_BUFFER != 0).then_some((self.flags >> BUFFER_SHIFT) as u16)
    }

    /// Whether the kernel keeps the buffer and will go on behind what it has filled.
    pub(crate) fn buffer_goes_on(&self) -> bool {
        self.flags & F_BUF_MORE != 0
    }

    /// Success or an error.
    ///
    /// # Errors
    /// The one that the kernel reported; [`Unsupported`](io::ErrorKind::Unsupported) with the name of the
    /// opcode and the release that brought it, if this kernel does not offer it.
    pub fn unit(self) -> io::Result<()> {
        self.count().map(|_| ())
    }

    /// A count of bytes, or an error.
    ///
    /// # Errors
    /// As [`unit`](Completion::unit).
    #[inline]
    pub fn count(self) -> io::Result<usize> {
        usize::try_from(self.res).map_err(|_| error(self.res))
    }

    /// A new descriptor, or an error.
    pub(crate) fn descriptor(self) -> io::Result<OwnedFd> {
        if self.res < 0 {
            return Err(error(self.res));
        }
        // SAFETY: the driver hands the completion of an operation with `Returns::Descriptor` to exactly
        // one reader, so nobody else owns the new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(self.res) })
    }

    /// A count of bytes that were written into `buffer`, which is told so.
    #[inline]
    pub(crate) fn fill<B: IoBufMut>(self, buffer: Filling<B>) -> BufResult<usize, B> {
        match self.count() {
            Ok(n) => (Ok(n), buffer.filled(n)),
            Err(error) => (Err(error), buffer.untouched()),
        }
    }
}

#[cold]
fn error(res: i32) -> io::Error {
    match u8::try_from(LACKING.wrapping_sub(res)) {
        Ok(opcode) => io::Error::new(io::ErrorKind::Unsupported, Lacking(opcode)),
        Err(_) => io::Error::from_raw_os_error(res.wrapping_neg()),
    }
}

/// This kernel does not offer an opcode.
#[derive(Debug)]
struct Lacking(u8);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match super::ALL.iter().find(|facts| facts.opcode == self.0) {
            Some(facts) => {
                let (major, minor) = facts.since;
                write!(f, "{} (io_uring opcode {}) needs Linux {major}.{minor} or later", facts.name, self.0)
            }
            None => write!(f, "this kernel does not offer io_uring opcode {}", self.0),
        }
    }
}

impl std::error::Error for Lacking {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_opcode_is_an_error_that_names_it_and_its_release() {
        let error = Completion::lacking(io_uring::opcode::FutexWait::CODE).count().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "futex_wait (io_uring opcode 51) needs Linux 6.7 or later");
        let error = Completion::lacking(255).unit().unwrap_err();
        assert_eq!(error.to_string(), "this kernel does not offer io_uring opcode 255");
    }

    #[test]
    fn any_result_can_be_read() {
        for res in [0, 1, i32::MAX] {
            assert_eq!(Completion::new(res, 0).count().unwrap(), res as usize);
        }
        for res in [-1, -4095, -4096, LACKING + 1, LACKING - 256, i32::MIN, i32::MIN + 1] {
            assert!(Completion::new(res, u32::MAX).count().is_err());
        }
        assert_eq!(Completion::new(-libc::ECONNRESET, 0).unit().unwrap_err().raw_os_error(), Some(104));
    }
}
