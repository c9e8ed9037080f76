//! Lines become segments: what is submitted together.
//!
//! A segment is a maximal run of operations whose arguments are all known when the run starts. It is found by
//! following the flow from an operation on, through jumps, until something stops it:
//!
//! ```text
//! segment(pc):
//!     members = [operation at pc]
//!     loop:
//!         stop with the close that follows a read of the same file, if it may run in any case (`cleanup.rs`)
//!         stop if the last member's result is not known beforehand (a recv, an open): what follows depends on it
//!         stop if the last member fills a pooled buffer: where that lies, and what is in it, is known only then
//!         pc = where the flow goes on, jumps followed
//!         stop if that is no operation: a computation, or where a deadline starts or ends
//!         stop if the last member does not sever when it fails (a shutdown, an fsync): its successor would run all
//!             the same
//!         stop if the segment has that operation already (a loop has closed)
//!         stop if that opens a path whose bytes a member brings: whether it ends is looked at before
//!         stop if its place, or its outbox, is one that a member closes or empties: entries are made beforehand
//!         stop if something comes into an owned buffer: that is made, or grows, when the entry is written
//!         stop if there are as many members as the ring or the compiler allows
//!         members += operation at pc
//! ```
//!
//! Because jumps are followed, a loop rotates by itself. In `repeat { recv; send }` the first segment is the
//! `recv`; the second starts at the `send`, goes round the loop and takes the `recv` of the next turn with it.
//! The `recv` is then in both: as the entry into the loop and as the tail of every further turn.
//!
//! A segment is made for every operation at which the code arrives: at the entry, behind a computation, behind
//! another segment, at a handler. Operations that are only ever reached inside of segments need none of their own.

use std::fmt;

use chainring_runtime::frame::{Moves, Plan, Then};

use super::cleanup;
use super::effects::may_overlap;
use super::flow::{Flow, Inst, Pc, follow, io};
use super::member::Io;
use super::pooled::Liveness;
use crate::build::Lowering;

/// Members a segment, at most, whatever the ring allows.
pub(crate) const LONGEST: usize = 8;

/// The segments of a flow.
#[derive(Debug)]
pub(crate) struct Segments {
    /// For each line of the flow the segment that starts there, if one does.
    pub(crate) starts: Vec<Option<u16>>,
    pub(crate) all: Vec<Segment>,
    /// The lines at which code arrives, and not only segments.
    pub(crate) reached: Vec<bool>,
    /// For each line the pooled buffers that are given back before it waits, if code arrives there.
    pub(crate) gives_back: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    /// The lines of its members.
    pub(crate) members: Vec<Pc>,
    /// The register that takes the result of the last member.
    pub(crate) into: Option<u16>,
    /// Where the flow goes on behind it.
    pub(crate) next: Pc,
    /// For each member the pooled buffers that it is the last to look at.
    pub(crate) gives_back: Vec<u64>,
    /// The last member runs whatever becomes of the one before, which has the count.
    pub(crate) hard: bool,
    /// Why it ends where it does.
    pub(crate) boundary: Boundary,
}

