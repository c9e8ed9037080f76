//! setxattr: set an extended attribute (setxattr(2), fsetxattr(2), `IORING_OP_SETXATTR`,
//! `IORING_OP_FSETXATTR`).

use std::ffi::CString;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`setxattr`].
#[derive(Debug)]
pub struct SetXattr<B> {
    path: CString,
    name: CString,
    value: B,
    flags: i32,
}

/// Sets the attribute `name` of the file at `path` to `value`. `flags` are 0, `XATTR_CREATE` or `XATTR_REPLACE`.
///
/// Dropping the future asks for cancellation; the attribute may be set all the same.
///
/// # Errors
/// Those of setxattr(2).
pub fn setxattr<B: IoBuf>(path: CString, name: CString, value: B, flags: i32) -> Op<SetXattr<B>> {
    Op::new(SetXattr { path, name, value, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "setxattr",
    opcode: opcode::SetXattr::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl<B: IoBuf> Operation for SetXattr<B> {
    type Output = BufResult<(), B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { op_flags: self.flags as u32, ..Sqe::new(opcode::SetXattr::CODE) };
        Prepared::new(sqe, -1).path(&self.name).third_path(&self.path).second_reads(&self.value)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.unit(), self.value)
    }
}

/// See [`fsetxattr`].
#[derive(Debug)]
pub struct FSetXattr<B> {
    file: Descriptor,
    name: CString,
    value: B,
    flags: i32,
}

/// Sets the attribute `name` of an open file to `value`. `flags` are 0, `XATTR_CREATE` or `XATTR_REPLACE`.
///
/// Dropping the future asks for cancellation; the attribute may be set all the same.
///
/// # Errors
/// Those of fsetxattr(2).
pub fn fsetxattr<B: IoBuf>(file: &Descriptor, name: CString, value: B, flags: i32) -> Op<FSetXattr<B>> {
    Op::new(FSetXattr { file: file.clone(), name, value, flags })
}

pub(crate) const F_FACTS: Facts = Facts {
    name: "fsetxattr",
    opcode: opcode::FSetXattr::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl<B: IoBuf> Operation for FSetXattr<B> {
    type Output = BufResult<(), B>;
    const FACTS: Facts = F_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { op_flags: self.flags as u32, ..Sqe::new(opcode::FSetXattr::CODE) };
        Prepared::new(sqe, self.file.raw()).path(&self.name).second_reads(&self.value)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.unit(), self.value)
    }
}
