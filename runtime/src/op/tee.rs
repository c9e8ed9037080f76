//! tee: duplicate what is in a pipe (tee(2), `IORING_OP_TEE`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, splice};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;

/// See [`tee`].
#[derive(Debug)]
pub struct Tee {
    from: Descriptor,
    to: Descriptor,
    len: u32,
    flags: u32,
}

/// Duplicates at most `len` bytes from the pipe `from` into the pipe `to`, without taking them. `flags` are the
/// `SPLICE_F_*` of tee(2). Gives the number of bytes; 0 is the end of the input.
///
/// Like a splice it occupies a worker thread of the kernel while it waits.
///
/// Dropping the future asks for cancellation; it is not known how much was duplicated.
///
/// # Errors
/// Those of tee(2).
pub fn tee(from: &Descriptor, to: &Descriptor, len: u32, flags: u32) -> Op<Tee> {
    Op::new(Tee { from: from.clone(), to: to.clone(), len, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "tee",
    opcode: opcode::Tee::CODE,
    since: (5, 8),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Tee {
    type Output = io::Result<usize>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        splice::entry(opcode::Tee::CODE, &self.from, &self.to, self.len, self.flags)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count()
    }
}
