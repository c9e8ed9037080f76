//! The two queues of a ring, mapped a second time beside the `io-uring` crate.
//!
//! Ownership: the kernel owns the SQ head and the CQ tail, this side owns the SQ tail and the CQ head. An SQE
//! between the published tail and the head belongs to the kernel; one past the published tail belongs to
//! whoever reserved it. There is one thread, so the local copies are plain cells.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::map::Map;
use super::sqe::Sqe;

/// `struct io_uring_params`, as filled in by io_uring_setup(2).
#[repr(C)]
#[derive(Clone, Copy)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    resv: [u32; 3],
    sq_off: SqOffsets,
    cq_off: CqOffsets,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct SqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    resv1: u32,
    user_addr: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    resv1: u32,
    user_addr: u64,
}

const _: () = assert!(size_of::<Params>() == size_of::<io_uring::Parameters>());

const OFF_SQ_RING: i64 = 0;
const OFF_SQES: i64 = 0x1000_0000;

/// The poller sleeps: an enter with SQ_WAKEUP wakes it.
const SQ_NEED_WAKEUP: u32 = 1 << 0;
/// The kernel has completions that did not fit into the CQ: an enter with GETEVENTS brings them.
const SQ_CQ_OVERFLOW: u32 = 1 << 1;
/// Task work is pending: an enter with GETEVENTS turns it into completions.
const SQ_TASKRUN: u32 = 1 << 2;

/// One completion as the kernel wrote it (`struct io_uring_cqe`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cqe {
    pub(crate) user_data: u64,
    pub(crate) res: i32,
    pub(crate) flags: u32,
}

/// Vacant places of the submission queue, one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) first: NonNull<Sqe>,
    /// One past the last.
    pub(crate) end: *mut Sqe,
}

pub(crate) struct Queues {
    sqes: NonNull<Sqe>,
    sq_head: NonNull<AtomicU32>,
    sq_tail: NonNull<AtomicU32>,
    sq_flags: NonNull<AtomicU32>,
    sq_entries: u32,
    sq_mask: u32,
    /// Next SQE to write; equals the published tail except inside a reservation.
    tail: Cell<u32>,
    /// Where the vacant places behind the tail end, as known from the last look: at a head no newer than the
    /// kernel's, or at the end of the queue.
    row_end: Cell<u32>,
    cqes: NonNull<Cqe>,
    cq_head: NonNull<AtomicU32>,
    cq_tail: NonNull<AtomicU32>,
    cq_overflow: NonNull<AtomicU32>,
    cq_mask: u32,
    head: Cell<u32>,
    _rings: Map,
    _sqes: Map,
}

impl Queues {
    /// Maps the queues of the ring `fd` that was set up with `params`.
    pub(crate) fn map(fd: RawFd, params: &io_uring::Parameters) -> io::Result<Queues> {
        // SAFETY: `Parameters` is documented as a transparent wrapper of `io_uring_params`, which `Params`
        // repeats field by field (same size, checked above; plain integers).
        let p = unsafe { *std::ptr::from_ref(params).cast::<Params>() };
        if !params.is_feature_single_mmap() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        let sq_len = p.sq_off.array as usize + p.sq_entries as usize * size_of::<u32>();
        let cq_len = p.cq_off.cqes as usize + p.cq_entries as usize * size_of::<Cqe>();
        let rings = Map::ring(fd, OFF_SQ_RING, sq_len.max(cq_len))?;
        let sqes = Map::ring(fd, OFF_SQES, p.sq_entries as usize * size_of::<Sqe>())?;
        assert!(p.sq_entries.is_power_of_two() && p.cq_entries.is_power_of_two(), "ring sizes");
        let queues = Queues {
            sqes: sqes.at(0, p.sq_entries),
            sq_head: rings.at(p.sq_off.head, 1),
            sq_tail: rings.at(p.sq_off.tail, 1),
            sq_flags: rings.at(p.sq_off.flags, 1),
            sq_entries: p.sq_entries,
            sq_mask: p.sq_entries - 1,
            tail: Cell::new(0),
            row_end: Cell::new(0),
            cqes: rings.at(p.cq_off.cqes, p.cq_entries),
            cq_head: rings.at(p.cq_off.head, 1),
            cq_tail: rings.at(p.cq_off.tail, 1),
            cq_overflow: rings.at(p.cq_off.overflow, 1),
            cq_mask: p.cq_entries - 1,
            head: Cell::new(0),
            _rings: rings,
            _sqes: sqes,
        };
        queues.tail.set(queues.load(queues.sq_tail));
        queues.look_for_room();
        queues.head.set(queues.load(queues.cq_head));
        Ok(queues)
    }

