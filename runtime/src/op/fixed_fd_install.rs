//! fixed_fd_install: make a descriptor of a direct descriptor (`IORING_OP_FIXED_FD_INSTALL`).

use std::io;
use std::os::fd::OwnedFd;

use io_uring::opcode;

use super::files_update::DirectFiles;
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::direct::DirectDescriptor;
use crate::ring::capabilities::Capability;
use crate::ring::sqe::FIXED_FILE;
use crate::ring::{Prepared, Sqe};

/// See [`fixed_fd_install`].
#[derive(Debug)]
pub struct FixedFdInstall {
    table: DirectFiles,
    place: u32,
}

/// Makes a descriptor (close-on-exec) of the file in a place of the table, which stays there.
///
/// Linux 6.8; below that it fails with [`Unsupported`](io::ErrorKind::Unsupported).
///
/// Dropping the future cancels; a descriptor that was made all the same is closed.
///
/// # Errors
/// EBADF if the place is empty or not in the table.
pub fn fixed_fd_install(table: &DirectFiles, place: u32) -> Op<FixedFdInstall> {
    Op::new(FixedFdInstall { table: table.clone(), place })
}

pub(crate) const FACTS: Facts = Facts {
    name: "fixed_fd_install",
    opcode: opcode::FixedFdInstall::CODE,
    since: (6, 8),
    needs: Some(Capability::FixedFdInstall),
    returns: Returns::Descriptor,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for FixedFdInstall {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { flags: FIXED_FILE, ..Sqe::new(opcode::FixedFdInstall::CODE) };
        Prepared::new(sqe, self.table.places(self.place, 1) as i32)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}

/// See [`DirectDescriptor::install`].
#[derive(Debug)]
pub struct Install(DirectDescriptor);

pub(crate) fn install(direct: &DirectDescriptor) -> Op<Install> {
    Op::new(Install(direct.clone()))
}

impl Operation for Install {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(Sqe::new(opcode::FixedFdInstall::CODE), &self.0)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}
