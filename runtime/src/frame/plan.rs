//! What a program hands over when its frames are made: segments, code and constants.

use std::fmt;
use std::sync::Arc;

use super::code::{Code, Word};
use super::strand::Fork;
use super::verb::{Moves, Verb};
use crate::op::Facts;

/// The length of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Len {
    /// Known when the program was built.
    Fixed(u32),
    /// Computed when the segment is submitted: a register and a constant.
    Register {
        /// The register.
        index: u16,
        /// Added to it.
        plus: u32,
        /// The longest span that fits; a greater sum is an error of that frame.
        max: u32,
    },
}

impl Len {
    pub(super) fn max(self) -> u32 {
        match self {
            Len::Fixed(len) | Len::Register { max: len, .. } => len,
        }
    }
}

/// One member of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What to do.
    pub verb: Verb,
    /// On which of the frame's descriptors; for what opens one, into which place.
    pub descriptor: u16,
    /// From where in the frame's bytes, or the constants.
    pub offset: u32,
    /// How many of them.
    pub len: Len,
    /// What only some members have.
    pub extra: Extra,
}

/// What only some members have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The span starts later by what this register says.
    pub start: Option<u16>,
    /// What that start and the length may come to together.
    pub room: u32,
    /// The span lies among the constants.
    pub constant: bool,
    /// The register with the position in the file; for `Ftruncate` with the length.
    pub position: Option<u16>,
    /// For `Fallocate`: the register with the number of bytes.
    pub amount: Option<u16>,
    /// For `SendOutbox`: which. Its span has no bytes.
    pub outbox: Option<u16>,
    /// For `Open`: the directory's descriptor, and where among the constants the `open_how` lies.
    pub open: Option<(Directory, u32)>,
    /// For `Accept` the listening socket, for `Splice` what the bytes come from.
    pub second: Option<u16>,
    /// Where the path in the span of `Rename`, `Unlink` and `RemoveDir` starts.
    pub directory: Option<Directory>,
    /// For `Rename`.
    pub target: Option<Target>,
    /// The next member, which is the last and closes this one's descriptor, runs whatever becomes of this one. Only of reads
    /// whose count is not known before.
    pub hard: bool,
    /// The span lies in this pooled buffer. What comes in from its front on is put into one that is taken then.
    pub pooled: Option<u16>,
    /// The pooled buffers that the frame gives back when the member has succeeded: a bit each.
    pub gives_back: u64,
}

/// What a file is renamed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where its path starts.
    pub directory: Directory,
    /// Where the path lies in the frame's bytes, or the constants.
    pub offset: u32,
    /// How long it is, with its NUL.
    pub len: u32,
    /// It lies among the constants.
    pub constant: bool,
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// In the process's working directory.
    Working,
    /// In the directory of this descriptor of the frame.
    Descriptor(u16),
}

impl Transfer {
    /// A member without extras.
    pub fn new(verb: Verb, descriptor: u16, offset: u32, len: Len) -> Self {
        Transfer { verb, descriptor, offset, len, extra: Extra::default() }
    }

    /// Whether it works on the descriptor in a place, as which it is when the segment is submitted.
    pub(super) fn works_on(&self, place: u16) -> bool {
        let Extra { open, second, directory, target, .. } = self.extra;
        let is = |directory: Directory| directory == Directory::Descriptor(place);
        let opens = |(directory, _)| is(directory);
        self.verb.has_place() && !self.verb.opens() && self.descriptor == place
            || second == Some(place)
            || open.is_some_and(opens)
            || directory.is_some_and(is)
            || target.is_some_and(|target| is(target.directory))
    }

    /// Whether something comes into a pooled buffer: how much there is of it changes.
    pub(super) fn fills(&self) -> bool {
        self.extra.pooled.is_some() && self.verb.moves() == Moves::In
    }

    /// Whether it does so from the front: the kernel takes one when bytes come, and nobody knows before which.
    pub(super) fn selects(&self) -> bool {
        self.fills() && self.offset == 0 && self.extra.start.is_none()
    }
}

