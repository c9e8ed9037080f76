//! From a completion that is not plainly the success of a whole segment to what its frame does next.

use std::ops::Range;
use std::os::fd::{FromRawFd, OwnedFd};

use super::code::Outcome;
use super::emit::Interrupt;
use super::frames::{Frames, Resume};
use super::memory::{BAD, CANCELLING, Header, INTERRUPTED, PARTIAL, Record, VACANT};
use super::region::Region;
use super::template::{Address, NO_CODE, NONE, Template};
use super::token::{Frame, Stop};
use super::verb::Success;
use crate::op::Completion;

/// What has become of a submission, all of whose completions have come.
pub(super) struct Account {
    pub(super) segment: u16,
    /// The whole segment has succeeded, and what its last member has brought is counted.
    pub(super) whole: bool,
    /// As in [`Stop`].
    member: u8,
    result: i32,
    done: u32,
    succeeded: bool,
    alone: bool,
    cleaned_up: bool,
    cancelling: bool,
    interrupted: bool,
}

impl<R: Resume> Frames<R> {
    /// Everything that [`Region::advance`] leaves: a success that a computation follows, a failure, a short
    /// transfer, a cancellation, a submission that was not the whole segment, and rings on which every member posts
    /// a completion.
    pub(super) fn settle(&self, record: Record, step: u32, completion: &Completion) {
        let header = record.header();
        let Some(account) = self.region.account(record, header, step, completion) else { return };
        let frame = Frame::new(&self.region, record, header.key.get().index() as usize);
        if account.whole && !account.interrupted {
            return self.follow(frame, account.segment);
        }
        self.runner.stopped(frame, self.region.stop(record, &account));
    }

    /// The segment has succeeded: on to what follows it.
    fn follow(&self, frame: Frame<'_>, segment: u16) {
        let template = &self.region.templates[usize::from(segment)];
        match (template.successor, template.code) {
            (NONE, NO_CODE) => self.runner.advanced(frame, segment),
            (NONE, code) => self.go_on(frame.run(code)),
            (then, _) => self.go_on(frame.conclude(Outcome::Submit(then))),
        }
    }

    pub(super) fn go_on(&self, went: Result<(), (Frame<'_>, Interrupt)>) {
        if let Err((frame, interrupt)) = went {
            self.runner.interrupted(frame, interrupt);
        }
    }
}

impl Region {
    /// Takes the result of a member of what the frame, or a strand of it, with this header has submitted. `None` as
    /// long as others are to come.
    pub(super) fn account(
        &self,
        record: Record,
        header: &Header,
        step: u32,
        completion: &Completion,
    ) -> Option<Account> {
        let segment = header.segment.get();
        let template = &self.templates[usize::from(segment)];
        let partial = header.has(PARTIAL);
        let first = if partial { header.from.get() } else { 0 };
        let last = if partial { header.to.get() - 1 } else { template.last };
        if step < u32::from(first) || step > u32::from(last) {
            self.core.driver().ring.counters.strays.add(1);
            return None;
        }
        let step = step as u8;
        let member = &template.members[usize::from(step)];
        let before = |member: u8| if member == first { header.done.get() } else { 0 };
        let index = record.header().key.get().index() as usize;
        let result = self.arrived(record, index, template, step, before(step), completion);
        if step == last {
            header.last_result.set(result);
        }
        // What was submitted as one is compared with what it was submitted with: the register may say something else.
        let want = match header.expect.get() {
            0 => self.wanted(record, segment, step).saturating_sub(before(step)),
            _ if step < last => self.wanted(record, segment, step),
            _ => header.want.get(),
        };
        let success = match member.verb.success() {
            Success::Whole => result >= 0 && result as u32 == want,
            Success::Some => result > 0 || (result == 0 && want == 0 && member.verb.transfers()),
            Success::Any | Success::Unit | Success::Descriptor => result >= 0,
        };
        self.pass(record, header, template, first, step, result);
        if success {
            self.give_back(index, template.wide[usize::from(step)].gives_back);
            if let Some((early, into)) = template.early
                && early == step
            {
                // SAFETY: a template's words were checked against the layout of this region.
                unsafe { record.word(usize::from(into)) }.set(u64::from(before(step)) + result as u64);
            }
        }
        // Members complete in any order; what severed the link is the first of them that failed.
        if !success && (!header.has(BAD) || step < header.bad_member.get()) {
            header.raise(BAD);
            header.bad_member.set(step);
            header.bad_result.set(result);
        }
        // Of a silent member it is heard only if it has severed the segment, and then of nobody else.
        if step < template.reports.clamp(first, last) {
            header.counted.set(header.counted.get().min(1));
        }
        if header.expect.replace(0) == 0 {
            header.counted.set(header.counted.get() - 1);
            if header.counted.get() > 0 {
                return None;
            }
        }

        let succeeded = !header.has(BAD);
        let ended = if succeeded { last + 1 } else { header.bad_member.get() };
        self.passed(record, template, first..ended);
        let cancelling = header.has(CANCELLING);
        let (member, result) = if succeeded {
            (last, header.last_result.get())
        } else {
            (header.bad_member.get(), header.bad_result.get())
        };
        let done = before(member) + result.max(0) as u32;
        header.done.set(0);
        header.flags.set(header.flags.get() & (CANCELLING | INTERRUPTED));
        let interrupted = header.has(INTERRUPTED);
        let whole = succeeded && last == template.last && !cancelling;
        if whole {
            self.take_in(record, template, done);
        }
        let alone = first == last;
        // What was submitted without its cleanup has a result of another submission there.
        let cleaned_up = !alone
            && template.early.is_some_and(|(early, _)| early == member && early < last)
            && was_made(header.last_result.get());
        Some(Account {
            segment,
            whole,
            member,
            result,
            done,
            succeeded,
            alone,
            cleaned_up,
            cancelling,
            interrupted,
        })
    }

