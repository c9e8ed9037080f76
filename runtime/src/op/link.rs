//! link: give a file a second name (linkat(2), `IORING_OP_LINKAT`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`link`].
#[derive(Debug)]
pub struct Link {
    from: Option<Descriptor>,
    old: CString,
    to: Option<Descriptor>,
    new: CString,
    flags: i32,
}

/// Makes `new`, seen from `to`, another name of `old`, seen from `from` (`None`: from the working directory).
/// `flags` are the `AT_*` of linkat(2).
///
/// Dropping the future asks for cancellation; the link may be made all the same.
///
/// # Errors
/// Those of linkat(2).
pub fn link(
    from: Option<&Descriptor>,
    old: CString,
    to: Option<&Descriptor>,
    new: CString,
    flags: i32,
) -> Op<Link> {
    Op::new(Link { from: from.cloned(), old, to: to.cloned(), new, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "link",
    opcode: opcode::LinkAt::CODE,
    since: (5, 15),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Link {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let to = directory(&self.to) as u32;
        let sqe = Sqe { len: to, op_flags: self.flags as u32, ..Sqe::new(opcode::LinkAt::CODE) };
        Prepared::new(sqe, directory(&self.from)).path(&self.old).second_path(&self.new)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
