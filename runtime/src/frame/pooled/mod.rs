//! Pooled buffers: memory that a frame has only while it uses it.
//!
//! Who owns what: the region owns the pools ([`PoolShared`]), one for each size of buffer, and the frames share them. A
//! member that fills a pooled buffer from its front is submitted without memory; when bytes have come the kernel takes
//! one of those that the pool keeps ready, and the completion says which. From then on the frame owns it (a [`Place`] in
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

mod frames;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::buf::{PoolOptions, PoolShared};
use crate::frame::plan::PooledPlan;
use crate::ring::sqe::BUFFER_SELECT;

/// A bit for each of a frame's pooled buffers.
pub(in crate::frame) const MOST: usize = 64;
/// The sizes of pools are multiples of this.
const GRAIN: u32 = 64;
/// `IORING_RECVSEND_POLL_FIRST`: do not try before there is something to receive. In `ioprio`.
pub(in crate::frame) const POLL_FIRST: u16 = 1 << 0;
/// What select adds to word 0 of an entry.
const SELECTS: u64 = (BUFFER_SELECT as u64) << 8 | (POLL_FIRST as u64) << 16;

/// A frame that does not wait.
const NOT: u64 = 0;
/// A frame that waited, and was told to go on.
const TOLD: u64 = u64::MAX;

/// The pooled buffers of all frames of a region.
pub(in crate::frame) struct Pooled {
    /// The size of each of a frame's buffers, and the pool that it comes from, if it does.
    kinds: Box<[(u32, Option<usize>)]>,
    pools: Box<[Pool]>,
    /// What the frames hold: as many places a frame as there are kinds.
    places: RefCell<Vec<Place>>,
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

/// What a frame holds.
struct Place {
    /// The number of the buffer in its pool; or one of the two below.
    holds: Cell<u32>,
    /// How many of its bytes have come; 0 if there is none.
    filled: Cell<u32>,
    start: Cell<NonNull<u8>>,
    ticket: Cell<u64>,
    /// An owned buffer.
    made: RefCell<Vec<u8>>,
}

/// No buffer.
const NOTHING: u32 = u32::MAX;
/// An owned one.
const MADE: u32 = NOTHING - 1;

impl Default for Place {
    fn default() -> Self {
        Place {
            holds: Cell::new(NOTHING),
            filled: Cell::new(0),
            start: Cell::new(NonNull::dangling()),
            ticket: Cell::new(NOT),
            made: RefCell::default(),
        }
    }
}

impl Place {
    /// Holds this from now on, and gives what it held before.
    #[inline]
    fn hold(&self, holds: u32, start: NonNull<u8>, filled: u32) -> u32 {
        self.start.set(start);
        self.filled.set(filled);
        self.holds.replace(holds)
    }

