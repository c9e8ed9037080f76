//! Lines become code: what runs between two segments.
//!
//! Each line that is not an operation becomes some ops of the frames' region, in the order of the lines. An expression
//! is computed from its leaves up, into registers behind those of the chain that no line keeps anything in; what is
//! already a register or a constant needs none. A condition that compares with a constant is one op:
//!
//! ```text
//! set r0 = b0.be32(0)              load.be32   r0 <- bytes[0..]
//! ensure r0 <= 65536               unless      r0 <= 65536   goto failed     (joined with the load)
//! recv_exact s0 -> b1[0..r0]       submit      segment 1
//!                          failed: leave       for the runner: `ensure` of this line has failed
//! ```
//!
//! What the region cannot do by itself leaves for the runner with the number of an [`Exit`]: native calls, futures,
//! sleeps, deadlines, the end, and failed conditions, whose exits lie behind all other code.
//!
//! Jumps lead to where other jumps would lead on to. A condition that jumps over a line which never goes on with the next
//! one, as `when(c, leave)` does, is turned round: it leads to where that line leads, and the line stands behind all other
//! code, for whoever comes to it from elsewhere. So what most often happens falls through.

mod compute;
mod join;
mod merge;
mod thread;

use chainring_runtime::frame::{Bulk, Code, Op, Then};

use super::flow::{Flow, Inst, Pc, follow};
use super::segment::Segments;
use crate::handle::Pipe;
use join::join;
use merge::merge;
use thread::thread;

/// Why code leaves for the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The frame ends with success.
    Finish,
    /// The `ensure` of this line does not hold.
    Ensure(Pc, i32),
    /// The line fails with the errno that the register holds.
    Fail { line: Pc, errno: u16 },
    /// The step is done whose deadline was over when it succeeded; the flow goes on at the line.
    Late { next: Pc },
    /// The native call of this line; code goes on at the op.
    Call { line: Pc, native: usize, next: u32 },
    /// Makes and starts the future of this line; code goes on at the op.
    Fetch { line: Pc, future: usize, next: u32 },
    /// Waits for the future of this line and stores its output; code goes on at the op.
    Store { line: Pc, next: u32 },
    /// Makes a pipe, unless it is there; code goes on at the op.
    MakePipe { line: Pc, pipe: Pipe, next: u32 },
    /// Sleeps for as many nanoseconds as the register says; code goes on at the op.
    Sleep { time: u16, next: u32 },
    /// The step of this line on something shared; code goes on at the op.
    Sync { line: Pc, next: u32 },
    /// Starts the deadline of this depth, as many nanoseconds from now as the register says; code goes on at the op.
    Arm { time: u16, depth: u16, next: u32 },
    /// Ends the deadlines of this depth and deeper; code goes on at the op.
    Disarm { depth: u16, next: u32 },
    /// Goes on at the branches of this fork.
    Fork { line: Pc, fork: u16 },
    /// A branch has succeeded.
    Join { line: Pc },
    /// Waits at this op until the turns before this one are done; code goes on at the next.
    InOrder { here: u32 },
    /// This turn is done; code goes on at the op.
    Pass { line: Pc, next: u32 },
}

/// The code of a flow that is cut into segments.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    pub(crate) code: Code,
    /// The line of each op.
    pub(crate) lines: Vec<Pc>,
    /// The first op of each line; none for those that no code leads to.
    pub(crate) entries: Vec<Option<u32>>,
    pub(crate) exits: Vec<Exit>,
    /// Where a step that stands under a deadline computes something behind its last operation: that line, and an op that
    /// computes it and leaves.
    pub(crate) late: Vec<(Pc, u32)>,
    /// For each op the one at which a segment that leads to it goes on: see `merge`.
    pub(crate) instead: Vec<u32>,
    /// Registers in use, those for what expressions compute included.
    pub(crate) registers: u16,
}

/// A target that is not yet known: a line of the flow.
struct Fixup {
    op: usize,
    line: Pc,
}

