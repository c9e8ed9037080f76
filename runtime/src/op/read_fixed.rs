//! read_fixed: read into a registered buffer (io_uring_enter(2), `IORING_OP_READ_FIXED`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, Filling, FixedBuf};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`read_fixed_at`].
#[derive(Debug)]
pub struct ReadFixed {
    file: Descriptor,
    buffer: Filling<FixedBuf>,
    offset: u64,
}

/// Reads at `offset` bytes into the file, into a registered buffer: the kernel need not look its pages up. Gives
/// the number of bytes; 0 is the end of the file.
///
/// Dropping the future asks for cancellation; the buffer is back in its pool when the kernel is done with it.
///
/// # Errors
/// Those of pread(2); EFAULT if the buffer is registered with the ring of another runtime.
pub fn read_fixed_at(file: &Descriptor, buffer: FixedBuf, offset: u64) -> Op<ReadFixed> {
    Op::new(ReadFixed { file: file.clone(), buffer: Filling::new(buffer), offset })
}

pub(crate) const FACTS: Facts = Facts {
    name: "read_fixed",
    opcode: opcode::ReadFixed::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for ReadFixed {
    type Output = BufResult<usize, FixedBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let index = self.buffer.buffer().index();
        let prepared = Prepared::new(Sqe::new(opcode::ReadFixed::CODE), self.file.raw()).at(self.offset);
        prepared.writes(self.buffer.room()).registered(index)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.fill(self.buffer)
    }
}
