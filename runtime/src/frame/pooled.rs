//! Pooled buffers: memory that a frame has only while it uses it.
//!
//! Who owns what: the region owns the pools ([`PoolShared`]), one for each size of buffer, and the frames share them. A
//! member that fills a pooled buffer from its front is submitted without memory; when bytes have come the kernel takes
//! one of those that the pool keeps ready, and the completion says which. From then on the frame owns it (a [`PoolBuf`] in
//! the side table here), until a member or an op gives it back, another one takes its place, or the frame ends.
//!
//! ```text
//!                completion of a fill                    the last reader has succeeded
//! (no memory) ------------------------> held by a frame -----------------------------> (no memory)
//!      |  ^
//!      |  | another frame has given one back
//!      v  |
//!    waiting: bytes have come, and the pool has reached its limit
//! ```
//!
//! A receive polls first, so that the kernel looks for a buffer only when there are bytes: who waits for a buffer would use
//! it at once. So a buffer that is given back lets one frame go on, the one that has waited longest. Should that frame
//! end instead, or find the buffer gone, the next one is told.
//!
//! An *owned* buffer comes from no pool: it is made for what is about to come when that is asked for, and freed when it is
//! given back. It can be taken out of the frame, as it is.
//!
//! Of a held buffer a frame sees only what it has put in itself. The rest is another connection's business.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use super::memory::{PARKED, Record};
use super::plan::PooledPlan;
use super::region::Region;
use super::template::{Address, Member, Template, Wide};
use super::token::Frame;
use super::verb::Moves;
use crate::buf::{PoolBuf, PoolOptions, PoolShared};
use crate::op::Completion;
use crate::ring::sqe::BUFFER_SELECT;

/// A bit for each of a frame's pooled buffers.
pub(super) const MOST: usize = 64;
/// Places of the side table that are allocated together.
const CHUNK: usize = 64;
/// The sizes of pools are multiples of this.
const GRAIN: u32 = 64;
/// `IORING_RECVSEND_POLL_FIRST`: do not try before there is something to receive. In `ioprio`.
pub(super) const POLL_FIRST: u16 = 1 << 0;
/// What select adds to word 0 of an entry.
const SELECTS: u64 = (BUFFER_SELECT as u64) << 8 | (POLL_FIRST as u64) << 16;

/// A frame that does not wait.
const NOT: u64 = 0;
/// A frame that waited, and was told to go on.
const TOLD: u64 = u64::MAX;

/// The pooled buffers of all frames of a region.
pub(super) struct Pooled {
    /// The size of each of a frame's buffers, and the pool that it comes from, if it does.
    kinds: Box<[(u32, Option<usize>)]>,
    pools: Box<[Pool]>,
    /// What the frames hold: as many places a frame as there are kinds.
    places: RefCell<Vec<Box<[Place]>>>,
}

struct Pool {
    shared: Rc<PoolShared>,
    waiting: RefCell<VecDeque<Waiting>>,
    tickets: Cell<u64>,
}

/// A frame that waits for a buffer, as long as its place has this ticket.
struct Waiting {
    frame: usize,
    number: u16,
    ticket: u64,
}

#[derive(Default)]
struct Place {
    held: RefCell<Option<Held>>,
    ticket: Cell<u64>,
}

/// What a frame holds, and how many of its bytes have come.
enum Held {
    Lent(PoolBuf),
    Made { bytes: Vec<u8>, filled: u32 },
}

impl Held {
    /// Where it starts, and how much has come.
    fn filled(&mut self) -> (NonNull<u8>, u32) {
        match self {
            Held::Lent(buffer) => (buffer.start(), buffer.len() as u32),
            // Not through a reference to the bytes, which are about to be written by others.
            Held::Made { bytes, filled } => (start(bytes), *filled),
        }
    }
}

