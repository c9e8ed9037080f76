//! read: read at a position of a file (pread(2), `IORING_OP_READ`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, Filling, IoBufMut};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;
use crate::ring::Sqe;

/// See [`read_at`].
#[derive(Debug)]
pub struct Read<B> {
    file: Descriptor,
    buffer: Filling<B>,
    offset: u64,
}

/// Reads at `offset` bytes into the file. Gives the number of bytes; 0 is the end of the file. An offset of
/// `u64::MAX` reads at (and moves) the file's own position, as read(2) does.
///
/// Dropping the future asks for cancellation; a read that the disk already works on goes on into the buffer,
/// which is kept until then.
pub fn read_at<B: IoBufMut>(file: &Descriptor, buffer: B, offset: u64) -> Op<Read<B>> {
    Op::new(Read { file: file.clone(), buffer: Filling::new(buffer), offset })
}

pub(crate) const FACTS: Facts = Facts {
    name: "read",
    opcode: opcode::Read::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<B: IoBufMut> Operation for Read<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe::new(opcode::Read::CODE);
        Prepared::new(sqe, self.file.raw()).at(self.offset).writes(self.buffer.room())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.fill(self.buffer)
    }
}
