//! symlink: make a symbolic link (symlinkat(2), `IORING_OP_SYMLINKAT`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`symlink`].
#[derive(Debug)]
pub struct Symlink {
    target: CString,
    at: Option<Descriptor>,
    path: CString,
}

/// Makes `path`, seen from `at` (`None`: from the working directory), a symbolic link to `target`.
///
/// Dropping the future asks for cancellation; the link may be made all the same.
///
/// # Errors
/// Those of symlinkat(2).
pub fn symlink(target: CString, at: Option<&Descriptor>, path: CString) -> Op<Symlink> {
    Op::new(Symlink { target, at: at.cloned(), path })
}

pub(crate) const FACTS: Facts = Facts {
    name: "symlink",
    opcode: opcode::SymlinkAt::CODE,
    since: (5, 15),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Symlink {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe::new(opcode::SymlinkAt::CODE);
        Prepared::new(sqe, directory(&self.at)).path(&self.target).second_path(&self.path)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