impl Pooled {
    pub(super) fn new(plan: &PooledPlan) -> io::Result<Pooled> {
        let is_owned = |number: usize| plan.owned & 1 << number != 0;
        let numbered = || plan.sizes.iter().enumerate();
        let mut sizes: Vec<u32> =
            numbered().filter(|(number, _)| !is_owned(*number)).map(|(_, size)| pool_size(*size)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let pool = |size: &u32| {
            let options = PoolOptions::new().buffer_size(*size);
            let options = if plan.limit > 0 { options.limit(plan.limit) } else { options };
            let shared = PoolShared::new(options)?;
            Ok(Pool { shared, waiting: RefCell::default(), tickets: Cell::new(NOT) })
        };
        let pools = sizes.iter().map(pool).collect::<io::Result<_>>()?;
        let kind = |(number, size): (usize, &u32)| {
            let pool = sizes.binary_search(&pool_size(*size)).ok();
            (*size, pool.filter(|_| !is_owned(number)))
        };
        let kinds = numbered().map(kind).collect();
        Ok(Pooled { kinds, pools, places: RefCell::default() })
    }

    /// How many each frame has.
    pub(super) fn each(&self) -> usize {
        self.kinds.len()
    }

    /// The size of one, if there is one of that number.
    pub(super) fn size(&self, number: u16) -> Option<u32> {
        self.kinds.get(usize::from(number)).map(|(size, _)| *size)
    }

    /// What the kernel calls the pool of one.
    pub(super) fn group(&self, number: u16) -> u16 {
        self.pool(number).expect("an owned buffer is not selected").shared.group()
    }

    /// Whether one comes from no pool.
    pub(super) fn is_owned(&self, number: u16) -> bool {
        self.kinds.get(usize::from(number)).is_some_and(|(_, pool)| pool.is_none())
    }

    fn pool(&self, number: u16) -> Option<&Pool> {
        Some(&self.pools[self.kinds[usize::from(number)].1?])
    }

    /// Makes sure that the frames below `frames` have their places.
    pub(super) fn grow(&self, frames: usize) {
        let mut places = self.places.borrow_mut();
        while places.len() * CHUNK < frames * self.each() {
            places.push((0..CHUNK).map(|_| Place::default()).collect());
        }
    }

    fn at<T>(&self, frame: usize, number: u16, look: impl FnOnce(&Place) -> T) -> T {
        let place = frame * self.each() + usize::from(number);
        look(&self.places.borrow()[place / CHUNK][place % CHUNK])
    }

    /// Where the buffer that a frame holds starts, and how many bytes it has put in: none if it holds none. They stay the
    /// frame's until it gives the buffer back or another takes its place.
    pub(super) fn held(&self, frame: usize, number: u16) -> (NonNull<u8>, u32) {
        self.at(frame, number, |place| match &mut *place.held.borrow_mut() {
            Some(held) => held.filled(),
            None => (NonNull::dangling(), 0),
        })
    }

    /// Makes an owned buffer for `len` bytes that are about to come into its front, in place of what was held; gives its
    /// address. Memory that was never touched costs nothing yet.
    pub(super) fn make(&self, frame: usize, number: u16, len: u32) -> u64 {
        self.at(frame, number, |place| {
            let mut held = place.held.borrow_mut();
            let mut bytes = match held.take() {
                Some(Held::Made { bytes, .. }) if bytes.len() == len as usize => bytes,
                before => {
                    drop(before);
                    vec![0; len as usize]
                }
            };
            let address = start(&mut bytes).as_ptr() as u64;
            *held = Some(Held::Made { bytes, filled: 0 });
            address
        })
    }

    /// Makes sure that more can come into an owned buffer, up to `end`.
    fn reserve(&self, frame: usize, number: u16, end: u64) {
        self.at(frame, number, |place| {
            if let Some(Held::Made { bytes, .. }) = &mut *place.held.borrow_mut()
                && bytes.len() < end as usize
            {
                bytes.resize(end as usize, 0);
            }
        });
    }

    /// Takes what has come into an owned buffer out of the frame.
    pub(super) fn take(&self, frame: usize, number: u16) -> Vec<u8> {
        match self.at(frame, number, |place| place.held.take()) {
            Some(Held::Made { mut bytes, filled }) => {
                bytes.truncate(filled as usize);
                bytes
            }
            _ => Vec::new(),
        }
    }

    /// A fill from the front has ended: the frame holds what it brought, and lets go of what it held. False if that cannot
    /// be, whatever the kernel says.
    fn fill(&self, frame: usize, number: u16, id: Option<u16>, count: u32) -> bool {
        let Some(Pool { shared: pool, .. }) = self.pool(number) else { return false };
        let taken = id.map(|id| pool.take(id, count, false));
        let (fits, buffer) = match taken {
            Some(Ok(buffer)) => (true, Some(buffer).filter(|_| count > 0)),
            Some(Err(_)) => (false, None),
            None => (count == 0, None),
        };
        let before = match buffer {
            None if count == 0 => None,
            buffer => self.at(frame, number, |place| place.held.replace(buffer.map(Held::Lent))),
        };
        drop(before);
        fits
    }

    /// More has come into the buffer that the frame holds, up to `end`. False if it does not reach that far.
    fn extend(&self, frame: usize, number: u16, end: u64) -> bool {
        self.at(frame, number, |place| match &mut *place.held.borrow_mut() {
            Some(Held::Lent(buffer)) if end <= buffer.capacity() as u64 => {
                buffer.set_len(buffer.len().max(end as usize));
                true
            }
            Some(Held::Made { bytes, filled }) if end <= bytes.len() as u64 => {
                *filled = (*filled).max(end as u32);
                true
            }
            _ => false,
        })
    }

    /// Never frees the pools: the kernel may still write.
    pub(super) fn leak(&self) {
        self.pools.iter().for_each(|pool| std::mem::forget(pool.shared.clone()));
        std::mem::forget(self.places.take());
    }
}

/// Where the bytes of a vector start. It stays so while that is moved, as long as it does not grow.
fn start(bytes: &mut Vec<u8>) -> NonNull<u8> {
    NonNull::new(bytes.as_mut_ptr()).expect("a vector's pointer is not null")
}

/// The size of the pool that a buffer is taken from.
fn pool_size(size: u32) -> u32 {
    size.max(1).checked_next_multiple_of(GRAIN).unwrap_or(u32::MAX)
}

impl Region {
    /// Word 0 and word 5 of the entry of a member that fills a pooled buffer from its front and has brought nothing yet,
    /// are its template's. Those of one that is taken up again go on in the buffer that the frame holds.
    pub(super) fn unselected(member: &Member, wide: &Wide) -> (u64, u64) {
        (member.head & !SELECTS, wide.index & !0xffff)
    }

