//! What those who commit and the one that writes share: two batches, and who waits for what.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use chainring_runtime::Handle;

use super::FURTHEST;
use super::open::{OpenLog, Owner};
use crate::sync::queue::Waiter;

/// Where a core keeps the log that is open on it, or was: what was committed may still be on its way.
#[derive(Default)]
pub(super) struct Slot {
    open: RefCell<Weak<Owner>>,
    shared: RefCell<Weak<Shared>>,
}

impl Slot {
    pub(super) fn get(&self) -> Option<OpenLog> {
        self.open.borrow().upgrade().map(OpenLog)
    }

    /// Whether something that was committed is still to be written, or being written.
    pub(super) fn is_busy(&self) -> bool {
        self.shared.borrow().upgrade().is_some_and(|shared| shared.is_busy())
    }

    pub(super) fn set(&self, open: &OpenLog) {
        self.open.replace(Rc::downgrade(&open.0));
        self.shared.replace(Rc::downgrade(&open.0.0));
    }
}

pub(super) struct Shared {
    pub(super) core: Handle,
    /// The longest batch, and so the longest record.
    pub(super) limit: u32,
    /// The batch that is being filled, and those who wait for it.
    filling: RefCell<Vec<u8>>,
    filling_waiters: RefCell<Vec<Waiter>>,
    /// Those who wait for the batch that is being written.
    flying_waiters: RefCell<Vec<Waiter>>,
    /// Where the batch that is being filled ends.
    tail: Cell<u64>,
    /// Where the one that is being written ends; if none is, the same as `durable`.
    flying: Cell<u64>,
    /// Everything before this position is on the disk.
    durable: Cell<u64>,
    /// Those for whom there is no room in the batch, by number.
    line: RefCell<VecDeque<(u64, Waiter)>>,
    next_number: Cell<u64>,
    /// Why the log is poisoned; 0 if it is not.
    failed: Cell<i32>,
    /// Nobody commits any more.
    pub(super) closed: Cell<bool>,
    writer: Cell<Option<Waker>>,
    /// Batches that were begun.
    pub(super) batches: Cell<u64>,
}

/// How far a commit has come. As a number it is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// It waits in the line, under this number.
    Line(u64),
    /// Its record is in a batch, and ends here.
    Copied(u64),
}

impl Ticket {
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Ticket::Line(number) => number << 1 | 1,
            // No position is further than 2^62.
            Ticket::Copied(end) => (end + 1) << 1,
        }
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Ticket> {
        match (bits, bits & 1) {
            (0, _) => None,
            (_, 1) => Some(Ticket::Line(bits >> 1)),
            _ => Some(Ticket::Copied((bits >> 1) - 1)),
        }
    }
}

/// Why a record is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCommitted {
    /// It is longer than a batch can be.
    TooLong { len: u64 },
    /// The log is poisoned, and this is why.
    Failed(i32),
}

impl Shared {
    pub(super) fn new(core: Handle, tail: u64, limit: u32) -> Shared {
        Shared {
            core,
            limit,
            filling: RefCell::default(),
            filling_waiters: RefCell::default(),
            flying_waiters: RefCell::default(),
            tail: Cell::new(tail),
            flying: Cell::new(tail),
            durable: Cell::new(tail),
            line: RefCell::default(),
            next_number: Cell::new(0),
            failed: Cell::new(0),
            closed: Cell::new(false),
            writer: Cell::new(None),
            batches: Cell::new(0),
        }
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.get()
    }

    pub(super) fn failed(&self) -> Option<i32> {
        Some(self.failed.get()).filter(|errno| *errno != 0)
    }

    /// Whether it is not known yet what becomes of everything that was committed.
    fn is_busy(&self) -> bool {
        self.failed().is_none() && self.durable.get() < self.tail.get()
    }

    // ---- those who commit ----

    /// Goes on with a commit: copies the record, of `len` bytes, as soon as there is room, and is ready when it is on the
    /// disk. `copy` appends it. `waiter` makes what is to be called if it waits for something else than before.
    pub(super) fn commit(
        &self,
        ticket: &mut Option<Ticket>,
        len: u64,
        copy: impl FnOnce(&mut Vec<u8>),
        waiter: impl FnOnce() -> Waiter,
    ) -> Poll<Result<u64, NotCommitted>> {
        if let Some(Ticket::Copied(end)) = *ticket {
            return self.poll_durable(end).map_ok(|()| end.saturating_sub(len));
        }
        let number = if let Some(Ticket::Line(number)) = *ticket { Some(number) } else { None };
        let refused = match self.failed() {
            Some(errno) => Some(NotCommitted::Failed(errno)),
            None => (len > u64::from(self.limit)).then_some(NotCommitted::TooLong { len }),
        };
        // A log that has come to its furthest end takes nothing more, as if the file had.
        let is_over = self.tail.get() + len > FURTHEST;
        if let Some(refused) = refused.or(is_over.then_some(NotCommitted::Failed(libc::EFBIG))) {
            self.leave_line(number);
            return Poll::Ready(Err(refused));
        }
        if !self.is_first(number) || self.filling.borrow().len() as u64 + len > u64::from(self.limit) {
            if number.is_none() {
                let number = self.next_number.get();
                self.next_number.set(number + 1);
                self.line.borrow_mut().push_back((number, waiter()));
                *ticket = Some(Ticket::Line(number));
            }
            return Poll::Pending;
        }
        copy(&mut self.filling.borrow_mut());
        let start = self.tail.get();
        let end = start + len;
        self.tail.set(end);
        *ticket = Some(Ticket::Copied(end));
        self.leave_line(number);
        let durable = self.poll_durable(end);
        if durable.is_pending() {
            self.wait_for(end, waiter());
            self.wake_writer();
        }
        durable.map_ok(|()| start)
    }

