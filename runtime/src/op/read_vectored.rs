//! read_vectored: read at a position of a file into several buffers (preadv(2), `IORING_OP_READV`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBufMut, Iovecs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// See [`read_vectored_at`].
#[derive(Debug)]
pub struct ReadVectored<B, D = Descriptor> {
    file: D,
    buffers: B,
    iovecs: Iovecs,
    offset: u64,
}

/// Reads at `offset` bytes into the file, filling the buffers in order. Gives the number of bytes; 0 is the end
/// of the file. An offset of `u64::MAX` reads at (and moves) the file's own position, as readv(2) does.
///
/// Dropping the future asks for cancellation; a read that the disk already works on goes on into the buffers,
/// which are kept until then.
///
/// # Errors
/// Those of preadv(2); EINVAL for more than 1024 buffers.
pub fn read_vectored_at<B: IoVecBufMut, D: AnyDescriptor>(
    file: &D,
    buffers: B,
    offset: u64,
) -> Op<ReadVectored<B, D>> {
    Op::new(ReadVectored { file: file.clone(), buffers, iovecs: Iovecs::new(), offset })
}

pub(crate) const FACTS: Facts = Facts {
    name: "read_vectored",
    opcode: opcode::Readv::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<B: IoVecBufMut, D: AnyDescriptor> Operation for ReadVectored<B, D> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let parts = self.iovecs.scatter(&mut self.buffers);
        Prepared::on(Sqe::new(opcode::Readv::CODE), &self.file).at(self.offset).vectored(parts)
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(n) = result {
            self.iovecs.filled(&mut self.buffers, n);
        }
        (result, self.buffers)
    }
}
