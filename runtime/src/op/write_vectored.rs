//! write_vectored: write several buffers at a position of a file (pwritev(2), `IORING_OP_WRITEV`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBuf, Iovecs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`write_vectored_at`].
#[derive(Debug)]
pub struct WriteVectored<B> {
    file: Descriptor,
    buffers: B,
    iovecs: Iovecs,
    offset: u64,
}

/// Writes the buffers, in order, at `offset` bytes into the file. Gives the number of bytes written, which may
/// be fewer than there are. An offset of `u64::MAX` writes at (and moves) the file's own position, as
/// writev(2) does.
///
/// Dropping the future asks for cancellation; it is not known how much was written.
///
/// # Errors
/// Those of pwritev(2); EINVAL for more than 1024 buffers.
pub fn write_vectored_at<B: IoVecBuf>(file: &Descriptor, buffers: B, offset: u64) -> Op<WriteVectored<B>> {
    Op::new(WriteVectored { file: file.clone(), buffers, iovecs: Iovecs::new(), offset })
}

pub(crate) const FACTS: Facts = Facts {
    name: "write_vectored",
    opcode: opcode::Writev::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<B: IoVecBuf> Operation for WriteVectored<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let parts = self.iovecs.gather(&self.buffers);
        Prepared::new(Sqe::new(opcode::Writev::CODE), self.file.raw()).at(self.offset).vectored(parts)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffers)
    }
}
