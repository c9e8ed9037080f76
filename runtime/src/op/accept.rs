//! accept: take a connection from a listener (accept4(2), `IORING_OP_ACCEPT`), once or again and again.

use std::io;
use std::os::fd::OwnedFd;

use io_uring::opcode;

use super::multishot::Repeats;
use super::{Completion, Facts, Multishot, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::direct::DirectDescriptor;
use crate::driver::direct::Place;
use crate::exec::Handle;
use crate::ring::Prepared;
use crate::ring::Sqe;

/// `IORING_ACCEPT_MULTISHOT`, kernel 5.19.
const MULTISHOT: u16 = 1 << 0;

pub(crate) const FACTS: Facts = Facts {
    name: "accept",
    opcode: opcode::Accept::CODE,
    since: (5, 5),
    needs: None,
    returns: Returns::Descriptor,
    severs: Severs::Always,
    multishot: false,
};

/// See [`accept`].
#[derive(Debug)]
pub struct Accept(Descriptor);

/// Takes one connection. The peer's address is not asked for: getpeername(2) tells it later, where needed.
///
/// Dropping the future cancels the accept; a connection that arrives all the same is closed.
pub fn accept(listener: &Descriptor) -> Op<Accept> {
    Op::new(Accept(listener.clone()))
}

/// See [`accept_direct`].
#[derive(Debug)]
pub struct AcceptDirect {
    listener: Descriptor,
    place: Place,
}

/// As [`accept`], into a [`DirectDescriptor`]. Its place is taken now, so that no connection is accepted that there is
/// none for; dropping the future gives it back.
///
/// # Errors
/// ENFILE if all places are taken; [`Unsupported`](io::ErrorKind::Unsupported) if the runtime was
/// [built](crate::Builder::direct_descriptors) with none.
///
/// # Panics
/// Outside of a runtime.
pub fn accept_direct(listener: &Descriptor) -> io::Result<Op<AcceptDirect>> {
    let place = Place::take_empty(Handle::current())?;
    Ok(Op::new(AcceptDirect { listener: listener.clone(), place }))
}

impl Operation for AcceptDirect {
    type Output = io::Result<DirectDescriptor>;
    const FACTS: Facts = Facts { since: (5, 19), returns: Returns::Unit, ..FACTS };

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        // A direct descriptor has no close-on-exec, and the kernel refuses to hear of it.
        let sqe = Sqe { file_index: self.place.file_index(), ..Sqe::new(opcode::Accept::CODE) };
        // The kernel looks at the place when it has a connection for it: too late to refuse another runtime's.
        Prepared::new(sqe, if self.place.is_here() { self.listener.raw() } else { -1 })
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.place.filled(completion.unit())
    }
}

pub(crate) fn template(ioprio: u16) -> Sqe {
    Sqe { op_flags: libc::SOCK_CLOEXEC as u32, ioprio, ..Sqe::new(opcode::Accept::CODE) }
}

impl Operation for Accept {
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(0), self.0.raw())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}

/// See [`accept_multi`].
#[derive(Debug)]
pub struct AcceptMulti(Descriptor);

/// Takes connections until it is dropped or fails, with one submission. The stream ends after an error, or
/// when the kernel ends the multishot; start another to go on.
///
/// Dropping the stream cancels it; connections that it has accepted and not given out are closed.
pub fn accept_multi(listener: &Descriptor) -> Multishot<AcceptMulti> {
    Multishot::new(AcceptMulti(listener.clone()))
}

impl Operation for AcceptMulti {
    /// One connection, of which there are many.
    type Output = io::Result<OwnedFd>;
    const FACTS: Facts = Facts { since: (5, 19), multishot: true, ..FACTS };

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(MULTISHOT), self.0.raw())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.descriptor()
    }
}

impl Repeats for AcceptMulti {
    type Item = io::Result<OwnedFd>;
    type Reader = ();

    fn reader(&self) {}

    fn item(_: &mut (), completion: Completion) -> Self::Item {
        completion.descriptor()
    }
}
