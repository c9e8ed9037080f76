//! Operations: one short file a verb, and the future that awaits one.
//!
//! An operation is described once. Its file holds its fields, its SQE, how its result is read, and the facts
//! of its opcode. The same facts and the same template serve the awaited form and the chains. To add an
//! opcode:
//!
//! - write `op/<verb>.rs`, and add its two lines below;
//! - if it came after 6.1: a line in `ring/capabilities.rs`, and how it is probed for in `ring/setup.rs`;
//! - a case in `tests/cases`, which every test of operations goes through, and in `tests/severs.rs` a way to fail once
//!   the kernel works on it, if that of the case is found before, and one to come short, if it counts bytes;
//! - a method in net or fs; if chains are to have it, a `Verb` (`frame/verb.rs`) and a step.
//!
//! An opcode that the kernel came to have after 6.1 is probed for when the ring is set up. Where it is missing, or
//! masked, the operation falls back to a system call that hardly waits, or fails with
//! [`Unsupported`](std::io::ErrorKind::Unsupported) and the kernel release that it needs; its documentation says
//! which.

#[allow(unsafe_code)]
mod completion;
pub(crate) mod facts;
mod flags;
mod future;
mod list;
#[allow(unsafe_code)]
pub mod message;
mod multishot;

pub(crate) mod cancel;

pub mod accept;
pub mod bind;
pub mod close;
pub mod connect;
pub mod epoll_wait;
pub mod fadvise;
pub mod fallocate;
pub mod files_update;
pub mod fixed_fd_install;
pub mod fsync;
pub mod ftruncate;
pub mod futex;
pub mod getxattr;
pub mod link;
pub mod listen;
pub mod madvise;
pub mod mkdir;
pub mod msg_ring;
pub mod nop;
pub mod openat2;
#[allow(unsafe_code)]
pub mod pipe;
pub mod poll;
mod pooled;
#[allow(unsafe_code)]
pub mod raw;
pub mod read;
pub mod read_file;
pub mod read_fixed;
pub mod read_multi;
pub mod read_vectored;
pub mod recv;
pub mod recv_multi;
pub mod recvmsg;
pub mod recvmsg_multi;
pub mod rename;
mod room;
pub mod send;
pub mod send_all;
pub mod send_to;
pub mod send_zc;
pub mod sendmsg;
pub mod sendmsg_zc;
pub mod setxattr;
pub mod shutdown;
pub mod socket;
#[allow(unsafe_code)]
pub mod sockopt;
pub mod splice;
pub mod statx;
pub mod symlink;
pub mod sync_file_range;
#[allow(unsafe_code)]
pub mod syscall;
pub mod tee;
pub mod unlink;
pub mod waitid;
pub mod write;
pub mod write_fixed;
pub mod write_sync;
pub mod write_vectored;

pub use completion::Completion;
pub(crate) use completion::{F_MORE, F_NOTIF};
pub use facts::{Facts, Returns, Severs};
pub use future::Op;
pub(crate) use list::{LONGEST, Shape, Then};
pub use list::{ListOp, ListOperation, Members};
pub use multishot::{Multishot, Repeats};

use std::os::fd::RawFd;

use crate::descriptor::Descriptor;
use crate::ring::Prepared;

/// The facts of every operation, where several use one opcode the plainest first.
pub const ALL: &[Facts] = &[
    accept::FACTS,
    bind::FACTS,
    close::FACTS,
    connect::FACTS,
    epoll_wait::FACTS,
    fadvise::FACTS,
    fallocate::FACTS,
    files_update::FACTS,
    fixed_fd_install::FACTS,
    fsync::FACTS,
    ftruncate::FACTS,
    futex::WAIT_FACTS,
    futex::WAITV_FACTS,
    futex::WAKE_FACTS,
    getxattr::FACTS,
    getxattr::F_FACTS,
    link::FACTS,
    listen::FACTS,
    madvise::FACTS,
    mkdir::FACTS,
    msg_ring::FACTS,
    nop::FACTS,
    openat2::FACTS,
    pipe::FACTS,
    poll::FACTS,
    read::FACTS,
    read_fixed::FACTS,
    read_multi::FACTS,
    read_vectored::FACTS,
    recv::FACTS,
    recv_multi::FACTS,
    recv_multi::MULTI_FACTS,
    recvmsg::FACTS,
    recvmsg_multi::FACTS,
    rename::FACTS,
    send::FACTS,
    send_to::FACTS,
    send_zc::FACTS,
    sendmsg::FACTS,
    sendmsg_zc::FACTS,
    setxattr::FACTS,
    setxattr::F_FACTS,
    shutdown::FACTS,
    socket::FACTS,
    sockopt::GET_FACTS,
    sockopt::SET_FACTS,
    splice::FACTS,
    statx::FACTS,
    symlink::FACTS,
    sync_file_range::FACTS,
    tee::FACTS,
    unlink::FACTS,
    waitid::FACTS,
    write::FACTS,
    write_fixed::FACTS,
    write_vectored::FACTS,
];

/// One kind of operation: what it owns, how it is submitted, what comes out.
///
/// The value is moved into a slot and stays there, unmoved and untouched, from [`prepare`](Operation::prepare)
/// to the last completion. Implementations are safe code: `Prepared` can only point to what is borrowed
/// from `self`. It cannot be implemented outside this crate, because only this crate can make a `Prepared`:
///
/// ```compile_fail,E0603
/// # use chainring_runtime::op::{Completion, Facts, Operation};
/// struct Forged;
///
/// impl Operation for Forged {
///     type Output = ();
///     const FACTS: Facts = chainring_runtime::op::ALL[0];
///     // There is no way to name, or to make, what is to be returned.
///     fn prepare<'a>(&'a mut self) -> chainring_runtime::op::Prepared<'a> { todo!() }
///     fn complete(self, _: Completion) {}
/// }
/// ```
pub trait Operation: Sized + 'static {
    /// What awaiting the operation gives.
    type Output;
    /// The facts of its opcode.
    const FACTS: Facts;

    /// Whether every ring offers it, so that none is asked. It takes facts that are looked up when a ring is set up, as
    /// those of [`ALL`] are.
    const IS_BASELINE: bool = Self::FACTS.is_baseline();

    /// Describes the submission. Called again if the queue was too full to take it.
    fn prepare<'a>(&'a mut self) -> Prepared<'a>;

    /// Reads the result; the operation gives back what it owned.
    fn complete(self, completion: Completion) -> Self::Output;

    /// Does without the ring what it does not offer, where a system call that hardly waits can.
    fn fallback(&mut self) -> Option<Completion> {
        None
    }

    /// Takes care of a result that nobody will read. Only called if [`FACTS`](Operation::FACTS) say that the
    /// opcode returns a pool's buffer.
    fn unwanted(&self, _completion: Completion) {}

    /// Makes the kernel let go of the operation's memory although its notification has not come: the runtime
    /// ends. Only called if [`FACTS`](Operation::FACTS) say that the opcode notifies.
    fn abort(&self) {}
}

/// The descriptor that a path is seen from.
fn directory(at: &Option<Descriptor>) -> RawFd {
    at.as_ref().map_or(libc::AT_FDCWD, Descriptor::raw)
}
