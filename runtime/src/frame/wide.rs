//! From a template to the submission queue, for segments with members that need more than descriptor, address and
//! length: positions in files, spans whose start is in a register or that lie among the constants, paths.

use std::ops::Range;
use std::ptr::NonNull;

use super::emit::{NotSubmitted, Written, nothing};
use super::memory::Record;
use super::outbox::{Message, Outbox};
use super::region::Region;
use super::row::Places;
use super::template::{Address, Member, Off, Short, Template, Wide};
use super::verb::Moves;
use crate::driver::Key;
use crate::op::sendmsg;
use crate::ring::Sqe;
use crate::ring::sqe::{CQE_SKIP_SUCCESS, IO_HARDLINK, IO_LINK};

/// The members of a segment that are submitted: all of them, or those from where it was interrupted.
#[derive(Clone)]
pub(super) struct Part<'t> {
    pub(super) template: &'t Template,
    pub(super) members: Range<u8>,
    /// What the first of them has transferred already.
    pub(super) done: u32,
}

impl<'t> Part<'t> {
    pub(super) fn whole(template: &'t Template) -> Self {
        Part { template, members: 0..template.last + 1, done: 0 }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&'t Member, &'t Wide)> + use<'t> {
        let range = usize::from(self.members.start)..usize::from(self.members.end);
        self.template.members[range.clone()].iter().zip(&self.template.wide[range])
    }
}

impl Region {
    /// Writes the entries of a whole segment that is neither hot nor warm, or of which a member has no length or too much of it:
    /// the general way, if there is no shorter one. `None` if it is awaited by more than one completion, or a span
    /// does not fit.
    ///
    /// # Safety
    /// As many places as there are members must be valid for writes.
    #[inline(never)]
    pub(super) unsafe fn write_whole(
        &self,
        record: Record,
        template: &Template,
        place: NonNull<Sqe>,
    ) -> Option<Written> {
        let index = record.header().key.get().index() as usize;
        if template.is_mild() {
            // SAFETY: it is mild; the rest is the caller's promise.
            let written = unsafe { self.write_mild(record, index, template, place) };
            if written.is_some() {
                return written;
            }
        }
        let part = template.is_awaited_as_one().then(|| Part::whole(template))?;
        // SAFETY: the caller's promise.
        unsafe { self.write_part(record, index, &part, place) }
    }

    /// Writes the entries of a whole segment whose members transfer bytes of the frame or send outboxes. `None` if one has
    /// nothing to transfer, too much, or more than one part, which [`write_part`](Region::write_part) deals with.
    ///
    /// # Safety
    /// - the segment must be [warm](Template::is_warm), `record` that of a frame of this region, and `buffer` the first of its
    ///   bytes;
    /// - there must be as many places as members, valid for writes.
    #[inline(always)]
    pub(super) unsafe fn write_short(
        &self,
        record: Record,
        buffer: NonNull<u8>,
        template: &Template,
        Places { first: mut place, end }: Places,
    ) -> Option<Written> {
        let buffer = buffer.as_ptr() as u64;
        let mut user_data = record.header().key.get().with_step(0);
        // SAFETY: a template's words were checked against the layout of this region.
        let word = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        let (mut member, mut wide) = (template.members.as_ptr(), template.wide.as_ptr());
        loop {
            // SAFETY: a checked segment has members, and there are as many of both as places.
            let (of, more) = unsafe { (&*member, &*wide) };
            let (address, flags_len) = match more.short {
                Short::Outbox(outbox) => {
                    // SAFETY: as in `message`; the outbox was checked with the template.
                    let (address, len) = unsafe { &*record.outbox(outbox) }.in_a_row()?;
                    // Where others have a fixed length, it has none.
                    (address, of.flags_len | len as u64)
                }
                _ => {
                    let (start, added) = (word(more.start), word(of.length));
                    if added.wrapping_sub(1) > of.bound {
                        return None;
                    }
                    let flags_len = of.flags_len.wrapping_add(added);
                    if start.checked_add(flags_len & 0xffff_ffff)? > u64::from(more.room) {
                        return None;
                    }
                    (buffer.wrapping_add(of.offset).wrapping_add(start), flags_len)
                }
            };
            let head = of.head | word(of.descriptor);
            // SAFETY: the place is one of the caller's, and an entry is eight words. The span lies inside the frame's bytes, as
            // was just compared; or it is what the outbox holds, which nobody changes while something is in flight.
            unsafe { place.cast::<[u64; 8]>().write([head, 0, address, flags_len, user_data, 0, 0, 0]) };
            // SAFETY: one past the last of each at the most.
            (member, wide, place) = unsafe { (member.add(1), wide.add(1), place.add(1)) };
            if place.as_ptr() == end {
                return Some(Written { want: flags_len as u32, last: user_data });
            }
            user_data = Key::next_step(user_data);
        }
    }

