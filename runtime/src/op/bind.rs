//! bind: give a socket its own address (bind(2), `IORING_OP_BIND`).

use std::io;

use io_uring::opcode;
use socket2::SockAddr;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`bind`].
#[derive(Debug)]
pub struct Bind {
    socket: Descriptor,
    address: Box<SockAddr>,
}

/// Binds the socket to `address`.
///
/// Linux 6.11; below that bind(2) is called, which does not wait.
///
/// Dropping the future asks for cancellation; the socket may be bound all the same.
///
/// # Errors
/// Those of bind(2).
pub fn bind(socket: &Descriptor, address: SockAddr) -> Op<Bind> {
    Op::new(Bind { socket: socket.clone(), address: Box::new(address) })
}

pub(crate) const FACTS: Facts = Facts {
    name: "bind",
    opcode: opcode::Bind::CODE,
    since: (6, 11),
    needs: Some(Capability::BindListen),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Bind {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::Bind::CODE), self.socket.raw()).address(&self.address)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }

    fn fallback(&mut self) -> Option<Completion> {
        let bound = socket2::SockRef::from(&self.socket).bind(&self.address);
        Some(Completion::instead(bound.map(|()| 0)))
    }
}
