//! Taking connections from a listener, of whatever family.
//!
//! A listener owns its descriptor and one moment: until when it rests. Without descriptors or memory (EMFILE,
//! ENFILE, ENOBUFS, ENOMEM) accept fails at once and would again: the connection stays in the backlog. So whoever
//! accepts is told the error once, and what comes next waits for a moment before it asks the kernel again.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use chainring_runtime::op::Multishot;
use chainring_runtime::op::accept::{AcceptMulti, accept, accept_direct, accept_multi};
use chainring_runtime::time::{Sleep, now, sleep_until};
use chainring_runtime::{Descriptor, DirectDescriptor};
use futures::{Future, Stream};

/// How long a listener rests when there is a shortage.
const REST: Duration = Duration::from_millis(50);

/// A listening descriptor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) descriptor: Descriptor,
    rests_until: Cell<Option<Instant>>,
}

impl Acceptor {
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Acceptor { descriptor, rests_until: Cell::new(None) }
    }

    pub(crate) async fn accept(&self) -> io::Result<Descriptor> {
        self.rest().await;
        self.mind_shortage(accept(&self.descriptor).await).map(|fd| self.inherit(fd))
    }

    /// Waits until the rest is over. It is for all who accept, and goes on if one that waits gives up.
    async fn rest(&self) {
        if let Some(moment) = self.rests_until.get() {
            sleep_until(moment).await;
            self.rested(moment);
        }
    }

    fn rested(&self, until: Instant) {
        if self.rests_until.get() == Some(until) {
            self.rests_until.set(None);
        }
    }

    /// An accepted connection has the options of its listener, lingering among them.
    fn inherit(&self, accepted: OwnedFd) -> Descriptor {
        let accepted = Descriptor::new(accepted);
        if self.descriptor.closes_in_background() {
            accepted.close_in_background(true);
        }
        accepted
    }

    pub(crate) async fn accept_direct(&self) -> io::Result<DirectDescriptor> {
        self.rest().await;
        let accepted = match accept_direct(&self.descriptor) {
            Ok(accepting) => accepting.await,
            Err(error) => Err(error),
        };
        self.mind_shortage(accepted)
    }

    /// Looks whether accepting failed in a way that will last for a while.
    fn mind_shortage<T>(&self, accepted: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &accepted
            && matches!(
                error.raw_os_error(),
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
            )
        {
            self.rests_until.set(Some(now() + REST));
        }
        accepted
    }
}

/// The connections of a listener, taken with one multishot submission (kernel 5.19) that is renewed as long as the
/// stream is polled. It never ends.
///
/// After an error the next poll tries again. Where the process has no descriptors left, or the kernel no memory, it
/// does so after a pause of 50 ms; whoever connects meanwhile waits in the backlog and is not lost.
///
/// Dropping it stops accepting; connections that were accepted and not taken are closed.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l, S> {
    listener: &'l Acceptor,
    accepting: Option<Multishot<AcceptMulti>>,
    rest: Option<Sleep>,
    /// Whether `accepting` was told to stop; it then ends with ECANCELED, also if accepting has been resumed.
    stopped: bool,
    paused: bool,
    make: fn(Descriptor) -> S,
}

impl<'l, S> Incoming<'l, S> {
    pub(crate) fn new(listener: &'l Acceptor, make: fn(Descriptor) -> S) -> Self {
        Incoming { listener, accepting: None, rest: None, stopped: false, paused: false, make }
    }

    /// Accepts no more until [`resume`](Incoming::resume). Connections that the kernel has accepted until it
    /// hears of it are still given out; then the stream is pending.
    pub fn pause(&mut self) {
        if !self.paused {
            self.paused = true;
            if let Some(accepting) = self.accepting.as_mut().filter(|_| !self.stopped) {
                accepting.stop();
                self.stopped = true;
            }
        }
    }

    /// Whether it is paused and the kernel has heard of it: nothing more comes before
    /// [`resume`](Incoming::resume). Known once the stream has been pending.
    pub fn has_stopped(&self) -> bool {
        self.paused && self.accepting.is_none()
    }

    /// Accepts again.
    pub fn resume(&mut self) {
        self.paused = false;
    }
}

impl<S> Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let accepting = match &mut this.accepting {
                Some(accepting) => accepting,
                None if this.paused => return Poll::Pending,
                vacant => {
                    if this.rest.is_none() {
                        this.rest = this.listener.rests_until.get().map(sleep_until);
                    }
                    if let Some(rest) = &mut this.rest {
                        ready!(Pin::new(&mut *rest).poll(cx));
                        this.listener.rested(rest.deadline());
                        this.rest = None;
                    }
                    vacant.insert(accept_multi(&this.listener.descriptor))
                }
            };
            match ready!(Pin::new(accepting).poll_next(cx)) {
                // Our own `stop`; what follows is the end of the multishot.
                Some(Err(error)) if this.stopped && error.raw_os_error() == Some(libc::ECANCELED) => {}
                Some(accepted) => {
                    let accepted = this.listener.mind_shortage(accepted);
                    return Poll::Ready(Some(accepted.map(|fd| (this.make)(this.listener.inherit(fd)))));
                }
                // The kernel has ended the multishot: start another.
                None => (this.accepting, this.stopped) = (None, false),
            }
        }
    }
}

impl<S> fmt::Debug for Incoming<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("listener", self.listener).field("paused", &self.paused).finish()
    }
}