    /// Writes the entries of a whole segment whose members all have a short way of whatever kind. `None` as in
    /// [`write_short`](Region::write_short), which takes fewer steps for some of them and is a part of its loop.
    ///
    /// # Safety
    /// - the segment must be [mild](Template::is_mild) or one that [pools](Template::pools), and `record` that of frame
    ///   `index`;
    /// - as many places as there are members must be valid for writes.
    #[inline(never)]
    pub(super) unsafe fn write_mild(
        &self,
        record: Record,
        index: usize,
        template: &Template,
        mut place: NonNull<Sqe>,
    ) -> Option<Written> {
        let buffer = self.memory.buffer(index).as_ptr() as u64;
        let mut user_data = record.header().key.get().with_step(0);
        // SAFETY: a template's words were checked against the layout of this region.
        let word = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        let (mut want, mut last) = (0, user_data);
        for (member, wide) in template.members.iter().zip(&template.wide) {
            let (mut address, mut off) = (0, 0);
            let flags_len = if let Short::Outbox(outbox) = wide.short {
                // SAFETY: as in `message`; the outbox was checked with the template.
                let (bytes, len) = unsafe { &*record.outbox(outbox) }.in_a_row()?;
                address = bytes;
                member.flags_len | len as u64
            } else {
                let (start, added) = (word(wide.start), word(member.length));
                let flags_len = member.flags_len.wrapping_add(added);
                let end = start.checked_add(flags_len & 0xffff_ffff)?;
                if added > member.room || end > u64::from(wide.room) || flags_len as u32 == 0 {
                    return None;
                }
                match wide.short {
                    Short::Pooled(number) => {
                        let (base, filled) = self.pooled.held(index, number);
                        if member.offset + end > u64::from(filled) {
                            return None;
                        }
                        address = base.as_ptr() as u64 + member.offset + start;
                    }
                    Short::Select(_) => {}
                    Short::At(position) => {
                        address = buffer + member.offset + start;
                        off = word(position).min(u64::MAX - 1);
                    }
                    _ => address = buffer + member.offset + start,
                }
                flags_len
            };
            let head = member.head | word(member.descriptor);
            // SAFETY: the place is one of the caller's, and an entry is eight words. The span lies inside the frame's bytes, or
            // what it has put into the pooled buffer that it holds, as was just compared; or the kernel finds one; or it is
            // what the outbox holds. Nobody changes or gives these back while something is in flight.
            unsafe {
                place.cast::<[u64; 8]>().write([head, off, address, flags_len, user_data, wide.index, 0, 0])
            };
            (want, last, user_data) = (flags_len as u32, user_data, Key::next_step(user_data));
            // SAFETY: one past the last place at the most.
            place = unsafe { place.add(1) };
        }
        Some(Written { want, last })
    }

    /// Writes the entries of a part to the places from `place` on. `None` if a span does not fit ([`too_long`](Region::too_long) says which).
    ///
    /// # Safety
    /// As many places as there are members must be valid for writes.
    #[inline(never)]
    pub(super) unsafe fn write_part(
        &self,
        record: Record,
        index: usize,
        part: &Part<'_>,
        place: NonNull<Sqe>,
    ) -> Option<Written> {
        // SAFETY: the caller's promise.
        unsafe { self.write_part_for(record.header().key.get(), record, index, part, place) }
    }

