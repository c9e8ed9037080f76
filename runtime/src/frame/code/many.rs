//! Runs what moves or looks at many bytes: see [`Bulk`].
//!
//! What is done for most requests of a protocol is a function of its own, which a short one jumps to: together they would
//! all pay for the registers that any of them needs.

use memchr::memchr;

use super::bulk::{hash, place};
use super::prepared::Known;
use super::search::{find, partition};
use super::{Area, Bulk, Order, Trap};
use crate::frame::memory::Record;
use crate::frame::outbox::Outbox;
use crate::frame::plan::Len;
use crate::frame::region::Region;

impl Region {
    /// Does what is known of the bulk op with this number, if that is all that there is to it; else false, with nothing done.
    ///
    /// # Safety
    /// As for `bulk`, and there must be such an op.
    #[inline(always)]
    pub(super) unsafe fn bulk_as_known(&self, number: u16, record: Record, bytes: *mut u8) -> bool {
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        let register = |word: u16| unsafe { record.word(usize::from(word)) };
        // SAFETY: there are as many as ops on many bytes, by the caller's promise more than this number.
        let known = unsafe { self.prepared.known().get_unchecked(usize::from(number)) };
        let Known::Find { to, spot, search } = known else { return false };
        let (start, len) = (register(spot.start).get(), register(spot.len).get() + u64::from(spot.fixed));
        if start.checked_add(len).is_none_or(|end| end > spot.room.into()) {
            return false;
        }
        // SAFETY: inside the area's room, which was checked to lie inside the frame's bytes; they are initialised, and
        // only this code touches them now.
        let view = unsafe {
            std::slice::from_raw_parts(bytes.add(spot.offset as usize + start as usize), len as usize)
        };
        register(*to).set(search.find(view).unwrap_or(view.len()) as u64);
        true
    }

    /// Does the bulk op with this number, or notes why it could not, and says false.
    ///
    /// # Safety
    /// `record` must be the record of an accessible frame and `bytes` the first of its bytes, nothing of the frame in
    /// flight, and no view of it lent, outboxes included; for a strand as [`execute`](Region::execute) says.
    #[inline(never)]
    pub(super) unsafe fn bulk(&self, number: u16, record: Record, bytes: *mut u8) -> bool {
        let bulk = &self.code.bulk[usize::from(number)];
        // SAFETY: the caller's promise, for each of them.
        unsafe {
            match bulk {
                Bulk::Append { .. } => self.append(bulk, record, bytes),
                Bulk::FindBytes { .. } => self.find_bytes(bulk, number, record, bytes),
                Bulk::Compact { .. } => self.compact(bulk, record, bytes),
                _ => self.others(bulk, record, bytes),
            }
        }
    }

    /// Notes why an op could not do what it says.
    #[cold]
    fn not_done(&self, trap: Trap) -> bool {
        self.trap.set(trap);
        false
    }

    /// Where an area starts, and how long it is.
    ///
    /// # Safety
    /// As for `bulk`; and the area must be one of this region's code.
    #[inline(always)]
    unsafe fn spot(&self, area: &Area, record: Record, bytes: *mut u8) -> Result<(*mut u8, usize), Trap> {
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        let register = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        let len = match area.len {
            Len::Fixed(len) => u64::from(len),
            Len::Register { index, plus, .. } => register(index).saturating_add(plus.into()),
        };
        let (start, len) = place(area, area.start.map_or(0, register), len)?;
        let base = match area.pooled {
            // Constants are only read: the check lets no op write to them.
            None if area.constant => self.constants.as_ptr().cast_mut(),
            None => bytes,
            Some(number) => {
                let (base, filled) = self.pooled.held(record.header().key.get().index() as usize, number);
                if start + len > filled as usize {
                    return Err(Trap::Bounds { end: (start + len) as u64, room: filled });
                }
                base.as_ptr()
            }
        };
        // SAFETY: inside the area's room, which was checked to lie inside the frame's bytes or the constants; or inside
        // what the frame has put into a pooled buffer that it holds.
        Ok((unsafe { base.add(start) }, len))
    }