/// Why a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The count of the last member is not known beforehand.
    Count(&'static str),
    /// Nor is the descriptor that it brings.
    Descriptor(&'static str),
    /// Nor what is in a buffer that comes from a pool, and where that lies.
    Pooled(&'static str),
    /// The last member cleans up behind the one before.
    Cleanup,
    /// The last member does not sever when it fails.
    DoesNotSever,
    /// The limit of the compiler or of the ring.
    Limit(usize),
    /// What follows is a computation.
    Compute(&'static str),
    /// What follows starts a deadline.
    Arms,
    /// What follows ends one.
    Disarms,
    /// The next operation opens a path that is not yet there.
    Path(&'static str),
    /// The next operation is already in the segment.
    Closed,
    /// What the next operation works on is fixed when the segment is submitted, and changed by a member before it.
    Depends(&'static str),
    /// The chain ends.
    End,
    /// The branch ends, or the turn.
    Branch,
    /// The turns before this one come first.
    InOrder,
    /// Every step by itself was asked for.
    Forced,
}

/// Cuts the flow into segments of at most `limit` members.
pub(crate) fn cut(flow: &Flow, lowering: Lowering, limit: usize) -> Segments {
    let count = flow.lines.len();
    let liveness = Liveness::new(flow);
    let mut segments = Segments {
        starts: vec![None; count],
        all: Vec::new(),
        reached: vec![false; count],
        gives_back: (0..count).map(|pc| liveness.before_wait(flow, pc)).collect(),
    };
    let mut work = vec![0];
    while let Some(pc) = work.pop() {
        if std::mem::replace(&mut segments.reached[pc], true) {
            continue;
        }
        let line = &flow.lines[pc];
        work.extend(line.handler.map(|handler| handler.to));
        match &line.inst {
            Inst::Io(_) => {
                let segment = run(flow, &liveness, pc, lowering, limit);
                work.push(segment.next);
                let handlers = segment.members.iter().filter_map(|member| flow.lines[*member].handler);
                work.extend(handlers.map(|handler| handler.to));
                segments.starts[pc] = Some(segments.all.len() as u16);
                segments.all.push(segment);
            }
            Inst::Jump(to) => work.push(*to),
            Inst::Unless(_, to) | Inst::Branch(to) => work.extend([*to, pc + 1]),
            Inst::Fork(_) | Inst::InOrder | Inst::Pass => work.push(pc + 1),
            // What follows a fork is behind the last of its heads.
            Inst::Finish | Inst::Fail(_) | Inst::Join(_) => {}
            Inst::Compute(_) | Inst::Ensure(..) | Inst::Call(..) | Inst::Fetch(..) => work.push(pc + 1),
            Inst::Store(..) | Inst::Sleep(_) | Inst::Arm(..) | Inst::Disarm(_) => work.push(pc + 1),
            Inst::Sync(_) | Inst::MakePipe(_) => work.push(pc + 1),
        }
    }
    segments
}

/// The segment that starts at the operation at `start`.
fn run(flow: &Flow, liveness: &Liveness, start: Pc, lowering: Lowering, limit: usize) -> Segment {
    let mut members = vec![start];
    let (mut next, mut hard) = (follow(flow, start + 1), false);
    let boundary = loop {
        let pc = members[members.len() - 1];
        let last = io(flow, pc).expect("members are operations");
        if lowering != Lowering::Single && members.len() < limit && cleanup::follows(flow, pc, next) {
            hard = true;
            members.push(next);
            next = follow(flow, next + 1);
            break Boundary::Cleanup;
        }
        if !last.verb.result_is_known() {
            let name = flow.lines[pc].name;
            break if last.verb.opens() { Boundary::Descriptor(name) } else { Boundary::Count(name) };
        }
        if last.changes().is_some() {
            break Boundary::Pooled(flow.lines[pc].name);
        }
        if lowering == Lowering::Single {
            break Boundary::Forced;
        }
        if io(flow, next).is_none() {
            break match flow.lines[next].inst {
                Inst::Finish => Boundary::End,
                Inst::Arm(..) => Boundary::Arms,
                Inst::Disarm(_) => Boundary::Disarms,
                Inst::Join(_) | Inst::Pass => Boundary::Branch,
                Inst::InOrder => Boundary::InOrder,
                _ => Boundary::Compute(flow.lines[next].name),
            };
        }
        if !last.verb.severs() {
            break Boundary::DoesNotSever;
        }
        if members.contains(&next) {
            break Boundary::Closed;
        }
        if opens_what_comes(flow, &members, next) {
            break Boundary::Path(flow.lines[pc].name);
        }
        if members.iter().any(|member| is_behind(flow, *member, next)) {
            break Boundary::Depends(flow.lines[next].name);
        }
        if members.len() >= limit {
            break Boundary::Limit(limit);
        }
        members.push(next);
        next = follow(flow, next + 1);
    };
    let counts = members[members.len() - if hard { 2 } else { 1 }];
    let into = io(flow, counts).and_then(|last| last.into).map(|reg| reg.index);
    let behind = members.iter().skip(1).chain([&next]);
    let gives_back = members.iter().zip(behind).map(|(pc, next)| liveness.behind(flow, *pc, *next)).collect();
    Segment { members, into, next, gives_back, hard, boundary }
}

/// Whether the operation at `next` must not be submitted before that at `member` is done: a descriptor's number is in its
/// entry, and another's by the time that a member has closed it; and what an outbox holds is in the entry too.
fn is_behind(flow: &Flow, member: Pc, next: Pc) -> bool {
    let (Some(before), Some(after)) = (io(flow, member), io(flow, next)) else { return false };
    let is_emptied = before.outbox.is_some() && before.outbox == after.outbox;
    // The buffer is made, or moved to where there is more room, when the entry is written: nobody before may read it then,
    // or give it back later.
    let is_made = after.changes().is_some() && after.spans[0].buf.owned;
    before.verb.closes() && after.works_on().any(|place| place == before.place) || is_emptied || is_made
}

/// Whether the operation at `next` opens a path whose bytes one of the members writes.
fn opens_what_comes(flow: &Flow, members: &[Pc], next: Pc) -> bool {
    let Some(named) = io(flow, next).filter(|io| io.verb.takes_path()) else { return false };
    let paths = || named.spans.first().into_iter().chain(named.target.as_ref().map(|(_, path)| path));
    let comes = |member: &&Io| member.verb.moves() == Moves::In;
    let incoming = members.iter().filter_map(|member| io(flow, *member)).filter(comes);
    incoming.flat_map(|io| &io.spans).any(|span| paths().any(|path| may_overlap(span, path)))
}

impl Segment {
    /// What the frames' region is to submit, and `then`.
    pub(super) fn plan(&self, flow: &Flow, then: Then) -> Plan {
        let transfer = |(pc, gives_back): (&Pc, &u64)| {
            let mut transfer = io(flow, *pc).expect("members are operations").transfer();
            transfer.extra.gives_back = *gives_back;
            transfer
        };
        let mut members: Vec<_> = self.members.iter().zip(&self.gives_back).map(transfer).collect();
        if let (true, [.., before, _]) = (self.hard, &mut *members) {
            before.extra.hard = true;
        }
        Plan { members, into: self.into, then }
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Boundary::Count(name) => write!(f, "how much a {name} brings is known only when it has come"),
            Boundary::Descriptor(name) => {
                write!(f, "the descriptor that `{name}` brings is known only when it has come")
            }
            Boundary::Pooled(name) => {
                write!(f, "what `{name}` brings is in its buffer only when it has come")
            }
            Boundary::Cleanup => write!(f, "its last step runs whatever becomes of the one before"),
            Boundary::DoesNotSever => {
                write!(f, "a failure of its last step would not keep the next from running")
            }
            Boundary::Limit(limit) => write!(f, "cut at {limit} members"),
            Boundary::Compute(name) => write!(f, "`{name}` follows, which runs between submissions"),
            Boundary::Arms => write!(f, "a deadline starts, and with it a segment"),
            Boundary::Disarms => write!(f, "its deadline ends"),
            Boundary::Path(name) => write!(f, "the path that is opened next comes with `{name}`"),
            Boundary::Closed => write!(f, "the loop has closed: the next step begins this segment again"),
            Boundary::Depends(name) => {
                write!(f, "what `{name}` works on is known only when the steps before it are done")
            }
            Boundary::Branch => write!(f, "its branch or turn ends"),
            Boundary::InOrder => write!(f, "what follows waits for the turns before this one"),
            Boundary::End => write!(f, "the chain ends"),
            Boundary::Forced => write!(f, "single lowering was asked for"),
        }
    }
}
