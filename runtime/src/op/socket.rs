//! socket: make a socket (socket(2), `IORING_OP_SOCKET`).

use std::io;
use std::os::fd::OwnedFd;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::direct::DirectDescriptor;
use crate::driver::direct::Place;
use crate::exec::Handle;
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

/// The entry without the kind of socket. The family stands in the place of a descriptor.
pub(crate) const fn template(family: i32, protocol: i32) -> Sqe {
    Sqe { fd: family, len: protocol as u32, ..Sqe::new(opcode::Socket::CODE) }
}

impl Operation for Socket {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(self.domain, self.protocol), self.domain).at(self.kind as u32 as u64)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}

/// See [`socket_direct`].
#[derive(Debug)]
pub struct SocketDirect {
    domain: i32,
    kind: i32,
    protocol: i32,
    place: Place,
}

/// As [`socket`], as a [`DirectDescriptor`]; `SOCK_CLOEXEC` has no meaning and is left out. Its place is taken now.
///
/// Dropping the future cancels, and gives the place back.
///
/// # Errors
/// ENFILE if all places are taken; [`Unsupported`](io::ErrorKind::Unsupported) if the runtime was
/// [built](crate::Builder::direct_descriptors) with none. Awaiting it, those of socket(2).
///
/// # Panics
/// Outside of a runtime.
pub fn socket_direct(domain: i32, kind: i32, protocol: i32) -> io::Result<Op<SocketDirect>> {
    let place = Place::take_empty(Handle::current())?;
    let kind = kind & !libc::SOCK_CLOEXEC;
    Ok(Op::new(SocketDirect { domain, kind, protocol, place }))
}

impl Operation for SocketDirect {
    type Output = io::Result<DirectDescriptor>;
    const FACTS: Facts = Facts { returns: Returns::Unit, ..FACTS };

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe {
            len: self.protocol as u32,
            file_index: self.place.file_index(),
            ..Sqe::new(opcode::Socket::CODE)
        };
        Prepared::new(sqe, self.domain).at(self.kind as u32 as u64)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.place.filled(completion.unit())
    }
}
