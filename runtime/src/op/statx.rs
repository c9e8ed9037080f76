//! statx: ask for a file's metadata (statx(2), `IORING_OP_STATX`).

use std::ffi::CString;
use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs, directory};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// A point in time, `struct statx_timestamp`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatxTimestamp {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds on top.
    pub nsec: u32,
    reserved: i32,
}

/// Metadata, `struct statx`: the fields are those of statx(2), of which `mask` says which are filled.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named and explained by statx(2)")]
pub struct Statx {
    pub mask: u32,
    pub blksize: u32,
    pub attributes: u64,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pad: u16,
    pub ino: u64,
    pub size: u64,
    pub blocks: u64,
    pub attributes_mask: u64,
    pub atime: StatxTimestamp,
    pub btime: StatxTimestamp,
    pub ctime: StatxTimestamp,
    pub mtime: StatxTimestamp,
    pub rdev_major: u32,
    pub rdev_minor: u32,
    pub dev_major: u32,
    pub dev_minor: u32,
    pub mnt_id: u64,
    pub dio_mem_align: u32,
    pub dio_offset_align: u32,
    spare: [u64; 12],
}

const _: () = assert!(size_of::<Statx>() == 256 && std::mem::offset_of!(Statx, dio_mem_align) == 0x98);

/// See [`statx`].
#[derive(Debug)]
pub struct StatxAt {
    at: Option<Descriptor>,
    path: CString,
    flags: i32,
    mask: u32,
    answer: Box<Statx>,
}

/// Asks for the metadata in `mask` (`STATX_*`) of `path`, seen from `at` (`None`: from the working directory).
/// With `AT_EMPTY_PATH` among the flags and an empty path: of `at` itself.
///
/// Dropping the future cancels.
///
/// # Errors
/// Those of statx(2).
pub fn statx(at: Option<&Descriptor>, path: CString, flags: i32, mask: u32) -> Op<StatxAt> {
    Op::new(StatxAt { at: at.cloned(), path, flags, mask, answer: Box::default() })
}

pub(crate) const FACTS: Facts = Facts {
    name: "statx",
    opcode: opcode::Statx::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

/// The entry without descriptor, path and answer.
pub(crate) const fn template(flags: i32, mask: u32) -> Sqe {
    Sqe { op_flags: flags as u32, len: mask, ..Sqe::new(opcode::Statx::CODE) }
}

impl Operation for StatxAt {
    type Output = io::Result<Statx>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = template(self.flags, self.mask);
        Prepared::new(sqe, directory(&self.at)).path(&self.path).second_fills(&mut *self.answer)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit().map(|()| *self.answer)
    }
}
