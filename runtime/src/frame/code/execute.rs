//! Runs portable code: the hot path of programs that compute.

use std::ptr::NonNull;

use super::bulk::{hash, place};
use super::{Area, Bulk, Op, Outcome, Trap};
use crate::frame::memory::Record;
use crate::frame::plan::Len;
use crate::frame::region::Region;

/// Jumps back that a frame may take before others have their turn.
const FUEL: u32 = 1024;

impl Region {
    /// Runs the code of the program from `pc` on, for a frame of which nothing is in flight.
    ///
    /// # Safety
    /// - `pc` must be the place of an op;
    /// - `record` must be the record of an accessible frame and `buffer` the first of its bytes, nothing of the frame in
    ///   flight, and no view of it lent. (For a strand: nothing in flight that touches what the ops of its branch change,
    ///   or changes what they touch.)
    #[inline(always)]
    pub(in crate::frame) unsafe fn execute(&self, record: Record, buffer: NonNull<u8>, pc: u32) -> Outcome {
        let bytes = buffer.as_ptr();
        let ops = self.code.ops.as_ptr();
        // SAFETY: the place of an op.
        let target = |to: u32| unsafe { ops.add(to as usize) };
        // SAFETY: both are places of ops.
        let place = |op: *const Op| unsafe { op.offset_from_unsigned(ops) as u32 };
        // A pointer, because a number would have to be made one for each op.
        let mut op = target(pc);
        let mut fuel = FUEL;
        // SAFETY: an op's registers were checked, and made words of this region's layout.
        let register = |word: u16| unsafe { record.word(usize::from(word)) };
        loop {
            // SAFETY: an op: the caller's, a checked target, or the successor of an op that has one.
            match unsafe { *op } {
                Op::Set { to, value } => register(to).set(value),
                Op::Move { to, from } => register(to).set(register(from).get()),
                Op::Binary { operator, to, a, b } => {
                    match operator.apply(register(a).get(), register(b).get()) {
                        Some(value) => register(to).set(value),
                        None => return self.trapped(place(op), Trap::Division),
                    }
                }
                Op::BinaryBy { operator, to, a, value } => match operator.apply(register(a).get(), value) {
                    Some(value) => register(to).set(value),
                    None => return self.trapped(place(op), Trap::Division),
                },
                Op::Load { order, to, at } => {
                    // SAFETY: the bytes were checked to lie inside the frame's, which nobody else touches.
                    register(to).set(unsafe { order.load(bytes.add(at as usize)) });
                }
                Op::LoadAtMost { order, to, at, most, or } => {
                    // SAFETY: as for a load.
                    let value = unsafe { order.load_usual(bytes.add(at as usize)) };
                    register(to).set(value);
                    if value > most.into() {
                        if is_spent(op, target(or), &mut fuel) {
                            return Outcome::Spent(or);
                        }
                        op = target(or);
                        continue;
                    }
                    // SAFETY: such an op was checked to have two behind it.
                    op = unsafe { op.add(2) };
                    // What is loaded and compared is most often a length, and then as much is received: without another
                    // turn of this loop.
                    // SAFETY: the second of the two.
                    if let Op::Submit(segment) = unsafe { *op } {
                        return Outcome::Submit(segment);
                    }
                    continue;
                }
                Op::LoadAt { order, to, index, start, room } => {
                    match within(register(index).get(), order.width(), room) {
                        // SAFETY: inside the room, which was checked to lie inside the frame's bytes.
                        Ok(at) => register(to).set(unsafe { order.load(bytes.add(start as usize + at)) }),
                        Err(trap) => return self.trapped(place(op), trap),
                    }
                }
                Op::Store { order, from, at } => {
                    // SAFETY: as for a load.
                    unsafe { order.store(bytes.add(at as usize), register(from).get()) };
                }
                Op::StoreAt { order, from, index, start, room } => {
                    match within(register(index).get(), order.width(), room) {
                        // SAFETY: as for a load.
                        Ok(at) => unsafe {
                            order.store(bytes.add(start as usize + at), register(from).get());
                        },
                        Err(trap) => return self.trapped(place(op), trap),
                    }
                }
                Op::Bulk(number) => {
                    let bulk = &self.code.bulk[usize::from(number)];
                    // SAFETY: the caller's promise about the frame; the bulk op was checked as all were.
                    if let Err(trap) = unsafe { self.bulk(bulk, record, bytes) } {
                        return self.trapped(place(op), trap);
                    }
                }
                Op::Unless { condition, to } => {
                    if register(condition).get() == 0 {
                        if is_spent(op, target(to), &mut fuel) {
                            return Outcome::Spent(to);
                        }
                        op = target(to);
                        continue;
                    }
                }
                Op::UnlessWithin { a, low, span, to } => {
                    if register(a).get().wrapping_sub(low.into()) > span.into() {
                        if is_spent(op, target(to), &mut fuel) {
                            return Outcome::Spent(to);
                        }
                        op = target(to);
                        continue;
                    }
                }
                Op::IfWithin { a, low, span, to } => {
                    if register(a).get().wrapping_sub(low.into()) <= span.into() {
                        if is_spent(op, target(to), &mut fuel) {
                            return Outcome::Spent(to);
                        }
                        op = target(to);
                        continue;
                    }
                }
                Op::Jump { to } => {
                    if is_spent(op, target(to), &mut fuel) {
                        return Outcome::Spent(to);
                    }
                    op = target(to);
                    continue;
                }
                Op::Submit(segment) => return Outcome::Submit(segment),
                Op::Leave(number) => return Outcome::Left(number),
            }
            // SAFETY: whatever comes here has a successor: the check lets no other op be the last.
            op = unsafe { op.add(1) };
        }
    }