    /// The same, with entries whose completions go to `key`: the frame's, or that of a strand of it.
    ///
    /// # Safety
    /// As many places as there are members must be valid for writes.
    #[inline(always)]
    pub(super) unsafe fn write_part_for(
        &self,
        key: Key,
        record: Record,
        index: usize,
        part: &Part<'_>,
        mut place: NonNull<Sqe>,
    ) -> Option<Written> {
        let (mut want, mut done) = (0, part.done);
        let mut user_data = key.with_step(part.members.start.into());
        let mut last = user_data;
        for (member, wide) in part.members() {
            let (mut words, len) = match wide.address {
                Address::Outbox(outbox) => self.message(record, member, outbox, done)?,
                _ => self.words(record, index, member, wide, done)?,
            };
            (want, done) = (len, 0);
            words[4] = user_data;
            (last, user_data) = (user_data, Key::next_step(user_data));
            // SAFETY: the place is one of the caller's, and an entry is eight words. What they name is the kernel's until
            // the completions have come that the caller awaits: see `words` and `message`.
            unsafe { place.cast::<[u64; 8]>().write(words) };
            if want == 0 && !matches!(wide.address, Address::Register(_)) {
                // SAFETY: the entry was just written.
                unsafe { nothing(place.as_ptr(), member) };
            }
            // SAFETY: one past the last place at the most.
            place = unsafe { place.add(1) };
        }
        // SAFETY: the place that was written last. The last entry of a list must not link to what comes next.
        unsafe { (*place.as_ptr().sub(1)).flags &= !(IO_LINK | IO_HARDLINK | CQE_SKIP_SUCCESS) };
        Some(Written { want, last })
    }

    /// The entry of a member, and the length it is to transfer. Every address in it is that of a checked span of the
    /// frame's bytes or of the constants, or a static one; `Address::Register` is a number.
    fn words(
        &self,
        record: Record,
        index: usize,
        member: &Member,
        wide: &Wide,
        done: u32,
    ) -> Option<([u64; 8], u32)> {
        // SAFETY: a template's words were checked against the layout of this region.
        let word = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        let (added, start) = (word(member.length), word(wide.start));
        let end = start.saturating_add(added).saturating_add(member.plus().into());
        // What is received behind what is there already: most of what is wide.
        if wide.only_starts && done == 0 {
            if added > member.room || end > u64::from(wide.room) {
                return None;
            }
            let address = self.memory.buffer(index).as_ptr() as u64 + member.offset + start;
            let (head, flags_len) = (member.head | word(member.descriptor), member.flags_len + added);
            return Some(([head, 0, address, flags_len, 0, 0, 0, 0], flags_len as u32));
        }
        if added > member.room || (member.verb.transfers() && end > u64::from(wide.room)) {
            return None;
        }
        let (mut flags_len, mut before) = (member.flags_len + added, 0);
        if member.verb.transfers() {
            before = u64::from(done).min(flags_len & 0xffff_ffff);
            flags_len -= before;
        }
        let buffer = self.memory.buffer(index).as_ptr() as u64;
        let (span, constants) = (member.offset + start + before, self.constants.as_ptr() as u64);
        let (mut head, mut group) = (member.head, wide.index);
        let address = match wide.address {
            Address::Constants => constants + span,
            Address::Register(register) => word(register),
            Address::Itself => c"".as_ptr() as u64,
            Address::Second(second) => {
                group |= word(second);
                u64::MAX
            }
            Address::Frame | Address::Outbox(_) => buffer + span,
            Address::Select(_) if before == 0 => 0,
            Address::Make(number) if before == 0 => self.pooled.make(index, number, flags_len as u32),
            Address::Select(_) | Address::Pooled(_) | Address::Make(_) => {
                (head, group) = Region::unselected(member, wide);
                self.pooled_address(index, wide, member, span, flags_len & 0xffff_ffff)?
            }
        };
        let off = match wide.off {
            Off::Fixed(off) => off,
            // The kernel takes -1 for the position that the file has; the neighbour is as negative, and fails.
            Off::Register(register) => word(register).wrapping_add(before).min(u64::MAX - 1),
            Off::Span => buffer + span,
            Off::Constants(at) => constants + u64::from(at),
            Off::Path { at, len, constant, directory } => {
                let last = at + len - 1;
                if !self.ends_path(index, last as usize, constant) {
                    return None;
                }
                let number =
                    directory.map_or(libc::AT_FDCWD as u32, |directory| (word(directory) >> 32) as u32);
                flags_len = flags_len & !0xffff_ffff | u64::from(number);
                let base = if constant { constants } else { buffer };
                base + u64::from(at)
            }
        };
        if member.verb.takes_path() && !self.is_path(wide, index, member) {
            return None;
        }
        let head = head | word(member.descriptor);
        Some(([head, off, address, flags_len, 0, group, 0, 0], flags_len as u32))
    }

