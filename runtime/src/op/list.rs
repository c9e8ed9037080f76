//! Operations of several linked entries, and the future that awaits one: one submission, one wake-up.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::driver::list::HeldList;
use crate::ring::sqe::{CQE_SKIP_SUCCESS, IO_HARDLINK, IO_LINK};
use crate::ring::{Prepared, Sqe};

/// The most entries of a list.
pub(crate) const LONGEST: usize = 4;

/// An operation of several entries that the kernel runs one after the other.
///
/// As an [`Operation`](super::Operation) it is moved into a place where it stays, unmoved and untouched, from
/// [`prepare`](ListOperation::prepare) to the last completion, and cannot be implemented outside this crate.
pub trait ListOperation: Sized + 'static {
    /// What awaiting the operation gives.
    type Output;
    /// What it is called.
    const NAME: &'static str;

    /// Describes the entries. Called again if the queue was too full to take them.
    fn prepare<'a>(&'a mut self, members: &mut Members<'a>);

    /// Reads the results; those of entries that were silent, or never ran, are 0. That of the first is a negated
    /// errno if nothing ran.
    fn complete(self, results: [i32; LONGEST]) -> Self::Output;
}

/// What comes after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next one, if this succeeds. An entry that is silent must be of an opcode that severs by an error and in no other
    /// way: nobody hears of one that comes short.
    IfDone,
    /// The next one, whatever becomes of this.
    Anyway,
    /// Nothing.
    End,
}

/// The entries of a list, as they are prepared; with the borrow `'a` of everything that the kernel may touch for them.
#[derive(Debug)]
pub struct Members<'a> {
    entries: [Sqe; LONGEST],
    shape: Shape,
    /// Whether entries may be silent: the kernel can do it.
    quiet: bool,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Members<'a> {
    #[inline(always)]
    pub(crate) fn new(quiet: bool) -> Self {
        Members { entries: [Sqe::new(0); LONGEST], shape: Shape::default(), quiet, memory: PhantomData }
    }

    /// Adds an entry whose success is reported.
    #[inline(always)]
    pub(crate) fn reporting(&mut self, entry: Prepared<'a>, then: Then) {
        self.push(entry.into_sqe(), then, false);
    }

    /// Adds an entry whose success is not interesting.
    #[inline(always)]
    pub(crate) fn silent(&mut self, entry: Prepared<'a>, then: Then) {
        self.push(entry.into_sqe(), then, self.quiet);
    }

    #[inline(always)]
    fn push(&mut self, mut entry: Sqe, then: Then, silent: bool) {
        let at = usize::from(self.shape.len);
        entry.flags |= match then {
            Then::IfDone => IO_LINK,
            Then::Anyway => IO_HARDLINK,
            Then::End => 0,
        };
        if silent {
            entry.flags |= CQE_SKIP_SUCCESS;
            self.shape.silent |= 1 << at;
        }
        if then == Then::IfDone {
            self.shape.soft |= 1 << at;
        }
        self.entries[at] = entry;
        self.shape.len += 1;
    }

    /// The finished entries, their borrow forgotten: the caller now answers for the memory.
    #[inline(always)]
    pub(crate) fn finish(self) -> ([Sqe; LONGEST], Shape) {
        (self.entries, self.shape)
    }
}

/// How the entries of a list hang together: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    len: u8,
    soft: u8,
    silent: u8,
}

impl Shape {
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len.into()
    }

    fn all(self) -> u8 {
        (1 << self.len) - 1
    }

    /// The entries that report if all goes well.
    #[inline(always)]
    pub(crate) fn reporting(self) -> u8 {
        self.all() & !self.silent
    }

    /// The entries that are still to report after entry `step` has, with the result `res`.
    #[inline]
    pub(crate) fn after(self, awaited: u8, step: u32, res: i32) -> u8 {
        let this = 1 << step;
        let up_to_this = (this << 1) - 1;
        let rest = awaited & !this;
        if res >= 0 || self.soft & this == 0 {
            rest
        } else if self.silent & this != 0 {
            rest & up_to_this
        } else {
            rest | self.all() & !up_to_this
        }
    }
}

