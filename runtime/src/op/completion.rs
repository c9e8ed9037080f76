//! A result as the kernel reported it, and the few shapes it is read in.

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::{ALL, Facts};
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

/// Results from here down are not errnos: the operation was never submitted, because the ring does not offer it. What is
/// subtracted says which: its place in [`ALL`], or behind those in [`FOREIGN`].
const LACKING: i32 = -0x1_0000;

/// The facts of foreign operations that were refused, each once. A result has no room for more than a number.
static FOREIGN: Mutex<Vec<Facts>> = Mutex::new(Vec::new());

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

    /// The completion of an operation that this ring does not offer.
    #[cold]
    pub(crate) fn lacking(facts: Facts) -> Self {
        let place = |all: &[Facts]| all.iter().position(|known| *known == facts);
        let number = place(ALL).unwrap_or_else(|| {
            let mut foreign = FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
            let known = place(&foreign);
            ALL.len()
                + known.unwrap_or_else(|| {
                    foreign.push(facts);
                    foreign.len() - 1
                })
        });
        Completion { res: LACKING - i32::from(u16::try_from(number).unwrap_or(u16::MAX)), flags: 0 }
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
    /// operation and the release that brought it, if this ring does not offer it.
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
    match u16::try_from(LACKING.wrapping_sub(res)).ok().and_then(|number| refused(number.into())) {
        Some(facts) => io::Error::new(io::ErrorKind::Unsupported, Lacking(facts)),
        None => io::Error::from_raw_os_error(res.wrapping_neg()),
    }
}

/// The facts that [`Completion::lacking`] has given this number.
fn refused(number: usize) -> Option<Facts> {
    let foreign = || FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
    ALL.get(number).copied().or_else(|| foreign().get(number - ALL.len()).copied())
}

/// This ring does not offer an operation.
#[derive(Debug)]
struct Lacking(Facts);

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { name, opcode, since: (major, minor), .. } = self.0;
        write!(f, "{name} (io_uring opcode {opcode}) needs Linux {major}.{minor} or later")
    }
}

impl std::error::Error for Lacking {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_is_not_offered_is_an_error_that_names_it_and_its_release() {
        for facts in ALL {
            let error = Completion::lacking(*facts).count().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let Facts { name, opcode, since: (major, minor), .. } = facts;
            let expected = format!("{name} (io_uring opcode {opcode}) needs Linux {major}.{minor} or later");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn foreign_operations_of_one_opcode_are_refused_each_by_its_own_name() {
        let known = crate::op::futex::WAIT_FACTS;
        let [one, other] = ["one", "other"].map(|name| Facts { name, since: (9, 1), ..known });
        let text = |res: i32| Completion::new(res, 0).unit().unwrap_err().to_string();
        let results = [one, other, known, one].map(|facts| Completion::lacking(facts).result());
        assert_eq!(results[0], results[3], "it is kept once");
        let expected = [("one", "9.1"), ("other", "9.1"), ("futex_wait", "6.7"), ("one", "9.1")];
        for (res, (name, release)) in results.into_iter().zip(expected) {
            assert_eq!(text(res), format!("{name} (io_uring opcode 51) needs Linux {release} or later"));
        }
    }

    #[test]
    fn any_result_can_be_read() {
        for res in [0, 1, i32::MAX] {
            assert_eq!(Completion::new(res, 0).count().unwrap(), res as usize);
        }
        for res in [
            -1,
            -4095,
            -4096,
            LACKING + 1,
            LACKING - 256,
            LACKING - 0xffff,
            LACKING - 0x1_0000,
            i32::MIN,
            i32::MIN + 1,
        ] {
            assert!(Completion::new(res, u32::MAX).count().is_err());
        }
        assert_eq!(Completion::new(-libc::ECONNRESET, 0).unit().unwrap_err().raw_os_error(), Some(104));
    }
}
