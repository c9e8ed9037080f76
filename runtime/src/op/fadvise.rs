//! fadvise: say how a file will be used (posix_fadvise(2), `IORING_OP_FADVISE`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`fadvise`].
#[derive(Debug)]
pub struct Fadvise {
    file: Descriptor,
    offset: u64,
    len: u32,
    advice: i32,
}

/// Says how the `len` bytes (0: all) from `offset` on will be used: `advice` is one of `POSIX_FADV_*`.
///
/// Dropping the future asks for cancellation.
///
/// # Errors
/// Those of posix_fadvise(2).
pub fn fadvise(file: &Descriptor, offset: u64, len: u32, advice: i32) -> Op<Fadvise> {
    Op::new(Fadvise { file: file.clone(), offset, len, advice })
}

pub(crate) const FACTS: Facts = Facts {
    name: "fadvise",
    opcode: opcode::Fadvise::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Fadvise {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.len, op_flags: self.advice as u32, ..Sqe::new(opcode::Fadvise::CODE) };
        Prepared::new(sqe, self.file.raw()).at(self.offset)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