    fn is_made(&self) -> bool {
        self.holds.get() == MADE
    }
}

impl Pooled {
    pub(in crate::frame) fn new(plan: &PooledPlan) -> io::Result<Pooled> {
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
    #[inline]
    pub(in crate::frame) fn each(&self) -> usize {
        self.kinds.len()
    }

    /// The size of one, if there is one of that number.
    pub(in crate::frame) fn size(&self, number: u16) -> Option<u32> {
        self.kinds.get(usize::from(number)).map(|(size, _)| *size)
    }

    /// What the kernel calls the pool of one.
    pub(in crate::frame) fn group(&self, number: u16) -> u16 {
        self.pool(number).expect("an owned buffer is not selected").shared.group()
    }

    /// Whether one comes from no pool.
    pub(in crate::frame) fn is_owned(&self, number: u16) -> bool {
        self.kinds.get(usize::from(number)).is_some_and(|(_, pool)| pool.is_none())
    }

    #[inline]
    fn pool(&self, number: u16) -> Option<&Pool> {
        Some(&self.pools[self.kinds[usize::from(number)].1?])
    }

    /// Makes sure that the frames below `frames` have their places.
    pub(in crate::frame) fn grow(&self, frames: usize) {
        self.places.borrow_mut().resize_with(frames * self.each(), Place::default);
    }

    #[inline]
    fn at<T>(&self, frame: usize, number: u16, look: impl FnOnce(&Place) -> T) -> T {
        look(&self.places.borrow()[frame * self.each() + usize::from(number)])
    }

    /// Where the buffer that a frame holds starts, and how many bytes it has put in: none if it holds none. They stay the
    /// frame's until it gives the buffer back or another takes its place.
    #[inline]
    pub(in crate::frame) fn held(&self, frame: usize, number: u16) -> (NonNull<u8>, u32) {
        self.at(frame, number, |place| (place.start.get(), place.filled.get()))
    }

    /// Makes an owned buffer for `len` bytes that are about to come into its front, in place of what was held; gives its
    /// address. Memory that was never touched costs nothing yet.
    pub(in crate::frame) fn make(&self, frame: usize, number: u16, len: u32) -> u64 {
        self.at(frame, number, |place| {
            let mut made = place.made.borrow_mut();
            if !place.is_made() || made.len() != len as usize {
                // What was made before goes first.
                drop(std::mem::take(&mut *made));
                *made = vec![0; len as usize];
            }
            let start = start(&mut made);
            place.hold(MADE, start, 0);
            start.as_ptr() as u64
        })
    }

    /// Makes sure that more can come into an owned buffer, up to `end`.
    fn reserve(&self, frame: usize, number: u16, end: u64) {
        self.at(frame, number, |place| {
            let mut made = place.made.borrow_mut();
            if place.is_made() && made.len() < end as usize {
                made.resize(end as usize, 0);
                place.start.set(start(&mut made));
            }
        });
    }

    /// Takes what has come into an owned buffer out of the frame.
    pub(in crate::frame) fn take(&self, frame: usize, number: u16) -> Vec<u8> {
        self.at(frame, number, |place| {
            let mut bytes = place.made.take();
            bytes.truncate(place.filled.get() as usize);
            place.hold(NOTHING, NonNull::dangling(), 0);
            bytes
        })
    }

    /// Lets go of what a frame holds; false if it holds nothing.
    #[inline(always)]
    fn let_go(&self, frame: usize, number: u16) -> bool {
        match self.at(frame, number, |place| place.hold(NOTHING, NonNull::dangling(), 0)) {
            NOTHING => return false,
            MADE => drop(self.at(frame, number, |place| place.made.take())),
            id => self.return_to_pool(number, id),
        }
        true
    }

    #[cold]
    fn return_late(&self, number: u16, id: u32) {
        self.return_to_pool(number, id);
    }

    #[inline(always)]
    fn return_to_pool(&self, number: u16, id: u32) {
        if let Some(pool) = self.pool(number) {
            pool.shared.give_back(id as u16);
        }
    }

    /// A fill from the front has brought something: the frame holds that, and lets go of what it held. False, and nothing
    /// has happened, if that cannot be, whatever the kernel says.
    #[inline(always)]
    pub(in crate::frame) fn fill_some(&self, frame: usize, number: u16, id: u16, count: u32) -> bool {
        let Some(pool) = self.pool(number) else { return false };
        let Some(start) = pool.shared.lend(id, count, false) else { return false };
        let before = self.at(frame, number, |place| place.hold(id.into(), start, count));
        if before != NOTHING {
            self.return_late(number, before);
        }
        true
    }

    /// A fill from the front has ended. False if what it says to have brought cannot be; the frame holds nothing then.
    fn fill(&self, frame: usize, number: u16, id: Option<u16>, count: u32) -> bool {
        let fits = match id {
            Some(id) if count > 0 => self.fill_some(frame, number, id, count),
            Some(id) => self.pool(number).is_some_and(|Pool { shared: pool, .. }| {
                // The kernel has taken one for nothing.
                let lent = pool.lend(id, 0, false).is_some();
                if lent {
                    pool.give_back(id);
                }
                lent
            }),
            None => count == 0,
        };
        if !fits && count > 0 {
            self.let_go(frame, number);
        }
        fits
    }

    /// More has come into the buffer that the frame holds, up to `end`. False if it does not reach that far.
    fn extend(&self, frame: usize, number: u16, end: u64) -> bool {
        let pooled = self.pool(number).map(|pool| u64::from(pool.shared.buffer_size()));
        self.at(frame, number, |place| {
            let room = match place.holds.get() {
                NOTHING => return false,
                MADE => place.made.borrow().len() as u64,
                _ => pooled.unwrap_or(0),
            };
            if end <= room {
                place.filled.set(place.filled.get().max(end as u32));
            }
            end <= room
        })
    }

    /// Never frees the pools: the kernel may still write.
    pub(in crate::frame) fn leak(&self) {
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
