//! mkdir: make a directory (mkdirat(2), `IORING_OP_MKDIRAT`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`mkdir`].
#[derive(Debug)]
pub struct MkDir {
    at: Option<Descriptor>,
    path: CString,
    mode: u32,
}

/// Makes the directory `path`, seen from `at` (`None`: from the working directory), with the permissions `mode`
/// less the umask.
///
/// Dropping the future asks for cancellation; the directory may be made all the same.
///
/// # Errors
/// Those of mkdirat(2).
pub fn mkdir(at: Option<&Descriptor>, path: CString, mode: u32) -> Op<MkDir> {
    Op::new(MkDir { at: at.cloned(), path, mode })
}

pub(crate) const FACTS: Facts = Facts {
    name: "mkdir",
    opcode: opcode::MkDirAt::CODE,
    since: (5, 15),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for MkDir {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.mode, ..Sqe::new(opcode::MkDirAt::CODE) };
        Prepared::new(sqe, directory(&self.at)).path(&self.path)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
