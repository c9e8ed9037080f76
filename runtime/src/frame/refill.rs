//! Segments that pooled buffers come or go with, met where their completions are.
//!
//! Such a segment reports more than its end: who gives a buffer back says when that is, and who fills one says which it is. So its
//! completions are counted, and each is looked at by itself. What is not plainly the success of a member is left to
//! `settle.rs`, and nothing has been done about it then.

use super::code::{Op, Outcome};
use super::emit::Written;
use super::memory::Record;
use super::region::Region;
use super::row::Places;
use super::template::{Member, NO_OUTBOX, NONE, Short, Template, Wide};
use crate::driver::Key;
use crate::op::Completion;
use crate::ring::{Cqe, Queues, Ring};

impl Region {
    /// Handles completions before `until` for as long as each is the success of a member of such a segment, by giving back
    /// what that was done with, and submitting what follows the last of them. True says that a frame is left in `handover`
    /// for the owner.
    #[inline(never)]
    pub(super) fn advance_pooled(&self, queues: &Queues, until: u32) -> bool {
        while let Some(cqe) = queues.peek(until) {
            let Some((record, ended)) = self.meet_pooled(cqe) else { return false };
            queues.consume();
            let Some(template) = ended else { continue };
            self.advanced.add(1);
            let outcome = self.behind(record, template);
            let submitted = match outcome {
                Outcome::Submit(next) => self.submit_met(&self.core.driver().ring, record, next),
                _ => false,
            };
            if !submitted {
                self.hand_over(record, outcome);
                return true;
            }
        }
        false
    }

    /// Does what the success of a member means for the pooled buffers, if that is what the completion is. Gives the frame's
    /// record, and its segment's template if this was the last of it.
    #[inline(always)]
    fn meet_pooled(&self, cqe: &Cqe) -> Option<(Record, Option<&Template>)> {
        let (key, step) = Key::split(cqe.user_data);
        let index = key.index() as usize;
        if index >= self.memory.accessible() {
            return None;
        }
        let record = self.memory.record(index);
        let header = record.header();
        let counted = header.counted.get();
        if header.key.get() != key || header.flags.get() != 0 || counted == 0 {
            return None;
        }
        // SAFETY: the segment was submitted, so it is one of the templates.
        let template = unsafe { self.templates.get_unchecked(usize::from(header.segment.get())) };
        let is_last = step == u32::from(template.last);
        // They come in order; should they not, the last one has to wait.
        if !template.pools() || step < u32::from(template.reports) || is_last != (counted == 1) {
            return None;
        }
        let member = template.members.get(step as usize)?;
        let wide = template.wide.get(step as usize)?;
        let count = u32::try_from(cqe.res).ok().filter(|count| *count > 0)?;
        if self.wanted_short(record, member, wide).wrapping_sub(count) > wide.slack {
            return None;
        }
        if let Short::Select(number) = wide.short {
            let id = Completion::new(cqe.res, cqe.flags).buffer()?;
            if !self.pooled.fill_some(index, number, id, count) {
                return None;
            }
            self.tell_next(number);
        }
        header.counted.set(counted - 1);
        if wide.gives_back != 0 {
            self.give_back(index, wide.gives_back);
        }
        if !is_last {
            return Some((record, None));
        }
        // SAFETY: a template's words were checked against the layout of this region.
        unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
        Some((record, Some(template)))
    }

    /// The bytes that a member with a short way was to transfer. Nothing has changed its register since.
    #[inline(always)]
    fn wanted_short(&self, record: Record, member: &Member, wide: &Wide) -> u32 {
        if let Short::Outbox(outbox) = wide.short {
            // SAFETY: checked with the template. The kernel may read what the outbox names; its length is nobody's but ours.
            return unsafe { &*record.outbox(outbox) }.len() as u32;
        }
        // SAFETY: a template's words were checked against the layout of this region.
        let added = unsafe { record.word(usize::from(member.length)) }.get();
        member.plus() + added.min(member.room) as u32
    }

    /// What comes behind a segment that has succeeded and does not resume its frame, all of whose completions have come.
    #[inline(always)]
    pub(super) fn behind(&self, record: Record, template: &Template) -> Outcome {
        let index = record.header().key.get().index() as usize;
        if template.outbox != NO_OUTBOX {
            self.empty(index, template.outbox);
        }
        if template.successor != NONE {
            return Outcome::Submit(template.successor);
        }
        // What comes behind many is a call, and nothing else.
        if let Some(Op::Leave(number)) = self.code.ops.get(template.code as usize) {
            return Outcome::Left(*number);
        }
        // SAFETY: what does not resume its frame and has no successor has code, which was checked to be an op; the last
        // completion of the frame has come, and no token of it is out.
        unsafe { self.execute_apart(record, index, template.code) }
    }

    /// [`execute`](Region::execute), as a function of its own.
    ///
    /// # Safety
    /// As there.
    #[inline(never)]
    unsafe fn execute_apart(&self, record: Record, index: usize, pc: u32) -> Outcome {
        // SAFETY: the caller's promise.
        unsafe { self.execute(record, self.memory.buffer(index), pc) }
    }

    /// Submits a segment of a frame of which nothing is in flight and no flag is raised. False if that needs more than a
    /// short way.
    #[inline(always)]
    pub(super) fn submit_met(&self, ring: &Ring, record: Record, segment: u16) -> bool {
        #[cfg(feature = "injector")]
        if !ring.injector.is_idle() {
            return false;
        }
        let queues = ring.queues();
        let header = record.header();
        let index = header.key.get().index() as usize;
        let next = &self.templates[usize::from(segment)];
        let count = next.members.len();
        let Some(place) = queues.vacant(count as u32) else { return false };
        let written = if next.is_hot() {
            let places = Places::from(place, count);
            // SAFETY: there are as many vacant places as members, ours until they are published: nothing here runs foreign
            // code.
            unsafe { self.write(record, self.memory.buffer(index), &next.members, places) }
        } else if next.is_mild() || next.pools() {
            // SAFETY: the same.
            unsafe { self.write_mild(record, index, next, place) }
        } else {
            None
        };
        let Some(Written { want, last }) = written else { return false };
        // SAFETY: the entries were written in full. What they name is the frame's bytes, its outbox, or the pooled buffer that
        // it holds, which are not reused, unmapped, lent or given back before the completions have come that are awaited
        // from here on.
        unsafe { queues.publish(count as u32) };
        header.segment.set(segment);
        if next.pools() {
            header.counted.set(next.completions);
        } else {
            header.expect.set(last);
            header.want.set(want);
        }
        true
    }
}