    /// The address of `span` of a pooled buffer, of which `len` bytes are to be transferred. `None` if the frame does not
    /// hold as much.
    pub(super) fn pooled_address(
        &self,
        index: usize,
        wide: &Wide,
        member: &Member,
        span: u64,
        len: u64,
    ) -> Option<u64> {
        let (Address::Pooled(number) | Address::Select(number) | Address::Make(number)) = wide.address else {
            return None;
        };
        if member.verb.moves() == Moves::In && self.pooled.is_owned(number) {
            self.pooled.reserve(index, number, span + len);
        }
        let (start, filled) = self.pooled.held(index, number);
        // What comes in may go beyond what is there, without a gap; that it fits was compared with the room.
        let end = if member.verb.moves() == Moves::In { span } else { span + len };
        (end <= u64::from(filled)).then(|| start.as_ptr() as u64 + span)
    }

    /// What a completion means for the pooled buffer that its member fills, if it fills one: the frame has it from here
    /// on. Gives the result, which is an error if the kernel's word about the buffer cannot be true.
    pub(super) fn arrived(
        &self,
        record: Record,
        index: usize,
        template: &Template,
        step: u8,
        before: u32,
        completion: &Completion,
    ) -> i32 {
        let result = completion.result();
        let (member, wide) = (&template.members[usize::from(step)], &template.wide[usize::from(step)]);
        let count = result.max(0) as u32;
        let fits = match wide.address {
            Address::Select(number) if before == 0 => {
                let fits = self.pooled.fill(index, number, completion.buffer(), count);
                self.tell_next(number);
                fits
            }
            Address::Select(number) | Address::Pooled(number) | Address::Make(number)
                if member.verb.moves() == Moves::In && count > 0 =>
            {
                // SAFETY: a template's words were checked against the layout of this region.
                let start = unsafe { record.word(usize::from(wide.start)) }.get();
                let end = member.offset.saturating_add(start) + u64::from(before) + u64::from(count);
                self.pooled.extend(index, number, end)
            }
            _ => true,
        };
        if fits { result } else { -libc::EIO }
    }

