//! fallocate: reserve, punch or zero a range of a file (fallocate(2), `IORING_OP_FALLOCATE`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`fallocate`].
#[derive(Debug)]
pub struct Fallocate {
    file: Descriptor,
    mode: i32,
    offset: u64,
    len: u64,
}

/// Does to the `len` bytes at `offset` what `mode` (`FALLOC_FL_*`; 0 reserves space) says.
///
/// Dropping the future asks for cancellation; the range may be changed all the same.
///
/// # Errors
/// Those of fallocate(2).
pub fn fallocate(file: &Descriptor, mode: i32, offset: u64, len: u64) -> Op<Fallocate> {
    Op::new(Fallocate { file: file.clone(), mode, offset, len })
}

pub(crate) const FACTS: Facts = Facts {
    name: "fallocate",
    opcode: opcode::Fallocate::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Fallocate {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.mode as u32, ..Sqe::new(opcode::Fallocate::CODE) };
        Prepared::new(sqe, self.file.raw()).at(self.offset).number(self.len)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