struct Generator<'f> {
    flow: &'f Flow,
    segments: &'f Segments,
    made: Generated,
    fixups: Vec<Fixup>,
    /// Branches to exits that are not placed yet.
    failures: Vec<(usize, Exit)>,
    /// Lines that conditions no longer jump over, and that are not placed yet.
    aside: Vec<Pc>,
    line: Pc,
    /// The first register that no line keeps anything in.
    first: u16,
}

/// Generates the code of a flow whose lines use the registers below `registers`.
pub(crate) fn generate(flow: &Flow, segments: &Segments, registers: u16) -> Generated {
    let entries = vec![None; flow.lines.len()];
    let made = Generated { registers, entries, ..Generated::default() };
    let (fixups, failures, aside) = (Vec::new(), Vec::new(), Vec::new());
    let mut generator =
        Generator { flow, segments, made, fixups, failures, aside, line: 0, first: registers };
    for line in 0..flow.lines.len() {
        // What only segments lead to needs no code.
        if segments.reached[line] && generator.aside.last() != Some(&line) {
            generator.inst(line);
        }
    }
    generator.finish()
}

impl Generated {
    /// What happens when a segment has succeeded, behind which the flow goes on at `next`.
    pub(crate) fn then(&self, next: Pc, segments: &Segments) -> Then {
        match segments.starts[next] {
            Some(segment) => Then::Segment(segment),
            None => {
                let entry = self.entries[next].expect("code is generated for what segments lead to");
                Then::Code(self.instead[entry as usize])
            }
        }
    }
}