    #[inline]
    fn load(&self, word: NonNull<AtomicU32>) -> u32 {
        // SAFETY: `word` points into the mapping that this value owns; the kernel accesses it atomically.
        unsafe { word.as_ref() }.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, word: NonNull<AtomicU32>, value: u32) {
        // SAFETY: as in `load`.
        unsafe { word.as_ref() }.store(value, Ordering::Release);
    }

    /// How many SQEs the queue holds.
    pub(crate) fn sq_entries(&self) -> u32 {
        self.sq_entries
    }

    /// How many published SQEs the kernel has not taken yet.
    #[inline]
    pub(crate) fn unsubmitted(&self) -> u32 {
        // Never more than the queue holds, whatever the head says.
        self.tail.get().wrapping_sub(self.load(self.sq_head)).min(self.sq_entries)
    }

    /// `n` vacant places in a row behind the tail, if by the last known head there are so many before the end of
    /// the queue.
    #[inline]
    pub(crate) fn vacant(&self, n: u32) -> Option<NonNull<Sqe>> {
        if self.in_this_row() < n {
            return None;
        }
        Some(self.place(self.tail.get()))
    }

    #[inline]
    fn in_this_row(&self) -> u32 {
        self.row_end.get().wrapping_sub(self.tail.get())
    }

    /// The vacant places behind the tail that lie in a row, by the last known head.
    #[inline]
    pub(crate) fn row(&self) -> Row {
        let first = self.place(self.tail.get());
        Row { first, end: first.as_ptr().wrapping_add(self.in_this_row() as usize) }
    }

    #[inline]
    fn place(&self, index: u32) -> NonNull<Sqe> {
        let index = index & self.sq_mask;
        // SAFETY: the index is masked to the size of the mapped queue.
        unsafe { self.sqes.add(index as usize) }
    }

    /// Looks at the kernel's head again. Gives the number of vacant places, in a row or not.
    pub(crate) fn look_for_room(&self) -> u32 {
        let room = self.sq_entries - self.unsubmitted();
        let to_the_end = self.sq_entries - (self.tail.get() & self.sq_mask);
        self.row_end.set(self.tail.get().wrapping_add(room.min(to_the_end)));
        room
    }

    /// Knows of no vacant place until the next look.
    pub(crate) fn forget_room(&self) {
        self.row_end.set(self.tail.get());
    }

    /// Copies a list that was written elsewhere behind the tail, round the end of the queue if need be.
    ///
    /// # Safety
    /// There must be room for it.
    pub(crate) unsafe fn copy_in(&self, list: &[Sqe]) {
        for (i, sqe) in list.iter().enumerate() {
            let place = self.place(self.tail.get().wrapping_add(i as u32));
            // SAFETY: inside the queue, and vacant by the caller's promise.
            unsafe { place.write(*sqe) };
        }
    }

    /// Hands the next `n` SQEs to the kernel with one store of the tail.
    ///
    /// # Safety
    /// - `n` must fit, and the `n` vacant SQEs must have been written completely;
    /// - whatever they point to must stay valid until the last completion of each.
    #[inline]
    pub(crate) unsafe fn publish(&self, n: u32) {
        debug_assert!(
            self.tail.get().wrapping_add(n).wrapping_sub(self.load(self.sq_head)) <= self.sq_entries
        );
        let tail = self.tail.get().wrapping_add(n);
        self.tail.set(tail);
        self.store(self.sq_tail, tail);
    }

    /// The end of the completions that are there now.
    #[inline]
    pub(crate) fn cq_tail(&self) -> u32 {
        self.load(self.cq_tail)
    }

    /// Whether a completion is waiting to be taken.
    #[inline]
    pub(crate) fn has_completion(&self) -> bool {
        self.head.get() != self.cq_tail()
    }

    /// How many completions were consumed since the ring was made, modulo 2^32.
    #[inline]
    pub(crate) fn consumed(&self) -> u32 {
        self.head.get()
    }

