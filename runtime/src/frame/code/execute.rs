//! Runs portable code: the hot path of programs that compute.

use std::ptr::NonNull;

use super::{Op, Outcome, Trap};
use crate::frame::memory::Record;
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
        /// Goes on at the op with this number.
        macro_rules! go_on_at {
            ($to:expr) => {{
                let to = target($to);
                if is_spent(op, to, &mut fuel) {
                    return Outcome::Spent($to);
                }
                op = to;
                continue;
            }};
        }
        /// Goes on behind the next so many ops.
        macro_rules! skip {
            ($ops:expr) => {{
                // SAFETY: an op that skips others was checked to have so many behind it, and one more.
                op = unsafe { op.add($ops + 1) };
                continue;
            }};
        }
        /// The same; if that submits, without another turn of this loop.
        macro_rules! skip_to_submit {
            ($ops:expr) => {{
                // SAFETY: as above.
                if let Op::Submit(segment) = unsafe { *op.add($ops + 1) } {
                    return Outcome::Submit(segment);
                }
                skip!($ops);
            }};
        }
        loop {
            // By reference: each of them loads what it has, and no more.
            // SAFETY: an op: the caller's, a checked target, or the successor of an op that has one.
            match *unsafe { &*op } {
                Op::Set { to, value } => register(to).set(value),
                Op::Move { to, from } => register(to).set(register(from).get()),
                Op::Binary { operator, to, a, b } => {
                    match operator.apply_usual(register(a).get(), register(b).get()) {
                        Some(value) => register(to).set(value),
                        None => return self.trapped(place(op), Trap::Division),
                    }
                }
                Op::BinaryBy { operator, to, a, value } => {
                    match operator.apply_usual(register(a).get(), value) {
                        Some(value) => register(to).set(value),
                        None => return self.trapped(place(op), Trap::Division),
                    }
                }
                Op::Load { order, to, at } => {
                    // SAFETY: the bytes were checked to lie inside the frame's, which nobody else touches.
                    register(to).set(unsafe { order.load_usual(bytes.add(at as usize)) });
                }
                Op::LoadAtMost { order, to, at, most, or } => {
                    // SAFETY: as for a load.
                    let value = unsafe { order.load_usual(bytes.add(at as usize)) };
                    register(to).set(value);
                    if value > most.into() {
                        go_on_at!(or);
                    }
                    // What is loaded and compared is most often a length, and then as much is received.
                    skip_to_submit!(1);
                }
                Op::LoadAt { order, to, index, start, room } => {
                    match within(register(index).get(), order.width(), room) {
                        Ok(at) => {
                            // SAFETY: inside the room, which was checked to lie inside the frame's bytes.
                            let value = unsafe { order.load_usual(bytes.add(start as usize + at)) };
                            register(to).set(value);
                        }
                        Err(trap) => return self.trapped(place(op), trap),
                    }
                }
                Op::Store { order, from, at } => {
                    // SAFETY: as for a load.
                    unsafe { order.store_usual(bytes.add(at as usize), register(from).get()) };
                }
                Op::StoreAt { order, from, index, start, room } => {
                    match within(register(index).get(), order.width(), room) {
                        // SAFETY: as for a load.
                        Ok(at) => unsafe {
                            order.store_usual(bytes.add(start as usize + at), register(from).get());
                        },
                        Err(trap) => return self.trapped(place(op), trap),
                    }
                }
                Op::Bulk(number) => {
                    // SAFETY: the caller's promise about the frame; the number was checked.
                    if !unsafe { self.bulk(number, record, bytes) } {
                        return Outcome::Trapped(place(op));
                    }
                }
                Op::Unless { condition, to } => {
                    if register(condition).get() == 0 {
                        go_on_at!(to);
                    }
                }
                Op::UnlessWithin { a, low, span, to } => {
                    if register(a).get().wrapping_sub(low.into()) > span.into() {
                        go_on_at!(to);
                    }
                }
                Op::IfWithin { a, low, span, to } => {
                    if register(a).get().wrapping_sub(low.into()) <= span.into() {
                        go_on_at!(to);
                    }
                }
                Op::UnlessCompared { operator, a, b, to } => {
                    if !operator.holds(register(a).get(), register(b).get()) {
                        go_on_at!(to);
                    }
                }
                Op::Take { by, len, from, or } => {
                    let (taken, held) = (register(by).get(), register(len).get());
                    if taken > held {
                        go_on_at!(or);
                    }
                    register(from).set(register(from).get().wrapping_add(taken));
                    register(len).set(held - taken);
                    skip!(2);
                }
                Op::TakeSum { to, a, plus, len, from, or } => {
                    let taken = register(a).get().wrapping_add(plus.into());
                    register(to).set(taken);
                    let held = register(len).get();
                    if taken > held {
                        go_on_at!(or);
                    }
                    register(from).set(register(from).get().wrapping_add(taken));
                    register(len).set(held - taken);
                    skip!(3);
                }
                Op::BulkUnless { number, ref a, ref b, ref or } => {
                    // SAFETY: as for the others on many bytes.
                    let is_done = unsafe { self.bulk_as_known(number, record, bytes) };
                    // SAFETY: the same.
                    if !is_done && !unsafe { self.bulk(number, record, bytes) } {
                        return Outcome::Trapped(place(op));
                    }
                    if register(*a).get() == register(*b).get() {
                        go_on_at!(*or);
                    }
                    skip!(1);
                }
                Op::Lend { outbox, from, len } => {
                    // SAFETY: the outbox and the constants were checked with the code, nobody else has the outbox, by the
                    // caller's promise, and the constants stay where they are as long as the region's outboxes.
                    let is_lent = unsafe {
                        let constants = self.constants.as_ptr().add(from as usize);
                        (*record.outbox(outbox)).put_constants(constants, len as usize)
                    };
                    if is_lent {
                        skip!(1);
                    }
                }
                Op::Rewind { room, from, len, end, left } => {
                    if register(len).get() == 0 && register(from).get() <= room.into() {
                        register(from).set(0);
                        register(end).set(0);
                        register(left).set(room.into());
                        // There is room to receive into.
                        skip_to_submit!(1);
                    }
                }
                Op::Jump { to } => go_on_at!(to),
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
