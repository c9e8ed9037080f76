//! getxattr: read an extended attribute (getxattr(2), fgetxattr(2), `IORING_OP_GETXATTR`,
//! `IORING_OP_FGETXATTR`).

use std::ffi::CString;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, Filling, IoBufMut};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`getxattr`].
#[derive(Debug)]
pub struct GetXattr<B> {
    path: CString,
    name: CString,
    value: Filling<B>,
}

/// Reads the attribute `name` of the file at `path` into `value`. Gives its length; asked with no room, the length that
/// it needs.
///
/// Dropping the future cancels.
///
/// # Errors
/// Those of getxattr(2), ERANGE among them if the room is too small.
pub fn getxattr<B: IoBufMut>(path: CString, name: CString, value: B) -> Op<GetXattr<B>> {
    Op::new(GetXattr { path, name, value: Filling::new(value) })
}

pub(crate) const FACTS: Facts = Facts {
    name: "getxattr",
    opcode: opcode::GetXattr::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Never,
    multishot: false,
};

/// With no room the result is a length, and not a count of what was written.
fn value<B: IoBufMut>(value: Filling<B>, completion: Completion) -> BufResult<usize, B> {
    if value.had_room() { completion.fill(value) } else { (completion.count(), value.untouched()) }
}

impl<B: IoBufMut> Operation for GetXattr<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::GetXattr::CODE), -1)
            .path(&self.name)
            .third_path(&self.path)
            .second_writes(self.value.room())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        value(self.value, completion)
    }
}

/// See [`fgetxattr`].
#[derive(Debug)]
pub struct FGetXattr<B> {
    file: Descriptor,
    name: CString,
    value: Filling<B>,
}

/// Reads the attribute `name` of an open file into `value`. Gives its length; asked with no room, the length that it
/// needs.
///
/// Dropping the future cancels.
///
/// # Errors
/// Those of fgetxattr(2), ERANGE among them if the room is too small.
pub fn fgetxattr<B: IoBufMut>(file: &Descriptor, name: CString, value: B) -> Op<FGetXattr<B>> {
    Op::new(FGetXattr { file: file.clone(), name, value: Filling::new(value) })
}

pub(crate) const F_FACTS: Facts = Facts {
    name: "fgetxattr",
    opcode: opcode::FGetXattr::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Never,
    multishot: false,
};

impl<B: IoBufMut> Operation for FGetXattr<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = F_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::FGetXattr::CODE), self.file.raw())
            .path(&self.name)
            .second_writes(self.value.room())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        value(self.value, completion)
    }
}