    /// The bytes of an area, which must not be written while they are looked at.
    ///
    /// # Safety
    /// As for `spot`.
    #[inline(always)]
    unsafe fn view<'v>(&self, area: &Area, record: Record, bytes: *mut u8) -> Result<&'v [u8], Trap> {
        // SAFETY: the caller's promise.
        let (start, len) = unsafe { self.spot(area, record, bytes) }?;
        // SAFETY: initialised bytes, which only this code touches now, and which it does not write while the view is used.
        Ok(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// # Safety
    /// As for `bulk`.
    #[inline(never)]
    unsafe fn append(&self, bulk: &Bulk, record: Record, bytes: *mut u8) -> bool {
        let Bulk::Append { outbox, area } = bulk else { return false };
        // SAFETY: the caller's promise. An outbox has memory of its own, so the view stays as it is.
        let put = unsafe { self.view(area, record, bytes).and_then(|view| self.put(*outbox, record, view)) };
        match put {
            Ok(()) => true,
            Err(trap) => self.not_done(trap),
        }
    }

    /// Puts bytes behind what is in an outbox of the frame.
    ///
    /// # Safety
    /// As for `bulk`; the bytes must not be those of the outbox.
    #[inline(always)]
    unsafe fn put(&self, outbox: u16, record: Record, bytes: &[u8]) -> Result<(), Trap> {
        // SAFETY: the outbox was checked with the code; nothing of the frame is in flight, or nothing of the strand whose outbox
        // it alone is, and no view of it is lent; copying bytes runs no foreign code.
        let outbox = unsafe { &mut *record.outbox(outbox) }.outbox();
        let len = outbox.len() + bytes.len();
        if len > Outbox::MOST {
            return Err(Trap::Bounds { end: len as u64, room: Outbox::MOST as u32 });
        }
        outbox.copy(bytes);
        Ok(())
    }

    /// # Safety
    /// As for `bulk`.
    #[inline(never)]
    unsafe fn find_bytes(&self, bulk: &Bulk, number: u16, record: Record, bytes: *mut u8) -> bool {
        let Bulk::FindBytes { to, area, bytes: what } = bulk else { return false };
        // SAFETY: the caller's promise.
        let view = match unsafe { self.view(area, record, bytes) } {
            Ok(view) => view,
            Err(trap) => return self.not_done(trap),
        };
        let at = match self.prepared.search(number) {
            Some(search) => search.find(view).unwrap_or(view.len()),
            // SAFETY: the same; both are only read.
            None => match unsafe { self.view(what, record, bytes) } {
                Ok(what) => find(view, what),
                Err(trap) => return self.not_done(trap),
            },
        };
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        unsafe { record.word(usize::from(*to)) }.set(at as u64);
        true
    }

    /// # Safety
    /// As for `bulk`.
    #[inline(never)]
    unsafe fn compact(&self, bulk: &Bulk, record: Record, bytes: *mut u8) -> bool {
        let Bulk::Compact { offset, room, from, len, end, left } = bulk else { return false };
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        let register = |word: &u16| unsafe { record.word(usize::from(*word)) };
        let (start, count, room) = (register(from).get(), register(len).get(), u64::from(*room));
        let mut behind = start.saturating_add(count);
        if behind > room {
            register(end).set(start);
            register(left).set(u64::MAX);
            return true;
        }
        if count == 0 || behind == room {
            if count > 0 && start > 0 {
                // SAFETY: both lie inside the room, which was checked to lie inside the frame's bytes.
                unsafe {
                    let front = bytes.add(*offset as usize);
                    front.copy_from(front.add(start as usize), count as usize);
                }
            }
            register(from).set(0);
            behind = count;
        }
        register(end).set(behind);
        register(left).set((room - behind).max(1));
        true
    }

    /// # Safety
    /// As for `bulk`.
    #[inline(never)]
    unsafe fn others(&self, bulk: &Bulk, record: Record, bytes: *mut u8) -> bool {
        // SAFETY: the caller's promise.
        match unsafe { self.other(bulk, record, bytes) } {
            Ok(()) => true,
            Err(trap) => self.not_done(trap),
        }
    }

    /// # Safety
    /// As for `bulk`.
    #[inline(always)]
    unsafe fn other(&self, bulk: &Bulk, record: Record, bytes: *mut u8) -> Result<(), Trap> {
        // SAFETY: a bulk op's registers were checked, and made words of this region's layout.
        let register = |word: u16| unsafe { record.word(usize::from(word)) };
        // SAFETY: the caller's promise.
        let spot = |area: &Area| unsafe { self.spot(area, record, bytes) };
        // SAFETY: the same.
        let view = |area: &Area| unsafe { self.view(area, record, bytes) };
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
            Bulk::GiveBack(which) => self.give_back(record.header().key.get().index() as usize, *which),
            Bulk::Equal { to, a, b } => register(*to).set(u64::from(view(a)? == view(b)?)),
            Bulk::Find { to, area, byte } => {
                let (view, byte) = (view(area)?, register(*byte).get() as u8);
                register(*to).set(memchr(byte, view).unwrap_or(view.len()) as u64);
            }
            Bulk::Partition { to, area, order, stride, key, or_equal } => {
                let count = partition(view(area)?, *order, *stride, register(*key).get(), *or_equal);
                register(*to).set(count as u64);
            }
            Bulk::AppendNumber { outbox, from, order } => {
                let mut text = [0; 20];
                let written = written(register(*from).get(), *order, &mut text);
                // SAFETY: the caller's promise; the bytes are of this function.
                unsafe { self.put(*outbox, record, written) }?;
            }
            Bulk::Hash { to, area } => register(*to).set(hash(view(area)?)),
            Bulk::Word(on_word) => on_word.apply(&self.words, register),
            Bulk::Append { .. } | Bulk::FindBytes { .. } | Bulk::Compact { .. } => {}
        }
        Ok(())
    }
}

/// A number as bytes: in an order, or as decimal digits.
fn written(mut number: u64, order: Option<Order>, text: &mut [u8; 20]) -> &[u8] {
    if let Some(order) = order {
        // SAFETY: no order is wider than the array.
        unsafe { order.store(text.as_mut_ptr(), number) };
        return &text[..order.width() as usize];
    }
    let mut from = text.len();
    loop {
        from -= 1;
        text[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &text[from..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Order, written};

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let text = |number, order| written(number, order, &mut [0; 20]).to_vec();
        for number in [0, 7, 10, 99, 1_000_000, u64::MAX] {
            assert_eq!(text(number, None), number.to_string().as_bytes());
        }
        assert_eq!(text(0x0102_0304_0506, Some(Order::Be32)), [3, 4, 5, 6]);
        assert_eq!(text(0x0102_0304_0506, Some(Order::Le16)), [6, 5]);
    }
}
