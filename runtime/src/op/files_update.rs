//! files_update: put files into the table of direct descriptors (io_uring_register(2),
//! `IORING_OP_FILES_UPDATE`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::exec::{Handle, Identity};
use crate::ring::{Prepared, Sqe};

/// The table of a ring's direct descriptors. There is one a runtime, which lasts as long as its ring; the files in
/// it stay open until they are replaced or the runtime ends. In another runtime it is a table of no places.
#[derive(Clone, Debug)]
pub struct DirectFiles {
    core: Identity,
    len: u32,
}

impl DirectFiles {
    /// Makes the table, of `len` empty places, for the core that runs the caller.
    ///
    /// # Errors
    /// EBUSY if the runtime has one already, or if there are files of [`read_file`](super::read_file), or
    /// [direct descriptors](crate::DirectDescriptor), at the moment;
    /// EMFILE beyond the limit of open files (RLIMIT_NOFILE).
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn register(len: u32) -> io::Result<DirectFiles> {
        let core = Handle::current();
        core.driver().register_direct(len)?;
        Ok(DirectFiles { core: core.identity(), len })
    }

    /// What the kernel is asked for to find `count` places from `first` on. Behind those of the table are the runtime's
    /// own, which are nobody else's business, and in another runtime all are: it is asked for one that is not there.
    pub(super) fn places(&self, first: u32, count: usize) -> u32 {
        let is_in = u64::from(first) + count as u64 <= u64::from(self.len);
        if is_in && self.core.is_current() { first } else { i32::MAX as u32 }
    }

    /// The number of places.
    #[allow(clippy::len_without_is_empty, reason = "a table of no places cannot be made")]
    pub fn len(&self) -> u32 {
        self.len
    }
}

/// See [`files_update`].
#[derive(Debug)]
pub struct FilesUpdate {
    table: DirectFiles,
    first: u32,
    files: Vec<Option<Descriptor>>,
    numbers: Vec<i32>,
}

/// Puts `files` into the places of the table from `first` on; `None` empties a place. Gives the number of places
/// that were set.
///
/// Dropping the future asks for cancellation; the files may be in the table all the same.
///
/// # Errors
/// EINVAL if the places are not those of the table, EBADF for a file that cannot be in one (another ring).
pub fn files_update(table: &DirectFiles, first: u32, files: Vec<Option<Descriptor>>) -> Op<FilesUpdate> {
    Op::new(FilesUpdate { table: table.clone(), first, files, numbers: Vec::new() })
}

pub(crate) const FACTS: Facts = Facts {
    name: "files_update",
    opcode: opcode::FilesUpdate::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for FilesUpdate {
    type Output = io::Result<usize>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        self.numbers = self.files.iter().map(|file| file.as_ref().map_or(-1, Descriptor::raw)).collect();
        let sqe = Sqe::new(opcode::FilesUpdate::CODE);
        let first = self.table.places(self.first, self.files.len());
        Prepared::new(sqe, -1).at(u64::from(first)).array(&self.numbers)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count()
    }
}
