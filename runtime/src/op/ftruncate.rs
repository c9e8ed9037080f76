//! ftruncate: set the length of a file (ftruncate(2), `IORING_OP_FTRUNCATE`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`ftruncate`].
#[derive(Debug)]
pub struct Ftruncate {
    file: Descriptor,
    len: u64,
}

/// Cuts the file off, or extends it with a hole, at `len` bytes.
///
/// Linux 6.9; below that ftruncate(2) is called, which may wait for the disk.
///
/// Dropping the future asks for cancellation; the length may be set all the same.
///
/// # Errors
/// Those of ftruncate(2).
pub fn ftruncate(file: &Descriptor, len: u64) -> Op<Ftruncate> {
    Op::new(Ftruncate { file: file.clone(), len })
}

pub(crate) const FACTS: Facts = Facts {
    name: "ftruncate",
    opcode: opcode::Ftruncate::CODE,
    since: (6, 9),
    needs: Some(Capability::Ftruncate),
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Ftruncate {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::Ftruncate::CODE), self.file.raw()).at(self.len)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }

    fn fallback(&mut self) -> Option<Completion> {
        let truncated = self.file.as_fd().try_clone_to_owned().map(File::from);
        let truncated = truncated.and_then(|file| file.set_len(self.len));
        Some(Completion::instead(truncated.map(|()| 0)))
    }
}
