//! shutdown: end one or both directions of a connection (shutdown(2), `IORING_OP_SHUTDOWN`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// See [`shutdown`].
#[derive(Debug)]
pub struct Shutdown<D = Descriptor> {
    socket: D,
    how: std::net::Shutdown,
}

/// Ends the directions that `how` names. Whoever receives on an ended one sees the end of the stream.
///
/// Dropping the future asks for cancellation; the directions may be ended all the same.
///
/// # Errors
/// Those of shutdown(2).
pub fn shutdown<D: AnyDescriptor>(socket: &D, how: std::net::Shutdown) -> Op<Shutdown<D>> {
    Op::new(Shutdown { socket: socket.clone(), how })
}

pub(crate) const FACTS: Facts = Facts {
    name: "shutdown",
    opcode: opcode::Shutdown::CODE,
    since: (5, 11),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

/// The submission, without a socket.
pub(crate) const fn template(how: std::net::Shutdown) -> Sqe {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    Sqe { len: how as u32, ..Sqe::new(opcode::Shutdown::CODE) }
}

impl<D: AnyDescriptor> Operation for Shutdown<D> {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(template(self.how), &self.socket)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
