//! rename: give a file another name (renameat2(2), `IORING_OP_RENAMEAT`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`rename`].
#[derive(Debug)]
pub struct Rename {
    from: Option<Descriptor>,
    old: CString,
    to: Option<Descriptor>,
    new: CString,
    flags: u32,
}

/// Renames `old`, seen from `from`, to `new`, seen from `to` (`None`: from the working directory). `flags` are the
/// `RENAME_*` of renameat2(2).
///
/// Dropping the future asks for cancellation; the file may be renamed all the same.
///
/// # Errors
/// Those of renameat2(2).
pub fn rename(
    from: Option<&Descriptor>,
    old: CString,
    to: Option<&Descriptor>,
    new: CString,
    flags: u32,
) -> Op<Rename> {
    Op::new(Rename { from: from.cloned(), old, to: to.cloned(), new, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "rename",
    opcode: opcode::RenameAt::CODE,
    since: (5, 11),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Rename {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let to = directory(&self.to) as u32;
        let sqe = Sqe { len: to, op_flags: self.flags, ..Sqe::new(opcode::RenameAt::CODE) };
        Prepared::new(sqe, directory(&self.from)).path(&self.old).second_path(&self.new)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