    #[cold]
    fn trapped(&self, pc: u32, trap: Trap) -> Outcome {
        self.trap.set(trap);
        Outcome::Trapped(pc)
    }

    /// # Safety
    /// `bulk` must be one of this region's, `bytes` the bytes of the frame with that record, of which nothing is in
    /// flight and no view lent.
    #[inline(never)]
    unsafe fn bulk(&self, bulk: &Bulk, record: Record, bytes: *mut u8) -> Result<(), Trap> {
        let index = record.header().key.get().index() as usize;
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        let register = |word: u16| unsafe { record.word(usize::from(word)) };
        let place = |area: &Area| {
            let len = match area.len {
                Len::Fixed(len) => u64::from(len),
                Len::Register { index, plus, .. } => register(index).get().saturating_add(plus.into()),
            };
            place(area, area.start.map_or(0, |start| register(start).get()), len)
        };
        // Constants are only read: the check lets no op write to them.
        let spot = |area: &Area| -> Result<(*mut u8, usize), Trap> {
            let (start, len) = place(area)?;
            let base = match area.pooled {
                None if area.constant => self.constants.as_ptr().cast_mut(),
                None => bytes,
                Some(number) => {
                    let (base, filled) = self.pooled.held(index, number);
                    if start + len > filled as usize {
                        return Err(Trap::Bounds { end: (start + len) as u64, room: filled });
                    }
                    base.as_ptr()
                }
            };
            // SAFETY: inside the area's room, which was checked to lie inside the frame's bytes or the constants; or
            // inside what the frame has put into a pooled buffer that it holds.
            Ok((unsafe { base.add(start) }, len))
        };
        let view = |area: &Area| -> Result<&[u8], Trap> {
            let (start, len) = spot(area)?;
            // SAFETY: initialised bytes, which only this code touches now, and which it does not write while the
            // view is used.
            Ok(unsafe { std::slice::from_raw_parts(start, len) })
        };
        match bulk {
            Bulk::Copy { to, from } => {
                let ((start, room), (source, len)) = (spot(to)?, spot(from)?);
                if len != room {
                    return Err(Trap::Bounds { end: len as u64, room: room as u32 });
                }
                // SAFETY: both are valid for as many bytes, and the first is not a constant; they may overlap.
                unsafe { start.copy_from(source, len) };
            }
            Bulk::Load { order, to, area } => {
                let (start, _) = spot(area)?;
                // SAFETY: the area was checked to be as long as the number is wide.
                register(*to).set(unsafe { order.load(start) });
            }
            Bulk::Store { order, from, area } => {
                let (start, _) = spot(area)?;
                // SAFETY: as for a load, and it is not a constant.
                unsafe { order.store(start, register(*from).get()) };
            }
            Bulk::GiveBack(which) => self.give_back(index, *which),
            Bulk::Equal { to, a, b } => register(*to).set(u64::from(view(a)? == view(b)?)),
            Bulk::Find { to, area, byte } => {
                let (view, byte) = (view(area)?, register(*byte).get() as u8);
                let at = view.iter().position(|b| *b == byte).unwrap_or(view.len());
                register(*to).set(at as u64);
            }
            Bulk::Hash { to, area } => register(*to).set(hash(view(area)?)),
            Bulk::Word(on_word) => on_word.apply(&self.words, register),
            Bulk::Compact { offset, room, from, len, end, left } => {
                let (start, count, room) = (register(*from).get(), register(*len).get(), u64::from(*room));
                let mut behind = start.saturating_add(count);
                if behind > room {
                    register(*end).set(start);
                    register(*left).set(u64::MAX);
                    return Ok(());
                }
                if count == 0 || behind == room {
                    if count > 0 && start > 0 {
                        // SAFETY: both lie inside the room, which was checked to lie inside the frame's bytes.
                        unsafe {
                            let front = bytes.add(*offset as usize);
                            front.copy_from(front.add(start as usize), count as usize);
                        }
                    }
                    register(*from).set(0);
                    behind = count;
                }
                register(*end).set(behind);
                register(*left).set((room - behind).max(1));
            }
        }
        Ok(())
    }
}

/// Whether a jump goes back, and there is no fuel left for that.
#[inline(always)]
fn is_spent(op: *const Op, to: *const Op, fuel: &mut u32) -> bool {
    let back = to <= op;
    if back {
        *fuel -= 1;
    }
    back && *fuel == 0
}

/// The place of a number of `width` bytes at `index`, if it lies within `room`.
#[inline(always)]
fn within(index: u64, width: u32, room: u32) -> Result<usize, Trap> {
    let end = index.saturating_add(width.into());
    if end <= u64::from(room) { Ok(index as usize) } else { Err(Trap::Bounds { end, room }) }
}
