//! Strands: a frame that goes several ways at once.
//!
//! ```text
//! Frame --fork--> Strand 0, 1, 2 ...   each: run, submit, park, as a frame does
//!                     |  |  |
//!                    end end end ----> Frame: the last one to end gives the token back
//! ```
//!
//! Who owns what: a strand has the right to submit for its frame what its *branch* names, and to run its code. It has a
//! header of its own in the frame's control record (key, completions to come, flags), and shares the frame's words and
//! bytes with the other strands. While there are strands there is no [`Frame`](super::Frame): nobody has a view of the bytes, and nothing
//! of the frame itself is in flight. Its cancellation is that of all its strands.
//!
//! Two strands of a frame may have bytes in flight at the same time, and code of one runs while those of another are.
//! So which segments and ops a branch has is declared ([`Fork`]), and checked when the frames are made (`check.rs`):
//! code and segments lead to nothing but others of their branch; what one branch has the kernel or its code write no
//! other one touches; the same for descriptors that it opens or closes, and outboxes. A strand runs and submits only what
//! is its branch's. Registers are not checked: nobody but this core looks at them.
//!
//! Completions of strands come to an owner of their own (`owner.rs`), so that what handles those of frames does not
//! know of them.

mod check;
mod owner;
mod token;

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

pub(super) use check::check;
pub(super) use owner::none;
pub use token::Strand;

use super::emit::Interrupt;
use super::frames::Resume;
use super::memory::{FREE, Header, Record};
use super::region::Region;
use super::token::Stop;
use crate::driver::Key;

/// Where a frame goes several ways at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// The ways: a strand for each.
    pub branches: Vec<Branch>,
}

/// What one strand has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// The ops of its code.
    pub ops: Vec<Range<u32>>,
    /// Its segments. Each says what follows it.
    pub segments: Vec<u16>,
}

/// What goes on when something of a strand has completed. As in [`Resume`], each method ends by submitting, parking or
/// ending the strand, and must not panic.
pub trait ResumeStrands: Resume {
    /// What was to follow a segment of the strand did not end with a submission.
    fn strand_interrupted(&self, strand: Strand<'_>, interrupt: Interrupt);

    /// A member has failed or come short, a part of a segment has succeeded, or the strand is being cancelled.
    fn strand_stopped(&self, strand: Strand<'_>, stop: Stop);

    /// The strand's turn has come: after [`Frame::fork`](super::Frame::fork), [`Strand::park`] or [`Strand::wake`].
    fn strand_unparked(&self, strand: Strand<'_>);
}

/// Why forks were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForkError {
    /// A fork without branches, or more branches than can be told apart.
    Count,
    /// A segment or op is named that is not there, or by two branches.
    NoSuchHandle,
    /// Something of the branch leads to what is not, or to nothing.
    Leaves {
        /// The fork.
        fork: u16,
        /// The branch.
        branch: u16,
    },
    /// Two branches touch the same bytes, descriptor or outbox, and one of them changes it.
    Shared {
        /// The fork.
        fork: u16,
        /// The two.
        branches: [u16; 2],
    },
    /// A branch touches a pooled buffer, which is the whole frame's.
    Pooled {
        /// The fork.
        fork: u16,
        /// The branch.
        branch: u16,
    },
    /// The frames' runner does not resume strands.
    NoStrands,
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForkError::Count => write!(f, "a fork has no branches, or too many"),
            ForkError::NoSuchHandle => {
                write!(f, "a segment or op is named that is not there, or that another branch has")
            }
            ForkError::Pooled { fork, branch } => {
                write!(f, "branch {branch} of fork {fork} touches a pooled buffer")
            }
            ForkError::Leaves { fork, branch } => {
                write!(f, "branch {branch} of fork {fork} leads to what is not its own")
            }
            ForkError::Shared { fork, branches: [a, b] } => {
                write!(f, "branches {a} and {b} of fork {fork} share what one of them changes")
            }
            ForkError::NoStrands => write!(f, "nobody resumes strands"),
        }
    }
}

impl std::error::Error for ForkError {}

/// No branch.
const TRUNK: u16 = 0;
/// No number of an owner.
const NOBODY: u32 = u32::MAX;

/// The forks of a region, checked. Branches are numbered from 1 through all forks.
pub(super) struct Branches {
    /// Those of each fork.
    forks: Box<[Range<u16>]>,
    /// The branch of each op, or [`TRUNK`].
    ops: Box<[u16]>,
    /// The branch of each segment.
    segments: Box<[u16]>,
    /// Strands that a frame can have.
    each: u16,
    /// The number of the strands' owner, and what their generations go on from.
    owner: Cell<u32>,
    generation: Cell<u32>,
}

impl Branches {
    pub(super) fn each(&self) -> u16 {
        self.each
    }

    /// The number of the strands' owner.
    pub(super) fn owner(&self) -> Option<u32> {
        Some(self.owner.get()).filter(|owner| *owner != NOBODY)
    }
}

impl Region {
    /// The headers of the strands that a frame has now.
    pub(super) fn strands<'r>(&'r self, record: Record) -> impl Iterator<Item = &'r Header> + use<'r> {
        let count = if record.header().strands.get() > 0 { self.branches.each } else { 0 };
        (0..count).map(move |number| self.strand(record, number)).filter(|strand| !strand.has(FREE))
    }

    /// Gives the strands of a fresh frame their first keys.
    pub(super) fn make_strands(&self, index: u32) {
        let (each, record) = (self.branches.each, self.memory.record(index as usize));
        for number in 0..each {
            let strand = self.strand(record, number);
            let key = index * u32::from(each) + u32::from(number);
            strand.flags.set(FREE);
            strand.key.set(Key::frame(self.branches.owner.get(), key, self.branches.generation.get()));
        }
    }

    /// Cancels whatever a frame's strands do.
    pub(super) fn cancel_strands(&self, record: Record) {
        self.strands(record).for_each(|strand| self.cancel_strand(strand));
    }
}