impl Generator<'_> {
    fn here(&self) -> u32 {
        self.made.code.ops.len() as u32
    }

    fn op(&mut self, op: Op) -> usize {
        self.made.code.ops.push(op);
        self.made.lines.push(self.line);
        self.made.code.ops.len() - 1
    }

    fn bulk(&mut self, bulk: Bulk) {
        self.made.code.bulk.push(bulk);
        self.op(Op::Bulk((self.made.code.bulk.len() - 1) as u16));
    }

    fn exit(&mut self, exit: Exit) {
        self.made.exits.push(exit);
        self.op(Op::Leave((self.made.exits.len() - 1) as u32));
    }

    fn inst(&mut self, line: Pc) {
        let flow = self.flow;
        let entry = self.here();
        self.line = line;
        self.made.entries[line] = Some(entry);
        match &flow.lines[line].inst {
            Inst::Io(_) => {
                let segment = self.segments.starts[line].expect("a segment starts wherever code arrives");
                self.give_back(self.segments.gives_back[line]);
                self.op(Op::Submit(segment));
            }
            Inst::Compute(compute) => self.compute(compute),
            Inst::Ensure(cond, code) => {
                let op = self.unless(cond, true);
                self.failures.push((op, Exit::Ensure(line, *code)));
            }
            Inst::Fail(errno) => {
                let errno = self.operand(&errno.0, 0);
                self.exit(Exit::Fail { line, errno });
            }
            Inst::Unless(cond, to) => {
                let is_turned = *to == line + 2 && never_goes_on(&flow.lines[line + 1].inst);
                let op = self.unless(cond, !is_turned);
                self.leads(op, if is_turned { line + 1 } else { *to });
                self.aside.extend(is_turned.then_some(line + 1));
            }
            Inst::Jump(to) => {
                let op = self.op(Op::Jump { to: 0 });
                self.leads(op, *to);
            }
            Inst::Call(native, _) => {
                let next = self.here() + 1;
                self.exit(Exit::Call { line, native: *native, next });
            }
            Inst::MakePipe(pipe) => {
                let next = self.here() + 1;
                self.exit(Exit::MakePipe { line, pipe: *pipe, next });
            }
            Inst::Sleep(time) => {
                let time = self.operand(&time.0, 0);
                self.give_back(self.segments.gives_back[line]);
                let next = self.here() + 1;
                self.exit(Exit::Sleep { time, next });
            }
            Inst::Sync(_) => {
                self.give_back(self.segments.gives_back[line]);
                let next = self.here() + 1;
                self.exit(Exit::Sync { line, next });
            }
            Inst::Fetch(future, _) => {
                let next = self.here() + 1;
                self.exit(Exit::Fetch { line, future: *future, next });
            }
            Inst::Store(..) => {
                self.give_back(self.segments.gives_back[line]);
                let next = self.here() + 1;
                self.exit(Exit::Store { line, next });
            }
            Inst::Arm(time, scope) => {
                let time = self.operand(&time.0, 0);
                let (depth, next) = (flow.scopes[usize::from(*scope)].depth, self.here() + 1);
                self.exit(Exit::Arm { time, depth, next });
            }
            Inst::Disarm(depth) => {
                let next = self.here() + 1;
                self.exit(Exit::Disarm { depth: *depth, next });
            }
            Inst::Finish => self.exit(Exit::Finish),
            Inst::Fork(fork) => {
                self.give_back(self.segments.gives_back[line]);
                self.exit(Exit::Fork { line, fork: *fork });
            }
            // The runner sends each strand to what is behind the head of its branch.
            Inst::Branch(_) => {}
            Inst::Join(_) => self.exit(Exit::Join { line }),
            Inst::InOrder => self.exit(Exit::InOrder { here: entry }),
            Inst::Pass => self.exit(Exit::Pass { line, next: entry + 1 }),
        }
    }

    /// The op leads to a line, or to where the jumps lead that are there.
    fn leads(&mut self, op: usize, line: Pc) {
        self.fixups.push(Fixup { op, line: follow(self.flow, line) });
    }

    fn finish(mut self) -> Generated {
        for line in std::mem::take(&mut self.aside) {
            self.inst(line);
        }
        for (op, exit) in std::mem::take(&mut self.failures) {
            self.line = self.made.lines[op];
            self.patch(op, self.here());
            self.exit(exit);
        }
        self.late();
        for Fixup { op, line } in std::mem::take(&mut self.fixups) {
            let to = self.made.entries[line].expect("code is generated for where code leads");
            self.patch(op, to);
        }
        self.made.instead = merge(&self.made, &self.flow.lines);
        thread(&mut self.made.code.ops);
        join(&mut self.made.code.ops);
        self.made
    }

    /// What is left of a step when its operations have succeeded, a second time: a deadline that is over then strikes behind
    /// it, not inside.
    fn late(&mut self) {
        let lines = &self.flow.lines;
        for first in 1..lines.len() {
            let [before, line] = [&lines[first - 1], &lines[first]];
            let belongs = line.scope.is_some() && line.step == before.step && line.branch.is_none();
            if !belongs || !matches!((&before.inst, &line.inst), (Inst::Io(_), Inst::Compute(_))) {
                continue;
            }
            self.made.late.push((first, self.here()));
            let mut next = first;
            while let Inst::Compute(compute) = &lines[next].inst
                && lines[next].step == line.step
            {
                self.line = next;
                self.compute(compute);
                next += 1;
            }
            self.exit(Exit::Late { next });
        }
    }

    fn patch(&mut self, op: usize, target: u32) {
        match &mut self.made.code.ops[op] {
            Op::Jump { to } | Op::Unless { to, .. } => *to = target,
            Op::UnlessWithin { to, .. } | Op::IfWithin { to, .. } => *to = target,
            Op::UnlessCompared { to, .. } => *to = target,
            other => unreachable!("only branches and jumps are patched, and not {other:?}"),
        }
    }

    /// Gives back, where code is about to wait, what nobody looks at any more.
    fn give_back(&mut self, which: u64) {
        if which != 0 {
            self.bulk(Bulk::GiveBack(which));
        }
    }
}

/// Whether a line never goes on with the next one.
fn never_goes_on(inst: &Inst) -> bool {
    matches!(inst, Inst::Jump(_) | Inst::Finish | Inst::Fail(_))
}
