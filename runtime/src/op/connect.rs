//! connect: connect a socket to an address (connect(2), `IORING_OP_CONNECT`).

use std::io;

use io_uring::opcode;
use socket2::SockAddr;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// See [`connect`].
#[derive(Debug)]
pub struct Connect<D = Descriptor> {
    socket: D,
    address: Box<SockAddr>,
}

/// Connects to `address`.
///
/// Dropping the future cancels; the socket is then good for nothing but being closed.
///
/// # Errors
/// Those of connect(2).
pub fn connect<D: AnyDescriptor>(socket: &D, address: SockAddr) -> Op<Connect<D>> {
    Op::new(Connect { socket: socket.clone(), address: Box::new(address) })
}

pub(crate) const FACTS: Facts = Facts {
    name: "connect",
    opcode: opcode::Connect::CODE,
    since: (5, 5),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl<D: AnyDescriptor> Operation for Connect<D> {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(Sqe::new(opcode::Connect::CODE), &self.socket).address(&self.address)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
