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

pub(crate) struct Queues {
    sqes: NonNull<Sqe>,
    sq_head: NonNull<AtomicU32>,
    sq_tail: NonNull<AtomicU32>,
    sq_flags: NonNull<AtomicU32>,
    sq_entries: u32,
    /// Next SQE to write; equals the published tail except inside a reservation.
    tail: Cell<u32>,
    /// The kernel's head when it was last looked at: never ahead of the real one.
    seen_head: Cell<u32>,
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
            tail: Cell::new(0),
            seen_head: Cell::new(0),
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
        queues.seen_head.set(queues.load(queues.sq_head));
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
        let head = self.load(self.sq_head);
        self.seen_head.set(head);
        self.tail.get().wrapping_sub(head)
    }

    /// Whether `n` SQEs fit behind the tail, by the last known head.
    #[inline]
    pub(crate) fn fits(&self, n: u32) -> bool {
        self.sq_entries - self.tail.get().wrapping_sub(self.seen_head.get()) >= n
    }

    /// The place of the `i`th SQE behind the published tail.
    ///
    /// The pointer is always inside the queue. It may be written only for `i` below an `n` that [`fits`],
    /// and until it is published; a single thread makes sure that nobody else does.
    ///
    /// [`fits`]: Queues::fits
    #[inline]
    pub(crate) fn vacant(&self, i: u32) -> NonNull<Sqe> {
        let index = self.tail.get().wrapping_add(i) & (self.sq_entries - 1);
        // SAFETY: the index is masked to the size of the mapped queue.
        unsafe { self.sqes.add(index as usize) }
    }

    /// Hands the next `n` SQEs to the kernel with one store of the tail.
    ///
    /// # Safety
    /// - `n` must fit, and the `n` vacant SQEs must have been written completely;
    /// - whatever they point to must stay valid until the last completion of each.
    #[inline]
    pub(crate) unsafe fn publish(&self, n: u32) {
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

    /// Takes the next completion before `until`, giving its entry back to the kernel at once: whoever
    /// handles it may flush the submission queue, and the kernel may need the room.
    #[inline]
    pub(crate) fn take(&self, until: u32) -> Option<Cqe> {
        let head = self.head.get();
        if head == until {
            return None;
        }
        // SAFETY: the index is masked to the size of the mapped queue, and the entry lies before a tail
        // that was loaded with Acquire, so the kernel has written it and will not touch it until the
        // head passes it, which happens below, after the copy.
        let cqe = unsafe { self.cqes.add((head & self.cq_mask) as usize).read() };
        self.head.set(head.wrapping_add(1));
        self.store(self.cq_head, head.wrapping_add(1));
        Some(cqe)
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
