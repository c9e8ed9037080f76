//! What a line computes, as ops: expressions from their leaves up, into registers behind those of the chain.

use chainring_runtime::frame::{Area, Bulk, Len, OnWord, Op, Operator, Order};

use super::Generator;
use super::join::{Within, within};
use crate::expr::{Cond, Node};
use crate::handle::{Buf, Reg, Span, SpanLen};
use crate::tree::Compute;

impl Generator<'_> {
    pub(super) fn compute(&mut self, compute: &Compute) {
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
                let (outbox, area) = (outbox.index, area(span));
                if let Area { constant: true, start: None, offset: from, len: Len::Fixed(len), .. } = area
                    && len > 0
                {
                    self.op(Op::Lend { outbox, from, len });
                }
                self.bulk(Bulk::Append { outbox, area });
            }
            Compute::AppendNumber(outbox, order, value) => {
                let from = self.operand(&value.0, 0);
                self.bulk(Bulk::AppendNumber { outbox: outbox.index, from, order: *order });
            }
            Compute::Compact(stream) => {
                let (offset, room) = (stream.buf.start, stream.buf.len);
                let (from, len) = (stream.from.index, stream.len.index);
                let (end, left) = (stream.end.index, stream.room.index);
                if room > 0 {
                    self.op(Op::Rewind { room, from, len, end, left });
                }
                self.bulk(Bulk::Compact { offset, room, from, len, end, left });
            }
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

    /// A branch that is taken unless the condition holds, or unless it does not. Its target is to be patched.
    pub(super) fn unless(&mut self, cond: &Cond, holds: bool) -> usize {
        if let Node::Binary(operator, operands) = &cond.0
            && let Some(negated) = operator.negated()
        {
            let ([left, right], operator) = (&**operands, if holds { *operator } else { negated });
            let range = if let Node::Const(value) = right { within(operator, *value) } else { None };
            let a = self.operand(left, 0);
            return match range {
                Some(Within::Inside { low, span }) => self.op(Op::UnlessWithin { a, low, span, to: 0 }),
                Some(Within::Outside { low, span }) => self.op(Op::IfWithin { a, low, span, to: 0 }),
                None => {
                    let b = self.operand(right, 1);
                    // Two of the four that order numbers are enough.
                    let (operator, a, b) = match operator {
                        Operator::Le => (Operator::Ge, b, a),
                        Operator::Gt => (Operator::Lt, b, a),
                        _ => (operator, a, b),
                    };
                    self.op(Op::UnlessCompared { operator, a, b, to: 0 })
                }
            };
        }
        let condition = self.operand(&cond.0, 0);
        self.op(match holds {
            true => Op::Unless { condition, to: 0 },
            false => Op::UnlessWithin { a: condition, low: 0, span: 0, to: 0 },
        })
    }

    /// The register with the value of a node: the one that it is, or number `depth` of those behind the chain's.
    pub(super) fn operand(&mut self, node: &Node, depth: u16) -> u16 {
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
    pub(super) fn into(&mut self, node: &Node, to: u16, depth: u16) {
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
