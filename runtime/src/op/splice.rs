//! splice: move bytes between a pipe and a descriptor without copying (splice(2), `IORING_OP_SPLICE`).

use std::io;

use io_uring::opcode;

use super::flags::splicing;
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`splice`].
#[derive(Debug)]
pub struct Splice {
    from: Descriptor,
    from_offset: u64,
    to: Descriptor,
    to_offset: u64,
    len: u32,
    flags: u32,
}

/// Moves at most `len` bytes from `from` to `to`, of which one at least is a pipe. An offset is a position in a
/// file; `None` for pipes and sockets, and to use (and move) the file's own. `flags` are the `SPLICE_F_*` of
/// splice(2). Gives the number of bytes moved; 0 is the end of the input.
///
/// A splice always occupies a worker thread of the kernel while it waits: start one when the input is ready
/// ([`poll`](super::poll)).
///
/// Dropping the future asks for cancellation; it is not known how much was moved.
///
/// # Errors
/// Those of splice(2).
pub fn splice(
    from: &Descriptor,
    from_offset: Option<u64>,
    to: &Descriptor,
    to_offset: Option<u64>,
    len: u32,
    flags: u32,
) -> Op<Splice> {
    let own = u64::MAX;
    Op::new(Splice {
        from: from.clone(),
        from_offset: from_offset.unwrap_or(own),
        to: to.clone(),
        to_offset: to_offset.unwrap_or(own),
        len,
        flags,
    })
}

pub(crate) const FACTS: Facts = Facts {
    name: "splice",
    opcode: opcode::Splice::CODE,
    since: (5, 7),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

/// The entry of a splice or a tee, without offsets.
pub(super) fn entry<'a>(
    opcode: u8,
    from: &Descriptor,
    to: &Descriptor,
    len: u32,
    flags: u32,
) -> Prepared<'a> {
    let sqe = Sqe { len, op_flags: splicing(flags), file_index: from.raw() as u32, ..Sqe::new(opcode) };
    Prepared::new(sqe, to.raw())
}

impl Operation for Splice {
    type Output = io::Result<usize>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let entry = entry(opcode::Splice::CODE, &self.from, &self.to, self.len, self.flags);
        entry.at(self.to_offset).number(self.from_offset)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count()
    }
}
