//! The check that lets code run unchecked: everything an op names must be there, and no path may run off the end.

use super::{Area, Bulk, Code, Op};
use crate::frame::layout::Layout;
use crate::frame::outbox::Outbox;
use crate::frame::plan::{Len, PlanError};
use crate::frame::pooled::Pooled;

/// Checks code against the layout, `constants` bytes and the numbers of segments and words, and puts words of the control record
/// in the places of register numbers.
pub(in crate::frame) fn check(
    mut code: Code,
    layout: &Layout,
    constants: u32,
    segments: usize,
    words: usize,
    outboxes: u16,
    pooled: &Pooled,
) -> Result<Code, PlanError> {
    let (ops, bulk) = (code.ops.len(), code.bulk.len());
    let check = Check { layout, constants, segments, words, outboxes, pooled, ops, bulk };
    code.ops.iter_mut().enumerate().try_for_each(|(pc, op)| check.op(pc, op))?;
    code.bulk.iter_mut().try_for_each(|bulk| check.bulk(bulk))?;
    // What jumps, submits or leaves never goes on with the op behind it.
    match code.ops.last() {
        None | Some(Op::Jump { .. } | Op::Submit(_) | Op::Leave(_)) => Ok(code),
        Some(_) => Err(PlanError::Endless),
    }
}

struct Check<'c> {
    layout: &'c Layout,
    constants: u32,
    segments: usize,
    words: usize,
    outboxes: u16,
    pooled: &'c Pooled,
    ops: usize,
    bulk: usize,
}