/// A list that is submitted when it is first polled, and completes with its result when its last entry has.
///
/// Dropping it after that detaches, as with [`Op`](super::Op): the runtime asks the kernel to cancel what has not run,
/// and keeps everything that the kernel may touch until it has finished.
///
/// # Panics
/// If it is first polled outside of a runtime, or polled again after it has completed.
#[must_use = "an operation does nothing unless it is awaited"]
pub struct ListOp<T: ListOperation>(Stage<T>);

enum Stage<T: ListOperation> {
    Unsubmitted(T),
    InFlight(HeldList<T>),
    Done,
}

impl<T: ListOperation> ListOp<T> {
    #[inline]
    pub(crate) fn new(operation: T) -> Self {
        ListOp(Stage::Unsubmitted(operation))
    }
}

// The operation is only ever moved, never pinned inside the future.
impl<T: ListOperation> Unpin for ListOp<T> {}

impl<T: ListOperation> Future for ListOp<T> {
    type Output = T::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let stage = &mut self.0;
        if matches!(stage, Stage::InFlight(held) if !held.is_done(cx)) {
            return Poll::Pending;
        }
        let operation = match mem::replace(stage, Stage::Done) {
            Stage::Unsubmitted(operation) => operation,
            Stage::InFlight(held) => {
                let (operation, results) = held.finish();
                return Poll::Ready(operation.complete(results));
            }
            Stage::Done => panic!("an operation was polled after it had completed"),
        };
        match HeldList::start(operation, cx) {
            Ok(held) => {
                *stage = Stage::InFlight(held);
                Poll::Pending
            }
            Err(operation) => Poll::Ready(operation.complete([-libc::ECANCELED; LONGEST])),
        }
    }
}

impl<T: ListOperation> fmt::Debug for ListOp<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.0 {
            Stage::Unsubmitted(_) => "unsubmitted",
            Stage::InFlight(_) => "in flight",
            Stage::Done => "done",
        };
        write!(f, "ListOp({}, {stage})", T::NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: i32 = -libc::EIO;

    /// Three entries as a file is read: open, read, read.
    const READ: Shape = Shape { len: 3, soft: 0b001, silent: 0b001 };

    #[test]
    fn a_list_is_complete_when_those_that_report_have_in_any_order() {
        assert_eq!(READ.reporting(), 0b110);
        assert_eq!(READ.after(READ.after(0b110, 1, 5), 2, 0), 0);
        assert_eq!(READ.after(READ.after(0b110, 2, 0), 1, 5), 0);
        assert_eq!(READ.after(0b110, 1, FAILED), 0b100, "a hard link runs on");
    }

    #[test]
    fn a_silent_entry_that_fails_silences_those_behind_it() {
        assert_eq!(READ.after(0b110, 0, FAILED), 0);
        let longer = Shape { len: 4, soft: 0b0111, silent: 0b0110 };
        assert_eq!(longer.reporting(), 0b1001);
        assert_eq!(longer.after(0b1001, 1, FAILED), 0b0001, "the first has still to report");
    }

    #[test]
    fn a_reporting_entry_that_fails_has_all_behind_it_report() {
        let loud = Shape { silent: 0, ..READ };
        assert_eq!(loud.reporting(), 0b111);
        let rest = loud.after(0b111, 0, FAILED);
        assert_eq!(rest, 0b110);
        assert_eq!(loud.after(loud.after(rest, 1, -libc::ECANCELED), 2, -libc::ECANCELED), 0);
        let mixed = Shape { len: 3, soft: 0b011, silent: 0b010 };
        assert_eq!(mixed.after(mixed.reporting(), 0, FAILED), 0b110, "also those that were to be silent");
    }
}
