//! write_fixed: write from a registered buffer (io_uring_enter(2), `IORING_OP_WRITE_FIXED`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, FixedBuf};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`write_fixed_at`].
#[derive(Debug)]
pub struct WriteFixed {
    file: Descriptor,
    buffer: FixedBuf,
    offset: u64,
}

/// Writes the bytes of a registered buffer at `offset` bytes into the file: the kernel need not look its pages
/// up. Gives the number of bytes written, which may be fewer than there are.
///
/// Dropping the future asks for cancellation; it is not known how much was written. The buffer is back in its
/// pool when the kernel is done with it.
///
/// # Errors
/// Those of pwrite(2); EFAULT if the buffer is registered with the ring of another runtime.
pub fn write_fixed_at(file: &Descriptor, buffer: FixedBuf, offset: u64) -> Op<WriteFixed> {
    Op::new(WriteFixed { file: file.clone(), buffer, offset })
}

pub(crate) const FACTS: Facts = Facts {
    name: "write_fixed",
    opcode: opcode::WriteFixed::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for WriteFixed {
    type Output = BufResult<usize, FixedBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let index = self.buffer.index();
        let prepared = Prepared::new(Sqe::new(opcode::WriteFixed::CODE), self.file.raw()).at(self.offset);
        prepared.reads(&self.buffer).registered(index)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }
}
