//! socket: make a socket (socket(2), `IORING_OP_SOCKET`).

use std::io;
use std::os::fd::OwnedFd;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::ring::{Prepared, Sqe};

/// See [`socket`].
#[derive(Debug)]
pub struct Socket {
    domain: i32,
    kind: i32,
    protocol: i32,
}

/// Makes a socket of a domain (`AF_*`), a type (`SOCK_*`; `SOCK_CLOEXEC` is always added) and a protocol.
///
/// Dropping the future cancels; a socket that was made all the same is closed.
///
/// # Errors
/// Those of socket(2).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Op<Socket> {
    Op::new(Socket { domain, kind: kind | libc::SOCK_CLOEXEC, protocol })
}

pub(crate) const FACTS: Facts = Facts {
    name: "socket",
    opcode: opcode::Socket::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Descriptor,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Socket {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.protocol as u32, ..Sqe::new(opcode::Socket::CODE) };
        Prepared::new(sqe, self.domain).at(self.kind as u32 as u64)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}