    /// The same, as the runner is told of it.
    pub(super) fn stop(&self, record: Record, account: &Account) -> Stop {
        let Account { segment, member, result, done, succeeded, alone, cleaned_up, .. } = *account;
        let Account { cancelling, interrupted, .. } = *account;
        let want = self.wanted(record, segment, member);
        Stop { segment, member, result, done, want, succeeded, alone, cleaned_up, cancelling, interrupted }
    }

    /// A whole segment has succeeded: what its last member has brought is counted.
    fn take_in(&self, record: Record, template: &Template, count: u32) {
        self.advanced.add(1);
        // SAFETY: a template's words were checked against the layout of this region.
        unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
    }

    /// The result of a member may be a descriptor, which is the frame's from here on, or the end of one.
    fn pass(&self, record: Record, header: &Header, template: &Template, first: u8, step: u8, result: i32) {
        let member = &template.members[usize::from(step)];
        if result >= 0 && member.verb.opens() {
            let before = &template.members[usize::from(first)..usize::from(step)];
            // What a member before it has closed is nobody's any more: its number may be the one that has just come.
            if !before.iter().any(|before| before.verb.closes() && before.place == member.place) {
                self.close(record, member.place);
            }
            // SAFETY: a template's words were checked against the layout of this region.
            unsafe { record.word(usize::from(member.place)) }.set((result as u64) << 32);
        }
        // A close that fails has closed all the same (close(2)), unless it was not made. A cleanup has closed although the
        // member before it has failed.
        let is_cleanup = template.early.is_some_and(|(early, _)| early + 1 == step);
        // Nobody has asked, and somebody before it was cancelled: it was refused as a whole, and nothing of it has run.
        let asked = header.has(CANCELLING) || header.has(INTERRUPTED);
        let refused = !asked && header.has(BAD) && header.bad_result.get() == -libc::ECANCELED;
        let made =
            if refused { result >= 0 || is_cleanup && was_made(result) } else { result != -libc::ECANCELED };
        let closed = made && (result < 0 || is_cleanup);
        if member.verb.closes() && closed && step >= first {
            self.passed(record, template, step..step + 1);
        }
    }

    /// The members of this range have succeeded: what they were to close is closed, what they were to send is sent.
    fn passed(&self, record: Record, template: &Template, members: Range<u8>) {
        if template.is_hot() {
            return;
        }
        let range = usize::from(members.start)..usize::from(members.end);
        let opened_behind = |i: usize, place: u16| {
            let behind = &template.members[range.start + i + 1..range.end];
            behind.iter().any(|member| member.verb.opens() && member.place == place)
        };
        let (members, wide) = (&template.members[range.clone()], &template.wide[range.clone()]);
        for (i, (member, wide)) in members.iter().zip(wide).enumerate() {
            if member.verb.closes() && !opened_behind(i, member.place) {
                // SAFETY: a template's words were checked against the layout of this region.
                unsafe { record.word(usize::from(member.place)) }.set(VACANT);
            }
            if let Address::Outbox(outbox) = wide.address {
                self.empty(record.header().key.get().index() as usize, outbox);
            }
        }
    }

    /// Empties an outbox of a frame of which nothing is in flight.
    pub(super) fn empty(&self, index: usize, outbox: u16) {
        // SAFETY: nothing of the frame is in flight, or nothing of the strand whose outbox it alone is, and no token of the
        // frame is out that could have lent it. What is dropped runs no foreign code.
        unsafe { &mut *self.outboxes.get(index, outbox) }.clear();
    }

    /// Empties all outboxes of a frame that ends.
    pub(super) fn empty_all(&self, index: usize) {
        (0..self.outboxes.each() as u16).for_each(|outbox| self.empty(index, outbox));
    }

    /// Closes what is in the place of a descriptor, if anything is.
    fn close(&self, record: Record, place: u16) {
        // SAFETY: a template's words were checked against the layout of this region.
        let word = unsafe { record.word(usize::from(place)) }.replace(VACANT);
        if word != VACANT {
            // SAFETY: the frame owned it until a moment ago.
            self.core.driver().close(unsafe { OwnedFd::from_raw_fd((word >> 32) as i32) });
        }
    }
}

/// Whether a close with this result was made, though the member before it was cancelled: one that fails has closed all the
/// same, but these are what an entry gets that is refused, by itself or with its list.
fn was_made(result: i32) -> bool {
    !matches!(-result, libc::ECANCELED | libc::EBADF | libc::EINVAL)
}
