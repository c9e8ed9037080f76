//! listen: have a socket accept connections (listen(2), `IORING_OP_LISTEN`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`listen`].
#[derive(Debug)]
pub struct Listen {
    socket: Descriptor,
    backlog: i32,
}

/// Has the socket listen; at most `backlog` connections wait to be accepted (the system's `somaxconn` may be
/// lower).
///
/// Linux 6.11; below that listen(2) is called, which does not wait.
///
/// Dropping the future asks for cancellation; the socket may listen all the same.
///
/// # Errors
/// Those of listen(2).
pub fn listen(socket: &Descriptor, backlog: i32) -> Op<Listen> {
    Op::new(Listen { socket: socket.clone(), backlog })
}

pub(crate) const FACTS: Facts = Facts {
    name: "listen",
    opcode: opcode::Listen::CODE,
    since: (6, 11),
    needs: Some(Capability::BindListen),
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Listen {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { len: self.backlog as u32, ..Sqe::new(opcode::Listen::CODE) };
        Prepared::new(sqe, self.socket.raw())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }

    fn fallback(&mut self) -> Option<Completion> {
        let listens = socket2::SockRef::from(&self.socket).listen(self.backlog);
        Some(Completion::instead(listens.map(|()| 0)))
    }
}
