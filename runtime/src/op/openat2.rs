//! openat2: open a file by its path (openat2(2), `IORING_OP_OPENAT2`).

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// How to open a file: `struct open_how` of openat2(2), the values being those of libc.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// `O_*`. `O_CLOEXEC` is always added.
    pub flags: u64,
    /// The permissions of a file that is created; must be 0 otherwise.
    pub mode: u64,
    /// `RESOLVE_*`: with `RESOLVE_BENEATH` the path cannot lead out of the directory.
    pub resolve: u64,
}

/// See [`openat2`].
#[derive(Debug)]
pub struct OpenAt2 {
    at: Option<Descriptor>,
    path: CString,
    how: OpenHow,
}

/// Opens `path`, seen from the directory `at` (`None`: from the working directory).
///
/// Dropping the future cancels; a file that was opened all the same is closed.
///
/// # Errors
/// Those of openat2(2).
pub fn openat2(at: Option<&Descriptor>, path: CString, how: OpenHow) -> Op<OpenAt2> {
    let how = OpenHow { flags: how.flags | libc::O_CLOEXEC as u64, ..how };
    Op::new(OpenAt2 { at: at.cloned(), path, how })
}

pub(crate) const FACTS: Facts = Facts {
    name: "openat2",
    opcode: opcode::OpenAt2::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Descriptor,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for OpenAt2 {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe::new(opcode::OpenAt2::CODE);
        Prepared::new(sqe, directory(&self.at)).path(&self.path).second_sized(&self.how)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}
