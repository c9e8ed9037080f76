//! unlink: remove a name, or an empty directory (unlinkat(2), `IORING_OP_UNLINKAT`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`unlink`].
#[derive(Debug)]
pub struct Unlink {
    at: Option<Descriptor>,
    path: CString,
    flags: i32,
}

/// Removes `path`, seen from `at` (`None`: from the working directory); a directory with `AT_REMOVEDIR`.
///
/// Dropping the future asks for cancellation; the name may be gone all the same.
///
/// # Errors
/// Those of unlinkat(2).
pub fn unlink(at: Option<&Descriptor>, path: CString, flags: i32) -> Op<Unlink> {
    Op::new(Unlink { at: at.cloned(), path, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "unlink",
    opcode: opcode::UnlinkAt::CODE,
    since: (5, 11),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Unlink {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { op_flags: self.flags as u32, ..Sqe::new(opcode::UnlinkAt::CODE) };
        Prepared::new(sqe, directory(&self.at)).path(&self.path)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