    /// The same, for what is in an outbox: it keeps what the entry names until it is changed, which it is not while
    /// something of its frame is in flight.
    fn message(&self, record: Record, member: &Member, outbox: u16, done: u32) -> Option<([u64; 8], u32)> {
        // SAFETY: a template's words were checked against the layout of this region.
        let fd = unsafe { record.word(usize::from(member.descriptor)) }.get();
        // SAFETY: whoever submits holds the frame's token, and has lent no view of it; or that of the strand whose outbox
        // it alone is.
        let outbox = unsafe { &mut *record.outbox(outbox) };
        if outbox.len() > Outbox::MOST {
            return None;
        }
        let send_msg = u64::from(sendmsg::FACTS.opcode);
        let (head, address, len, all) = match outbox.message(done as usize) {
            Message::Nothing => (member.head, 0, 0, 0),
            Message::Bytes { address, len } => (member.head, address, len as u64, len),
            // One header, whatever it holds.
            Message::Header { address, len } => (member.head & !0xff | send_msg, address, 1, len),
        };
        let flags_len = member.flags_len & !0xffff_ffff | len;
        Some(([head | fd, 0, address, flags_len, 0, 0, 0, 0], all as u32))
    }

    /// Why a part could not be written.
    #[cold]
    pub(super) fn too_long(&self, record: Record, index: usize, part: &Part<'_>) -> NotSubmitted {
        // SAFETY: a template's words were checked against the layout of this region.
        let word = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        // If nothing else is wrong, what is to go on in a pooled buffer would leave a gap.
        let mut missing = NotSubmitted::Busy;
        for (number, (member, wide)) in part.members.clone().zip(part.members()) {
            if let Address::Outbox(outbox) = wide.address {
                // SAFETY: as in `message`.
                let len = unsafe { &*record.outbox(outbox) }.len();
                if len > Outbox::MOST {
                    return NotSubmitted::TooLong {
                        member: number,
                        len: len as u64,
                        max: Outbox::MOST as u32,
                    };
                }
            }
            let len = word(member.length).saturating_add(member.plus().into());
            let end = word(wide.start).saturating_add(len);
            if word(member.length) > member.room || (member.verb.transfers() && end > wide.room.into()) {
                return NotSubmitted::TooLong { member: number, len: end, max: wide.room };
            }
            let second = match wide.off {
                Off::Path { at, len, constant, .. } => {
                    self.ends_path(index, (at + len - 1) as usize, constant)
                }
                _ => true,
            };
            if member.verb.takes_path() && !(second && self.is_path(wide, index, member)) {
                return NotSubmitted::TooLong { member: number, len: 0, max: 0 };
            }
            if let Address::Pooled(pooled) | Address::Select(pooled) | Address::Make(pooled) = wide.address {
                // What was done before is there, so only what is left can be missing.
                let (_, filled) = self.pooled.held(index, pooled);
                let end = member.offset.saturating_add(end);
                if end > filled.into() && member.verb.moves() == Moves::Out {
                    return NotSubmitted::TooLong { member: number, len: end, max: filled };
                }
                missing = NotSubmitted::TooLong { member: number, len: end, max: filled };
            }
        }
        missing
    }

    /// Whether the kernel finds the end of a path inside of its span: the last byte is a NUL.
    fn is_path(&self, wide: &Wide, index: usize, member: &Member) -> bool {
        let last = (member.offset + u64::from(wide.room) - 1) as usize;
        self.ends_path(index, last, wide.address == Address::Constants)
    }

    /// Whether there is a NUL at `last`, which must be a place among the constants or the frame's bytes.
    fn ends_path(&self, index: usize, last: usize, constant: bool) -> bool {
        if constant {
            return self.constants[last] == 0;
        }
        assert!(last < self.layout.bytes as usize);
        // SAFETY: just checked to lie inside the frame's bytes, and nothing is in flight that changes it: of the frame, or
        // of the strands beside the one that reads it.
        unsafe { self.memory.buffer(index).add(last).read() == 0 }
    }
}