/// What happens when a segment has succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The frame is resumed: [`Resume::advanced`](super::Resume::advanced).
    #[default]
    Resume,
    /// This segment is submitted.
    Segment(u16),
    /// The code from here on is run.
    Code(u32),
}

/// A segment: operations submitted as one list, linked in order, with one completion where the kernel allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The members, in order.
    pub members: Vec<Transfer>,
    /// The register that takes the count of the last member; or of the one before, if that is [hard](Extra::hard).
    pub into: Option<u16>,
    /// What happens when this one has succeeded.
    pub then: Then,
}

/// What the frames of a program do: its segments, and what is computed between them.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// The segments, by their numbers.
    pub segments: Vec<Plan>,
    /// The code.
    pub code: Code,
    /// Bytes that all frames share, and nobody writes.
    pub constants: Arc<[u8]>,
    /// Outboxes that each frame has.
    pub outboxes: u16,
    /// Pooled buffers that each frame has while it uses them.
    pub pooled: PooledPlan,
    /// Words that code sees and that others see too.
    pub words: Vec<Word>,
    /// Where a frame goes several ways at once: which segments and ops each of them has for itself.
    pub forks: Vec<Fork>,
}

/// Buffers that a frame has only while it uses them: taken from a pool of the core when bytes come, and given back when
/// a member or an op says so.
#[derive(Clone, Debug, Default)]
pub struct PooledPlan {
    /// The bytes of each, 64 of them at the most.
    pub sizes: Vec<u32>,
    /// Those that come from no pool: a bit each. Such a buffer is made as large as what is about to come, up to its size,
    /// and can be taken out of the frame.
    pub owned: u64,
    /// How many buffers there may be of one size on a core; 0 is for as many as [`PoolOptions`](crate::buf::PoolOptions)
    /// has by default.
    pub limit: u16,
}

impl<P: Into<Vec<Plan>>> From<P> for Plans {
    fn from(segments: P) -> Self {
        Plans { segments: segments.into(), ..Plans::default() }
    }
}

/// Why a plan was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A segment without members.
    Empty,
    /// A segment of more members than the ring, or a key, can tell apart.
    TooLong {
        /// How many members it has.
        members: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A register, descriptor, segment or op is named that is not there.
    NoSuchHandle,
    /// A span does not lie inside the frame's bytes or the constants, or a member has one and moves none.
    OutOfBounds,
    /// A member has something that its verb does not take, or lacks what it needs.
    Unfit(Verb),
    /// A member that does not sever on failure, or whose result is needed, has a successor.
    DoesNotSever {
        /// Its position.
        member: usize,
    },
    /// A member works on a descriptor that a member before it closes, whose number is another's by then, sends an outbox
    /// that a member before it has sent, or fills an owned buffer that a member before it works on or gives back.
    Spent {
        /// Its position.
        member: usize,
    },
    /// Code whose last op goes on behind it.
    Endless,
    /// A member's operation is one that this ring does not offer: the kernel lacks it, or the capability that it needs is
    /// masked. There is nothing wrong with the plan.
    NotOffered {
        /// Its position.
        member: usize,
        /// What it is to do.
        verb: Verb,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Empty => write!(f, "a segment has no members"),
            PlanError::TooLong { members, limit } => {
                write!(f, "a segment has {members} members, and this ring takes {limit}")
            }
            PlanError::NoSuchHandle => {
                write!(f, "a register, descriptor, segment or op is named that is not there")
            }
            PlanError::OutOfBounds => write!(f, "a span lies outside of the frame"),
            PlanError::Unfit(verb) => write!(f, "{} takes other arguments", verb.facts().name),
            PlanError::DoesNotSever { member } => {
                write!(f, "member {member} is linked to a successor but does not sever when it fails")
            }
            PlanError::Spent { member } => {
                write!(
                    f,
                    "member {member} works on what a member before it has closed, emptied or not done with yet"
                )
            }
            PlanError::Endless => write!(f, "the code runs off its end"),
            PlanError::NotOffered { member, verb } => {
                let Facts { name, since: (major, minor), .. } = verb.facts();
                write!(f, "member {member}: {name} needs Linux {major}.{minor} or later")
            }
        }
    }
}

impl std::error::Error for PlanError {}
