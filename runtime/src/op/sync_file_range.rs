//! sync_file_range: write a range of a file back (sync_file_range(2), `IORING_OP_SYNC_FILE_RANGE`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`sync_file_range`].
#[derive(Debug)]
pub struct SyncFileRange {
    file: Descriptor,
    offset: u64,
    len: u32,
    flags: u32,
}

/// Starts writing back the `len` bytes (0: all) from `offset` on, or waits for it, as `flags`
/// (`SYNC_FILE_RANGE_*`) say. Neither metadata nor the disk's own cache is written: what has to survive a crash
/// needs [`fdatasync`](super::fsync::fdatasync).
///
/// Dropping the future asks for cancellation; it is not known what has been written.
///
/// # Errors
/// Those of sync_file_range(2). After EIO the data that could not be written is lost, as after
/// [`fsync`](super::fsync::fsync).
pub fn sync_file_range(file: &Descriptor, offset: u64, len: u32, flags: u32) -> Op<SyncFileRange> {
    Op::new(SyncFileRange { file: file.clone(), offset, len, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "sync_file_range",
    opcode: opcode::SyncFileRange::CODE,
    since: (5, 2),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for SyncFileRange {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.len, op_flags: self.flags, ..Sqe::new(opcode::SyncFileRange::CODE) };
        Prepared::new(sqe, self.file.raw()).at(self.offset)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
