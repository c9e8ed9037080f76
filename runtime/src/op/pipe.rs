//! pipe: make a pipe (pipe2(2), `IORING_OP_PIPE`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`pipe`].
#[derive(Debug)]
pub struct Pipe {
    flags: i32,
    ends: Ends,
}

/// The two numbers that the kernel writes, and who owns them: negative, or descriptors that this value closes.
#[derive(Debug)]
struct Ends([RawFd; 2]);

const NONE: [RawFd; 2] = [-1, -1];

impl Ends {
    fn take(&mut self) -> Option<(OwnedFd, OwnedFd)> {
        let [read, write] = std::mem::replace(&mut self.0, NONE);
        if read < 0 || write < 0 {
            return None;
        }
        // SAFETY: the kernel writes the numbers of two descriptors that it has made for this operation, or
        // nothing; and they are taken once.
        Some(unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Makes a pipe: the end to read from and the end to write to. `flags` are those of pipe2(2); `O_CLOEXEC` is
/// always added.
///
/// Linux 6.16; below that pipe2(2) is called, which does not wait.
///
/// Dropping the future cancels; a pipe that was made all the same is closed.
///
/// # Errors
/// Those of pipe2(2).
pub fn pipe(flags: i32) -> Op<Pipe> {
    Op::new(Pipe { flags: flags | libc::O_CLOEXEC, ends: Ends(NONE) })
}

pub(crate) const FACTS: Facts = Facts {
    name: "pipe",
    opcode: opcode::Pipe::CODE,
    since: (6, 16),
    needs: Some(Capability::Pipe),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Pipe {
    type Output = io::Result<(OwnedFd, OwnedFd)>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { op_flags: self.flags as u32, ..Sqe::new(opcode::Pipe::CODE) };
        Prepared::new(sqe, 0).fills(&mut self.ends.0)
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        completion.unit()?;
        self.ends.take().ok_or_else(|| io::Error::other("the kernel reports a pipe without descriptors"))
    }

    fn fallback(&mut self) -> Option<Completion> {
        // SAFETY: two numbers of this operation, which the call fills if it succeeds.
        let result = unsafe { libc::pipe2(self.ends.0.as_mut_ptr(), self.flags) };
        let done = if result < 0 { Err(io::Error::last_os_error()) } else { Ok(0) };
        Some(Completion::instead(done))
    }
}
