//! madvise: say how memory will be used (madvise(2), `IORING_OP_MADVISE`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{AlignedBuf, BufResult};
use crate::ring::{Prepared, Sqe};

/// How memory will be used: the advices of madvise(2) that leave bytes as they are, or make them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// As usual.
    Normal,
    /// Soon.
    WillNeed,
    /// Not any more: the bytes become zero and their pages are given back.
    DontNeed,
    /// With huge pages.
    HugePage,
    /// Without huge pages.
    NoHugePage,
    /// Not for a while.
    Cold,
    /// Not for a long while.
    PageOut,
}

/// See [`madvise`].
#[derive(Debug)]
pub struct Madvise {
    memory: AlignedBuf,
    advice: Advice,
}

/// Gives advice about the pages of `memory`, which comes back in any case. Advice is for whole pages, so that
/// only memory that is made of such can be meant.
///
/// Dropping the future asks for cancellation; the advice may be taken all the same.
///
/// # Errors
/// Those of madvise(2).
pub fn madvise(memory: AlignedBuf, advice: Advice) -> Op<Madvise> {
    Op::new(Madvise { memory, advice })
}

pub(crate) const FACTS: Facts = Facts {
    name: "madvise",
    opcode: opcode::Madvise::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Never,
    multishot: false,
};

impl Operation for Madvise {
    type Output = BufResult<(), AlignedBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let advice = match self.advice {
            Advice::Normal => libc::MADV_NORMAL,
            Advice::WillNeed => libc::MADV_WILLNEED,
            Advice::DontNeed => libc::MADV_DONTNEED,
            Advice::HugePage => libc::MADV_HUGEPAGE,
            Advice::NoHugePage => libc::MADV_NOHUGEPAGE,
            Advice::Cold => libc::MADV_COLD,
            Advice::PageOut => libc::MADV_PAGEOUT,
        };
        let sqe = Sqe { op_flags: advice as u32, ..Sqe::new(opcode::Madvise::CODE) };
        Prepared::new(sqe, -1).pages(&mut self.memory)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.unit(), self.memory)
    }
}