impl Check<'_> {
    fn op(&self, pc: usize, op: &mut Op) -> Result<(), PlanError> {
        match op {
            Op::Set { to, .. } => self.register(to),
            Op::Move { to, from } => self.registers([to, from]),
            Op::Binary { to, a, b, .. } => self.registers([to, a, b]),
            Op::BinaryBy { to, a, .. } => self.registers([to, a]),
            Op::Load { order, to: register, at } | Op::Store { order, from: register, at } => {
                self.bytes(*at, order.width())?;
                self.register(register)
            }
            Op::LoadAtMost { order, to: register, at, or, .. } => {
                self.bytes(*at, order.width())?;
                self.register(register)?;
                self.target(*or)?;
                self.behind(pc, 2)
            }
            Op::LoadAt { to: register, index, start, room, .. }
            | Op::StoreAt { from: register, index, start, room, .. } => {
                self.bytes(*start, *room)?;
                self.registers([register, index])
            }
            Op::Bulk(number) => there(usize::from(*number) < self.bulk),
            Op::Unless { condition, to } => {
                self.register(condition)?;
                self.target(*to)
            }
            Op::UnlessWithin { a, to, .. } | Op::IfWithin { a, to, .. } => {
                self.register(a)?;
                self.target(*to)
            }
            Op::UnlessCompared { a, b, to, .. } => {
                self.registers([a, b])?;
                self.target(*to)
            }
            Op::Take { by, len, from, or } => {
                self.registers([by, len, from])?;
                self.target(*or)?;
                self.behind(pc, 3)
            }
            Op::TakeSum { to, a, len, from, or, .. } => {
                self.registers([to, a, len, from])?;
                self.target(*or)?;
                self.behind(pc, 4)
            }
            Op::BulkUnless { number, a, b, or } => {
                there(usize::from(*number) < self.bulk)?;
                self.registers([a, b])?;
                self.target(*or)?;
                self.behind(pc, 2)
            }
            Op::Lend { outbox, from, len } => {
                there(*outbox < self.outboxes)?;
                let end = from.checked_add(*len).filter(|end| *end <= self.constants);
                in_bounds(end.is_some() && (1..=Outbox::MOST).contains(&(*len as usize)))?;
                self.behind(pc, 2)
            }
            Op::Rewind { room, from, len, end, left } => {
                // There is always room for something.
                in_bounds(*room > 0)?;
                self.registers([from, len, end, left])?;
                self.behind(pc, 2)
            }
            Op::Jump { to } => self.target(*to),
            Op::Submit(segment) => there(usize::from(*segment) < self.segments),
            Op::Leave(_) => Ok(()),
        }
    }

    fn bulk(&self, bulk: &mut Bulk) -> Result<(), PlanError> {
        match bulk {
            Bulk::Copy { to, from } => {
                there(!to.constant)?;
                self.area(to)?;
                self.area(from)
            }
            Bulk::Equal { to, a, b } => {
                self.area(a)?;
                self.area(b)?;
                self.register(to)
            }
            Bulk::Find { to, area, byte } => {
                self.area(area)?;
                self.registers([to, byte])
            }
            Bulk::FindBytes { to, area, bytes } => {
                self.area(area)?;
                self.area(bytes)?;
                self.register(to)
            }
            Bulk::Partition { to, area, order, stride, key, .. } => {
                self.area(area)?;
                in_bounds(*stride >= order.width())?;
                self.registers([to, key])
            }
            Bulk::Append { outbox, area } => {
                there(*outbox < self.outboxes)?;
                self.area(area)
            }
            Bulk::AppendNumber { outbox, from, .. } => {
                there(*outbox < self.outboxes)?;
                self.register(from)
            }
            Bulk::Hash { to, area } => {
                self.area(area)?;
                self.register(to)
            }
            Bulk::Word(on_word) => {
                there(usize::from(on_word.word()) < self.words)?;
                on_word.registers().try_for_each(|register| self.register(register))
            }
            Bulk::Compact { offset, room, from, len, end, left } => {
                self.bytes(*offset, *room)?;
                self.registers([from, len, end, left])
            }
            Bulk::Load { order, to: register, area } | Bulk::Store { order, from: register, area } => {
                there(!area.constant)?;
                in_bounds(area.len == Len::Fixed(order.width()))?;
                self.area(area)?;
                self.register(register)
            }
            Bulk::GiveBack(which) => {
                let each = self.pooled.each();
                there(each >= u64::BITS as usize || *which >> each == 0)
            }
        }
    }

    fn area(&self, area: &mut Area) -> Result<(), PlanError> {
        if let Some(number) = area.pooled {
            let size = self.pooled.size(number).ok_or(PlanError::NoSuchHandle)?;
            let end = area.offset.checked_add(area.room);
            in_bounds(!area.constant && end.is_some_and(|end| end <= size))?;
        } else if area.constant {
            let end = area.offset.checked_add(area.room);
            in_bounds(end.is_some_and(|end| end <= self.constants))?;
        } else {
            self.bytes(area.offset, area.room)?;
        }
        if let Some(start) = &mut area.start {
            self.register(start)?;
        }
        match &mut area.len {
            Len::Fixed(_) => Ok(()),
            Len::Register { index, .. } => self.register(index),
        }
    }

    fn bytes(&self, start: u32, len: u32) -> Result<(), PlanError> {
        in_bounds(start.checked_add(len).is_some_and(|end| end <= self.layout.bytes))
    }

    fn registers<const N: usize>(&self, registers: [&mut u16; N]) -> Result<(), PlanError> {
        registers.into_iter().try_for_each(|register| self.register(register))
    }

    fn register(&self, register: &mut u16) -> Result<(), PlanError> {
        there(*register < self.layout.registers)?;
        *register = self.layout.register_word(*register) as u16;
        Ok(())
    }

    /// There must be as many ops behind the one at `pc`: it goes on with the last of them.
    fn behind(&self, pc: usize, ops: usize) -> Result<(), PlanError> {
        if pc + ops < self.ops { Ok(()) } else { Err(PlanError::Endless) }
    }

    fn target(&self, to: u32) -> Result<(), PlanError> {
        there((to as usize) < self.ops)
    }
}

fn there(is: bool) -> Result<(), PlanError> {
    if is { Ok(()) } else { Err(PlanError::NoSuchHandle) }
}

fn in_bounds(is: bool) -> Result<(), PlanError> {
    if is { Ok(()) } else { Err(PlanError::OutOfBounds) }
}
