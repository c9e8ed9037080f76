//! Accepts that outlive their futures.
//!
//! Whoever drops the future of an accept cannot know whether the kernel has a connection for it already, and whoever
//! connected believes to be accepted. So the operation is not cancelled: the listener keeps it in flight, and the next
//! accept goes on with it. Each future has an operation of its own, so that one that is not polled holds up nobody else;
//! there are as many operations as there were futures at the same time.
//!
//! An operation wakes the one who has polled it last. All who wait for a connection poll those that are kept, too, and
//! say how they are woken: when one of them leaves, be it with a connection, what is kept may have nobody to wake, and
//! all others look again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use chainring_runtime::Descriptor;
use chainring_runtime::op::Op;
use chainring_runtime::op::accept::{Accept, accept};
use futures::Future;

/// The accepts of a listener that nobody owns, the oldest first, and those who would take their connections. Dropping
/// it cancels them; a connection that comes all the same is closed.
#[derive(Default)]
pub(super) struct Kept {
    /// All have been submitted.
    accepts: RefCell<Vec<Op<Accept>>>,
    waiting: RefCell<Vec<(u64, Waker)>>,
    next: Cell<u64>,
}

impl Kept {
    /// The oldest; not one of another runtime, which may have ended.
    fn take(&self) -> Option<Op<Accept>> {
        loop {
            let mut accepts = self.accepts.borrow_mut();
            let oldest = (!accepts.is_empty()).then(|| accepts.remove(0))?;
            drop(accepts);
            if oldest.is_here() {
                return Some(oldest);
            }
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        // Nothing is borrowed while wakers are cloned and dropped, which is foreign code.
        let mut polled = Vec::new();
        let mut result = Poll::Pending;
        while result.is_pending()
            && let Some(mut accept) = self.take()
        {
            result = Pin::new(&mut accept).poll(cx);
            if result.is_pending() {
                polled.push(accept);
            }
        }
        if !polled.is_empty() {
            self.accepts.borrow_mut().splice(0..0, polled);
        }
        result
    }

    /// Lets all who wait look at what is kept, if there is anything.
    fn tell(&self) {
        if !self.accepts.borrow().is_empty() {
            let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.accepts.borrow().len())
    }
}

/// Somebody who waits for a connection, and takes that of a kept accept, too.
pub(super) struct Interest {
    kept: Rc<Kept>,
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
            None => this.interest.kept.take().unwrap_or_else(|| accept(this.listener)),
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
            self.interest.kept.accepts.borrow_mut().push(own);
        }
    }
}