    /// Calls `waiter` when it is known what becomes of everything before `end`.
    pub(super) fn wait_for(&self, end: u64, waiter: Waiter) {
        let is_flying = end <= self.flying.get();
        let waiters = if is_flying { &self.flying_waiters } else { &self.filling_waiters };
        waiters.borrow_mut().push(waiter);
    }

    /// Calls another in place of the one that waits in the line under this number.
    pub(super) fn wait_in_line(&self, number: u64, waiter: Waiter) {
        let mut line = self.line.borrow_mut();
        let place = line.iter_mut().find(|(known, _)| *known == number);
        let before = place.map(|place| std::mem::replace(&mut place.1, waiter));
        drop(line);
        drop(before);
    }

    fn poll_durable(&self, end: u64) -> Poll<Result<(), NotCommitted>> {
        if end <= self.durable.get() {
            return Poll::Ready(Ok(()));
        }
        self.failed().map_or(Poll::Pending, |errno| Poll::Ready(Err(NotCommitted::Failed(errno))))
    }

    /// Whether whoever has this number, or none, is the next one to be let in.
    fn is_first(&self, number: Option<u64>) -> bool {
        self.line.borrow().front().map(|(first, _)| *first) == number
    }

    /// Whoever has this number waits in the line no more, if it did.
    pub(super) fn leave_line(&self, number: Option<u64>) {
        let Some(number) = number else { return };
        let was_first = self.is_first(Some(number));
        let mut line = self.line.borrow_mut();
        let left = line.iter().position(|(known, _)| *known == number).and_then(|at| line.remove(at));
        drop(line);
        drop(left);
        if was_first {
            self.call_first();
        }
    }

    /// The first of the line looks whether there is room.
    fn call_first(&self) {
        let first = self.line.borrow().front().map(|(_, waiter)| waiter.again());
        if let Some(first) = first {
            first.call(&self.core);
        }
    }

    // ---- the one that writes ----

    /// Ready when there is something to be written, or nothing ever will be: then it is false.
    pub(super) fn poll_filled(&self, waker: &Waker) -> Poll<bool> {
        if !self.filling.borrow().is_empty() {
            return Poll::Ready(true);
        }
        if self.closed.get() {
            return Poll::Ready(false);
        }
        drop(self.writer.replace(Some(waker.clone())));
        Poll::Pending
    }

    pub(super) fn wake_writer(&self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Takes the batch that was filled; the next one is filled in `empty`. Gives where it starts.
    pub(super) fn take_batch(&self, empty: &mut Vec<u8>) -> u64 {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut *self.filling.borrow_mut(), empty);
        std::mem::swap(&mut *self.filling_waiters.borrow_mut(), &mut *self.flying_waiters.borrow_mut());
        self.flying.set(self.tail.get());
        self.batches.set(self.batches.get() + 1);
        self.call_first();
        self.durable.get()
    }

    /// The batch is on the disk.
    pub(super) fn reached(&self) {
        self.durable.set(self.flying.get());
        self.call_all(&self.flying_waiters);
    }

    /// Nothing that is not durable will be.
    pub(super) fn fail(&self, errno: i32) {
        if self.failed().is_some() {
            return;
        }
        self.failed.set(errno);
        self.call_all(&self.flying_waiters);
        self.call_all(&self.filling_waiters);
        let line: Vec<Waiter> = self.line.borrow().iter().map(|(_, waiter)| waiter.again()).collect();
        line.into_iter().for_each(|waiter| waiter.call(&self.core));
    }

    fn call_all(&self, waiters: &RefCell<Vec<Waiter>>) {
        let mut called = waiters.take();
        called.drain(..).for_each(|waiter| waiter.call(&self.core));
        // The memory is used again, unless somebody waits already.
        let mut waiters = waiters.borrow_mut();
        if waiters.capacity() == 0 {
            *waiters = called;
        }
    }
}
