//! waitid: wait for a child process (waitid(2), `IORING_OP_WAITID`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// Whom to wait for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Child {
    /// Any child.
    Any,
    /// The child with this process number.
    Pid(u32),
    /// Any child of this process group.
    Group(u32),
    /// The child of this pidfd (pidfd_open(2)).
    PidFd(Descriptor),
}

/// What has become of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its process number; 0 if, with `WNOHANG`, there is nothing to tell.
    pub pid: i32,
    /// The user that it ran for.
    pub uid: u32,
    /// `CLD_EXITED`, `CLD_KILLED`, `CLD_DUMPED`, `CLD_STOPPED`, `CLD_TRAPPED` or `CLD_CONTINUED`.
    pub code: i32,
    /// Its exit status, or the signal.
    pub status: i32,
}

/// The part of `siginfo_t` that waitid(2) fills, and the rest of its 128 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    pad: i32,
    pid: i32,
    uid: u32,
    status: i32,
    rest: [i32; 25],
}

const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>());

/// See [`waitid`].
#[derive(Debug)]
pub struct WaitId {
    child: Child,
    options: i32,
    info: Box<SigInfo>,
}

/// Waits until a child changes as `options` (`WEXITED`, `WSTOPPED`, `WCONTINUED`, `WNOHANG`, `WNOWAIT`) say.
///
/// Linux 6.7; below that it fails with [`Unsupported`](io::ErrorKind::Unsupported): poll a pidfd instead.
///
/// Dropping the future cancels the wait; the change of a child that it had taken already is lost.
///
/// # Errors
/// Those of waitid(2).
pub fn waitid(child: Child, options: i32) -> Op<WaitId> {
    let none = SigInfo { signo: 0, errno: 0, code: 0, pad: 0, pid: 0, uid: 0, status: 0, rest: [0; 25] };
    Op::new(WaitId { child, options, info: Box::new(none) })
}

pub(crate) const FACTS: Facts = Facts {
    name: "waitid",
    opcode: opcode::WaitId::CODE,
    since: (6, 7),
    needs: Some(Capability::WaitId),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for WaitId {
    type Output = io::Result<Change>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let (kind, id) = match &self.child {
            Child::Any => (libc::P_ALL, 0),
            Child::Pid(pid) => (libc::P_PID, *pid),
            Child::Group(group) => (libc::P_PGID, *group),
            Child::PidFd(fd) => (libc::P_PIDFD, fd.raw() as u32),
        };
        let sqe = Sqe { len: kind, file_index: self.options as u32, ..Sqe::new(opcode::WaitId::CODE) };
        Prepared::new(sqe, id as i32).second_fills(&mut *self.info)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let SigInfo { pid, uid, code, status, .. } = *self.info;
        completion.unit().map(|()| Change { pid, uid, code, status })
    }
}
