//! fsync: have a file reach the disk (fsync(2), `IORING_OP_FSYNC`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`fsync`].
#[derive(Debug)]
pub struct Fsync {
    file: Descriptor,
    data_only: bool,
}

/// Waits until the file's data and metadata are on the disk.
///
/// Dropping the future asks for cancellation; it is not known what has reached the disk.
///
/// # Errors
/// Those of fsync(2). After EIO the data that could not be written is lost: writing it again is the only remedy.
pub fn fsync(file: &Descriptor) -> Op<Fsync> {
    Op::new(Fsync { file: file.clone(), data_only: false })
}

/// Waits until the file's data is on the disk, and of its metadata what is needed to read it back (fdatasync(2)).
///
/// Dropping the future asks for cancellation; it is not known what has reached the disk.
///
/// # Errors
/// As [`fsync`].
pub fn fdatasync(file: &Descriptor) -> Op<Fsync> {
    Op::new(Fsync { file: file.clone(), data_only: true })
}

/// `IORING_FSYNC_DATASYNC`.
const DATASYNC: u32 = 1 << 0;

pub(crate) const FACTS: Facts = Facts {
    name: "fsync",
    opcode: opcode::Fsync::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

/// The entry without a file.
pub(crate) const fn template(data_only: bool) -> Sqe {
    Sqe { op_flags: if data_only { DATASYNC } else { 0 }, ..Sqe::new(opcode::Fsync::CODE) }
}

impl Operation for Fsync {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(self.data_only), self.file.raw())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
