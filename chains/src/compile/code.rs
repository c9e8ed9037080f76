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

use chainring_runtime::frame::{Area, Bulk, Code, Len, OnWord, Op, Operator, Order, Then};

use super::flow::{Flow, Inst, Pc};
use super::segment::Segments;
use crate::expr::{Cond, Node};
use crate::handle::{Buf, Pipe, Reg, Span, SpanLen};
use crate::tree::Compute;

/// Why code leaves for the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The frame ends with success.
    Finish,
    /// The `ensure` of this line does not hold.
    Ensure(Pc, i32),
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
    line: Pc,
    /// The first register that no line keeps anything in.
    first: u16,
}

/// Generates the code of a flow whose lines use the registers below `registers`.
pub(crate) fn generate(flow: &Flow, segments: &Segments, registers: u16) -> Generated {
    let made = Generated { registers, ..Generated::default() };
    let (fixups, failures) = (Vec::new(), Vec::new());
    let mut generator = Generator { flow, segments, made, fixups, failures, line: 0, first: registers };
    for line in 0..flow.lines.len() {
        generator.line = line;
        generator.inst(line);
    }
    generator.finish()
}

impl Generated {
    /// What happens when a segment has succeeded, behind which the flow goes on at `next`.
    pub(crate) fn then(&self, next: Pc, segments: &Segments) -> Then {
        match segments.starts[next] {
            Some(segment) => Then::Segment(segment),
            None => Then::Code(self.entries[next].expect("code is generated for what segments lead to")),
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
        // What only segments lead to needs no code.
        if !self.segments.reached[line] {
            return self.made.entries.push(None);
        }
        match &flow.lines[line].inst {
            Inst::Io(_) => {
                let segment = self.segments.starts[line].expect("a segment starts wherever code arrives");
                self.give_back(self.segments.gives_back[line]);
                self.op(Op::Submit(segment));
            }
            Inst::Compute(compute) => self.compute(compute),
            Inst::Ensure(cond, code) => {
                let op = self.unless(cond);
                self.failures.push((op, Exit::Ensure(line, *code)));
            }
            Inst::Unless(cond, to) => {
                let op = self.unless(cond);
                self.fixups.push(Fixup { op, line: *to });
            }
            Inst::Jump(to) => {
                let op = self.op(Op::Jump { to: 0 });
                self.fixups.push(Fixup { op, line: *to });
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
        self.made.entries.push(Some(entry));
    }

    fn finish(mut self) -> Generated {
        for (op, exit) in std::mem::take(&mut self.failures) {
            self.line = self.made.lines[op];
            self.patch(op, self.here());
            self.exit(exit);
        }
        for Fixup { op, line } in std::mem::take(&mut self.fixups) {
            let to = self.made.entries[line].expect("code is generated for where code leads");
            self.patch(op, to);
        }
        join(&mut self.made.code.ops);
        self.made
    }

    fn patch(&mut self, op: usize, target: u32) {
        match &mut self.made.code.ops[op] {
            Op::Jump { to } | Op::Unless { to, .. } => *to = target,
            Op::UnlessWithin { to, .. } | Op::IfWithin { to, .. } => *to = target,
            Op::UnlessCompared { to, .. } => *to = target,
            other => unreachable!("only branches and jumps are patched, and not {other:?}"),
        }
    }

    fn compute(&mut self, compute: &Compute) {
        match compute {
            Compute::Set(reg, value) => self.into(&value.0, reg.index, 0),
            Compute::SetWord(word, value) => {
                let from = self.operand(&value.0, 0);
                self.bulk(Bulk::Word(OnWord::Store { word: word.index, from }));
            }
            Compute::Add(word, by, into) => {
                let by = self.operand(&by.0, 0);
                let to = into.map_or_else(|| self.scratch(1), |reg| reg.index);
                self.bulk(Bulk::Word(OnWord::Add { to, word: word.index, by }));
            }
            Compute::Exchange { word, current, new, into } => {
                let current = self.operand(&current.0, 0);
                let new = self.operand(&new.0, 1);
                let to = into.map_or_else(|| self.scratch(2), |reg| reg.index);
                self.bulk(Bulk::Word(OnWord::Exchange { to, word: word.index, current, new }));
            }
            Compute::Store { buf, at, order, value } => {
                let from = self.operand(&value.0, 0);
                if buf.pooled.is_some() {
                    let area = self.pooled_number(buf, &at.0, *order, 1);
                    self.bulk(Bulk::Store { order: *order, from, area });
                } else if let Node::Const(at) = at.0 {
                    self.op(Op::Store { order: *order, from, at: buf.start + at as u32 });
                } else {
                    let index = self.operand(&at.0, 1);
                    self.op(Op::StoreAt { order: *order, from, index, start: buf.start, room: buf.len });
                }
            }
            Compute::Copy { to, from } => self.bulk(Bulk::Copy { to: area(to), from: area(from) }),
            Compute::Append(outbox, span) => {
                self.bulk(Bulk::Append { outbox: outbox.index, area: area(span) })
            }
            Compute::AppendNumber(outbox, order, value) => {
                let from = self.operand(&value.0, 0);
                self.bulk(Bulk::AppendNumber { outbox: outbox.index, from, order: *order });
            }
            Compute::Compact(stream) => self.bulk(Bulk::Compact {
                offset: stream.buf.start,
                room: stream.buf.len,
                from: stream.from.index,
                len: stream.len.index,
                end: stream.end.index,
                left: stream.room.index,
            }),
        }
    }

    /// Where a number lies in a pooled buffer.
    fn pooled_number(&mut self, buf: &Buf, at: &Node, order: Order, depth: u16) -> Area {
        let (offset, start) = match at {
            Node::Const(at) => (*at as u32, None),
            at => (0, Some(self.operand(at, depth))),
        };
        let (len, pooled) = (Len::Fixed(order.width()), buf.pooled);
        Area { offset, start, room: buf.len - offset, len, constant: false, pooled }
    }

    /// Gives back, where code is about to wait, what nobody looks at any more.
    fn give_back(&mut self, which: u64) {
        if which != 0 {
            self.bulk(Bulk::GiveBack(which));
        }
    }

    /// A branch that is taken if the condition does not hold. Its target is to be patched.
    fn unless(&mut self, cond: &Cond) -> usize {
        if let Node::Binary(operator, operands) = &cond.0
            && let [left, Node::Const(value)] = &**operands
            && let Some(range) = within(*operator, *value)
        {
            let a = self.operand(left, 0);
            return self.op(match range {
                Within::Inside { low, span } => Op::UnlessWithin { a, low, span, to: 0 },
                Within::Outside { low, span } => Op::IfWithin { a, low, span, to: 0 },
            });
        }
        if let Node::Binary(operator, operands) = &cond.0
            && operator.compares()
        {
            let (a, b) = (self.operand(&operands[0], 0), self.operand(&operands[1], 1));
            return self.op(Op::UnlessCompared { operator: *operator, a, b, to: 0 });
        }
        let condition = self.operand(&cond.0, 0);
        self.op(Op::Unless { condition, to: 0 })
    }

    /// The register with the value of a node: the one that it is, or number `depth` of those behind the chain's.
    fn operand(&mut self, node: &Node, depth: u16) -> u16 {
        if let Node::Reg(reg) = node {
            return reg.index;
        }
        let to = self.scratch(depth);
        self.into(node, to, depth);
        to
    }

    /// Number `depth` of the registers behind the chain's.
    fn scratch(&mut self, depth: u16) -> u16 {
        let register = self.first.saturating_add(depth);
        self.made.registers = self.made.registers.max(register.saturating_add(1));
        register
    }

    /// Computes a node into the register `to`. What is computed on the way goes into the registers from number
    /// `depth` on behind the chain's; `to` is written last, because the node may read it.
    fn into(&mut self, node: &Node, to: u16, depth: u16) {
        match node {
            Node::Const(value) => drop(self.op(Op::Set { to, value: *value })),
            Node::Reg(Reg { index: from, .. }) => drop(self.op(Op::Move { to, from: *from })),
            Node::Load { buf, offset, order } if buf.pooled.is_some() => {
                let area = self.pooled_number(buf, &Node::Const(u64::from(*offset)), *order, depth);
                self.bulk(Bulk::Load { order: *order, to, area });
            }
            Node::LoadAt { buf, index, order } if buf.pooled.is_some() => {
                let area = self.pooled_number(buf, index, *order, depth);
                self.bulk(Bulk::Load { order: *order, to, area });
            }
            Node::Word(word) => self.bulk(Bulk::Word(OnWord::Load { to, word: word.index })),
            Node::Load { buf, offset, order } if !buf.constant => {
                self.op(Op::Load { order: *order, to, at: buf.start + offset });
            }
            Node::Load { .. } => unreachable!("loads of constants are folded when they are built"),
            Node::LoadAt { buf, index, order } => {
                let index = self.operand(index, depth);
                self.op(Op::LoadAt { order: *order, to, index, start: buf.start, room: buf.len });
            }
            Node::Binary(operator, operands) => {
                let (operator, [left, right]) = (*operator, &**operands);
                let a = self.operand(left, depth);
                if let Node::Const(value) = right {
                    self.op(Op::BinaryBy { operator, to, a, value: *value });
                } else {
                    let b = self.operand(right, depth + 1);
                    self.op(Op::Binary { operator, to, a, b });
                }
            }
            Node::Find { span, byte } => {
                let byte = self.operand(byte, depth);
                self.bulk(Bulk::Find { to, area: area(span), byte });
            }
            Node::FindBytes(span, other) => {
                self.bulk(Bulk::FindBytes { to, area: area(span), bytes: area(other) });
            }
            Node::Partition { span, order, stride, key, or_equal } => {
                let (key, order, stride) = (self.operand(key, depth), *order, *stride);
                self.bulk(Bulk::Partition { to, area: area(span), order, stride, key, or_equal: *or_equal });
            }
            Node::Equal(a, b) => self.bulk(Bulk::Equal { to, a: area(a), b: area(b) }),
            Node::Hash(span) => self.bulk(Bulk::Hash { to, area: area(span) }),
        }
    }
}

/// A number that is loaded, and then compared, is both in one op; and so is what `consume` says. What is superfluous then
/// stays where it is, for whoever comes to it from elsewhere.
fn join(ops: &mut [Op]) {
    for i in 2..ops.len() {
        let [compared, added, subtracted] = [ops[i - 2], ops[i - 1], ops[i]];
        let Op::UnlessCompared { operator: Operator::Le, a: by, b: len, to: or } = compared else { continue };
        let Op::Binary { operator: Operator::Add, to: from, a, b } = added else { continue };
        let less = Op::Binary { operator: Operator::Sub, to: len, a: len, b: by };
        if (a, b) == (from, by) && subtracted == less && from != by && from != len {
            ops[i - 2] = Op::Take { by, len, from, or };
        }
    }
    for i in 1..ops.len() {
        if let Op::Load { order, to, at } = ops[i - 1]
            && let Op::UnlessWithin { a, low: 0, span: most, to: or } = ops[i]
            && a == to
        {
            ops[i - 1] = Op::LoadAtMost { order, to, at, most, or };
        }
    }
}

/// A comparison with a constant, as a range that holds what compares so, or everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Inside { low: u32, span: u32 },
    Outside { low: u32, span: u32 },
}

/// `None` for what is no comparison, never or always holds, or compares with too large a number.
fn within(operator: Operator, value: u64) -> Option<Within> {
    let value = u32::try_from(value).ok()?;
    Some(match operator {
        Operator::Eq => Within::Inside { low: value, span: 0 },
        Operator::Ne => Within::Outside { low: value, span: 0 },
        Operator::Le => Within::Inside { low: 0, span: value },
        Operator::Gt => Within::Outside { low: 0, span: value },
        Operator::Lt => Within::Inside { low: 0, span: value.checked_sub(1)? },
        Operator::Ge => Within::Outside { low: 0, span: value.checked_sub(1)? },
        _ => return None,
    })
}

fn area(span: &Span) -> Area {
    let len = match span.len {
        SpanLen::Fixed(len) => Len::Fixed(len),
        SpanLen::Reg(reg) => Len::Register { index: reg.index, plus: 0, max: span.room() },
    };
    Area {
        offset: span.buf.base() + span.from,
        start: span.start.map(|reg| reg.index),
        room: span.room(),
        len,
        constant: span.buf.constant,
        pooled: span.buf.pooled,
    }
}

#[cfg(test)]
mod tests {
    use chainring_runtime::frame::Order;

    use super::{Op, Operator, Within, join, within};

    #[test]
    fn a_load_is_joined_with_the_comparison_of_what_it_loads() {
        let (order, at) = (Order::Be32, 8);
        let [load, leave] = [Op::Load { order, to: 1, at }, Op::Leave(0)];
        let within = |a, low| Op::UnlessWithin { a, low, span: 9, to: 2 };
        let joined = Op::LoadAtMost { order, to: 1, at, most: 9, or: 2 };
        for (second, expected) in [(within(1, 0), joined), (within(0, 0), load), (within(1, 1), load)] {
            let mut ops = [load, second, leave];
            join(&mut ops);
            assert_eq!(ops, [expected, second, leave]);
        }
    }

    #[test]
    fn a_comparison_with_a_constant_is_a_range() {
        use Operator::{Eq, Ge, Gt, Le, Lt, Ne};
        for operator in [Eq, Ne, Lt, Le, Gt, Ge] {
            for value in [0, 1, 2, 7, u64::from(u32::MAX), 1 << 32] {
                let Some(range) = within(operator, value) else { continue };
                for a in [0, 1, 2, 3, 6, 7, 8, u64::from(u32::MAX), 1 << 32, u64::MAX] {
                    let inside = |low: u32, span: u32| a.wrapping_sub(low.into()) <= span.into();
                    let holds = match range {
                        Within::Inside { low, span } => inside(low, span),
                        Within::Outside { low, span } => !inside(low, span),
                    };
                    assert_eq!(Some(u64::from(holds)), operator.apply(a, value), "{a} {operator:?} {value}");
                }
            }
        }
        assert_eq!(within(Lt, 0), None, "it never holds");
        assert_eq!(within(Operator::Add, 1), None);
    }
}
