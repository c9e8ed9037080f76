//! nop: a round trip through the ring that does nothing (io_uring_enter(2), `IORING_OP_NOP`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::ring::Prepared;
use crate::ring::Sqe;

/// See [`nop`].
#[derive(Debug)]
pub struct Nop(());

/// A round trip through the kernel. Useful to measure the ring, and to let it breathe.
pub fn nop() -> Op<Nop> {
    Op::new(Nop(()))
}

pub(crate) const TEMPLATE: Sqe = Sqe::new(opcode::Nop::CODE);

pub(crate) const FACTS: Facts = Facts {
    name: "nop",
    opcode: opcode::Nop::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Nop {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(TEMPLATE, -1)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
