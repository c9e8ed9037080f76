//! Accepts that outlive their futures.
//!
//! Whoever drops the future of an accept cannot know whether the kernel has a connection for it already, and whoever
//! connected believes to be accepted. So the operation is cancelled, and kept until it is known what has become of it: a
//! connection that was faster than the cancel goes to the next accept.
//!
//! An operation wakes the one who has polled it last. All who wait for a connection poll those that are kept, too, and
//! say how they are woken: when one of them leaves, be it with a connection, what is kept may have nobody to wake, and
//! all others look again.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use chainring_runtime::Descriptor;
use chainring_runtime::op::Op;
use chainring_runtime::op::accept::{Accept, accept};
use futures::Future;

/// The accepts of a listener that nobody owns, and those who would take their connections. Dropping
/// it closes a connection that comes all the same.
#[derive(Default)]
pub(super) struct Kept {
    /// All have been submitted, and are being cancelled.
    accepts: RefCell<VecDeque<Op<Accept>>>,
    waiting: RefCell<Vec<(u64, Waker)>>,
    next: Cell<u64>,
}

impl Kept {
    /// Whether it is known of all what has become of them.
    pub(super) fn is_empty(&self) -> bool {
        self.accepts.borrow().is_empty()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let count = self.accepts.borrow().len();
        for _ in 0..count {
            // Nothing is borrowed while wakers are cloned and dropped, which is foreign code.
            let Some(accept) = self.accepts.borrow_mut().pop_front() else { break };
            // One of another runtime, which may have ended, is nobody's here.
            if !accept.is_here() {
                continue;
            }
            let mut lent = Lent { kept: self, accept: Some(accept) };
            let Some(accept) = &mut lent.accept else { break };
            let Poll::Ready(accepted) = Pin::new(accept).poll(cx) else { continue };
            lent.accept = None;
            // Else it was cancelled, or it is an error of the one who is gone: nobody has come.
            if accepted.is_ok() {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    /// Lets all who wait look at what is kept, if there is anything.
    fn tell(&self) {
        if !self.is_empty() {
            let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
            for (_, waker) in waiting {
                // One that panics must not keep the others waiting.
                catch_unwind(AssertUnwindSafe(|| waker.wake())).unwrap_or_else(discard);
            }
        }
    }
}

/// Drops what a waker has panicked with. What `panic!` makes is harmless; anything else may panic in turn, and is leaked.
fn discard(panic: Box<dyn Any + Send>) {
    if !panic.is::<&'static str>() && !panic.is::<String>() {
        std::mem::forget(panic);
    }
}

/// One that is looked at. It is kept again unless it has been taken, also if a waker panics.
struct Lent<'k> {
    kept: &'k Kept,
    accept: Option<Op<Accept>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.kept.accepts.borrow_mut().extend(self.accept.take());
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.accepts.borrow().len())
    }
}

/// Somebody who waits for a connection, and takes that of a kept accept, too.
pub(super) struct Interest {
    pub(super) kept: Rc<Kept>,
    number: u64,
}

impl Interest {
    pub(super) fn new(kept: &Rc<Kept>) -> Interest {
        let number = kept.next.get();
        kept.next.set(number + 1);
        Interest { kept: kept.clone(), number }
    }

    /// Looks whether somebody has come for a kept accept; if not, the waker is woken when that may be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let polled = self.kept.poll(cx);
        if polled.is_pending() {
            self.wait(cx.waker());
        }
        polled
    }

    fn wait(&self, waker: &Waker) {
        let mut waiting = self.kept.waiting.borrow_mut();
        let known = waiting.iter_mut().find(|(number, _)| *number == self.number);
        if known.as_ref().is_some_and(|(_, known)| known.will_wake(waker)) {
            return;
        }
        drop(waiting);
        let waker = waker.clone();
        let mut waiting = self.kept.waiting.borrow_mut();
        let old = match waiting.iter_mut().find(|(number, _)| *number == self.number) {
            Some((_, known)) => Some(std::mem::replace(known, waker)),
            None => {
                waiting.push((self.number, waker));
                None
            }
        };
        drop(waiting);
        drop(old);
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut waiting = self.kept.waiting.borrow_mut();
        let at = waiting.iter().position(|(number, _)| *number == self.number);
        let waker = at.map(|at| waiting.swap_remove(at));
        drop(waiting);
        drop(waker);
        self.kept.tell();
    }
}

/// The future of one accept.
pub(super) struct Accepting<'l> {
    listener: &'l Descriptor,
    /// In flight from the first poll to the result.
    own: Option<Op<Accept>>,
    interest: Interest,
}

impl<'l> Accepting<'l> {
    pub(super) fn new(listener: &'l Descriptor, kept: &Rc<Kept>) -> Accepting<'l> {
        Accepting { listener, own: None, interest: Interest::new(kept) }
    }
}

impl Future for Accepting<'_> {
    type Output = io::Result<OwnedFd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let this = &mut *self;
        let mut own = match this.own.take() {
            Some(own) => own,
            None => match this.interest.poll(cx) {
                Poll::Ready(accepted) => return Poll::Ready(accepted),
                Poll::Pending => accept(this.listener),
            },
        };
        if let Poll::Ready(accepted) = Pin::new(&mut own).poll(cx) {
            return Poll::Ready(accepted);
        }
        this.own = Some(own);
        this.interest.poll(cx)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        // The others are told when the interest is dropped.
        if let Some(own) = self.own.take() {
            own.cancel();
            self.interest.kept.accepts.borrow_mut().push_back(own);
        }
    }
}