    /// Gives the entries of all completions that were taken back to the kernel. Done before every enter: whoever
    /// handles a completion may have to flush the submission queue, and the kernel then needs the room.
    #[inline]
    pub(crate) fn publish_head(&self) {
        self.store(self.cq_head, self.head.get());
    }

    /// The next completion before `until`. What it refers to is the kernel's again with the next enter after it was
    /// consumed: copy what is needed before anything that may enter.
    #[inline]
    pub(crate) fn peek(&self, until: u32) -> Option<&Cqe> {
        let head = self.head.get();
        if head == until {
            return None;
        }
        // SAFETY: the index is masked to the size of the mapped queue, and the entry lies before a tail
        // that was loaded with Acquire, so the kernel has written it and will not touch it until
        // `publish_head` lets the head pass it.
        Some(unsafe { self.cqes.add((head & self.cq_mask) as usize).as_ref() })
    }

    /// The completions before `until` up to the end of the queue, behind which it goes on at its front. The same holds
    /// for them as for that of [`peek`](Queues::peek).
    #[inline]
    pub(crate) fn in_a_row(&self, until: u32) -> &[Cqe] {
        let (head, first) = (self.head.get(), self.head.get() & self.cq_mask);
        let to_the_end = self.cq_mask - first + 1;
        let len = until.wrapping_sub(head).min(to_the_end) as usize;
        // SAFETY:
        // - the index is masked to the size of the mapped queue, and no more are taken than lie before its end;
        // - all lie before a tail that was loaded with Acquire, so the kernel has written them and will not touch them
        //   until `publish_head` lets the head pass them and an enter follows.
        unsafe { std::slice::from_raw_parts(self.cqes.add(first as usize).as_ptr(), len) }
    }

    /// Takes the completions before `until` for which `handle` says so, up to the first for which it does not. Gives how
    /// many these were. `handle` may not use the queues.
    #[inline]
    pub(crate) fn take_while(&self, until: u32, mut handle: impl FnMut(&Cqe) -> bool) -> u32 {
        let (cqes, mask, first) = (self.cqes, self.cq_mask, self.head.get());
        let mut head = first;
        while head != until {
            // SAFETY: as in `peek`; the head is published by `publish_head` only.
            if !handle(unsafe { cqes.add((head & mask) as usize).as_ref() }) {
                break;
            }
            head = head.wrapping_add(1);
        }
        self.head.set(head);
        head.wrapping_sub(first)
    }

    /// Goes on to the next completion.
    #[inline]
    pub(crate) fn consume(&self) {
        self.consume_many(1);
    }

    /// Goes on behind the next `n` completions.
    #[inline]
    pub(crate) fn consume_many(&self, n: u32) {
        self.head.set(self.head.get().wrapping_add(n));
    }

    /// Whether the kernel holds completions back until the next enter with GETEVENTS.
    #[inline]
    pub(crate) fn kernel_has_work(&self) -> bool {
        self.load(self.sq_flags) & (SQ_CQ_OVERFLOW | SQ_TASKRUN) != 0
    }

    /// Whether the poller has gone to sleep and would not see what was published.
    pub(crate) fn poller_sleeps(&self) -> bool {
        // The poller sets the flag and then looks at the tail; we wrote the tail and look at the flag. Without a
        // full barrier in between both could miss the other.
        fence(Ordering::SeqCst);
        self.load(self.sq_flags) & SQ_NEED_WAKEUP != 0
    }

    /// The published tail.
    pub(crate) fn sq_tail(&self) -> u32 {
        self.tail.get()
    }

    /// Completions that the kernel could not keep for lack of memory; FEAT_NODROP makes that an event of
    /// last resort.
    pub(crate) fn dropped(&self) -> u32 {
        self.load(self.cq_overflow)
    }

    /// Whether completions are parked in the kernel because the CQ was full.
    #[inline]
    pub(crate) fn overflowed(&self) -> bool {
        self.load(self.sq_flags) & SQ_CQ_OVERFLOW != 0
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues")
            .field("sq_entries", &self.sq_entries)
            .field("unsubmitted", &self.unsubmitted())
            .field("cq_entries", &(self.cq_mask + 1))
            .field("completions", &self.cq_tail().wrapping_sub(self.head.get()))
            .finish_non_exhaustive()
    }
}