    /// A frame gives back those of its pooled buffers that have a bit in `which`. No part of them is lent, and nothing of
    /// the frame that works on them is in flight.
    pub(super) fn give_back(&self, index: usize, which: u64) {
        for number in 0..self.pooled.each() as u16 {
            if which & 1 << number == 0 {
                continue;
            }
            let held = self.pooled.at(index, number, |place| place.held.take());
            if held.is_some() {
                drop(held);
                self.tell_next(number);
            }
        }
    }

    /// A frame ends: it gives back everything, and waits for nothing.
    pub(super) fn give_back_all(&self, index: usize) {
        if self.pooled.each() > 0 {
            self.give_back(index, u64::MAX);
            self.stop_waiting(index);
            // It may be that which was told, and the buffer is still there.
            (0..self.pooled.each() as u16).for_each(|number| self.tell_next(number));
        }
    }

    /// Has the frame go on that has waited longest for a buffer, if there is one.
    fn tell_next(&self, number: u16) {
        let Some(pool) = self.pooled.pool(number) else { return };
        if pool.waiting.borrow().is_empty() || !pool.shared.has_ready() {
            return;
        }
        while let Some(Waiting { frame, number, ticket }) = { pool.waiting.borrow_mut().pop_front() } {
            let waits = self.pooled.at(frame, number, |place| {
                let waits = place.ticket.get() == ticket;
                if waits {
                    place.ticket.set(TOLD);
                }
                waits
            });
            if waits {
                return self.core.driver().make_ready(self.memory.record(frame).header().key.get());
            }
        }
    }

    /// The frame waits no longer. True if it was told that there is a buffer.
    pub(super) fn stop_waiting(&self, index: usize) -> bool {
        let stop = |number| self.pooled.at(index, number, |place| place.ticket.replace(NOT) == TOLD);
        // All of them, whatever the first says.
        (0..self.pooled.each() as u16).fold(false, |told, number| stop(number) | told)
    }

    /// A frame that was told that there is a buffer has had its turn. If it did something else with it, the next is told.
    pub(super) fn pass_on(&self) {
        (0..self.pooled.each() as u16).for_each(|number| self.tell_next(number));
    }
}

impl Frame<'_> {
    /// The frame waits for a pooled buffer to be given back; for what was refused with ENOBUFS. Then, or when it is
    /// cancelled, [`Resume::unparked`](super::Resume::unparked).
    ///
    /// # Errors
    /// The frame, if no buffer is out that could come back: there is no memory for any, or it comes from no pool.
    ///
    /// # Panics
    /// If the program has no such pooled buffer.
    pub fn wait_for_pooled(self, number: u16) -> Result<(), Self> {
        let Some(pool) = self.region.pooled.pool(number) else { return Err(self) };
        // One has come back in the meantime, or the pool has grown; or there is no waiting for it any more.
        if self.is_cancelled() || self.is_interrupted() || pool.shared.has_ready() {
            self.park();
            return Ok(());
        }
        if !pool.shared.has_lent() {
            return Err(self);
        }
        let ticket = pool.tickets.get() + 1;
        pool.tickets.set(ticket);
        self.region.pooled.at(self.index, number, |place| place.ticket.set(ticket));
        pool.waiting.borrow_mut().push_back(Waiting { frame: self.index, number, ticket });
        self.record.header().raise(PARKED);
        self.give_up();
        Ok(())
    }
}
