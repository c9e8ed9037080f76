//! Taking connections from a listener, of whatever family.
//!
//! A listener owns its descriptor and one moment: until when it rests. Without descriptors or memory (EMFILE,
//! ENFILE, ENOBUFS, ENOMEM) accept fails at once and would again: the connection stays in the backlog. So whoever
//! accepts is told the error once, and what comes next waits for a moment before it asks the kernel again.
//!
//! It also owns the accepts whose futures were dropped, until it is known what has become of them: see [`kept`].

mod kept;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use chainring_runtime::op::Multishot;
use chainring_runtime::op::accept::{AcceptMulti, accept_direct, accept_multi};
use chainring_runtime::time::{Sleep, now, sleep_until};
use chainring_runtime::{Descriptor, DirectDescriptor};
use futures::{Future, Stream};
use kept::{Accepting, Interest, Kept};

/// How long a listener rests when there is a shortage.
const REST: Duration = Duration::from_millis(50);

/// A listening descriptor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    pub(crate) descriptor: Descriptor,
    rests_until: Cell<Option<Instant>>,
    /// Shared with those who wait for one of them.
    kept: Rc<Kept>,
}

impl Acceptor {
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Acceptor { descriptor, rests_until: Cell::new(None), kept: Rc::default() }
    }

    /// The descriptor; a duplicate of it, if operations on it are still in flight.
    pub(crate) fn into_owned(self) -> io::Result<OwnedFd> {
        drop(self.kept);
        match self.descriptor.try_into_owned() {
            Ok(fd) => Ok(fd),
            Err(shared) => shared.as_fd().try_clone_to_owned(),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Descriptor> {
        self.rest().await;
        let accepted = Accepting::new(&self.descriptor, &self.kept).await;
        self.mind_shortage(accepted).map(|fd| self.inherit(fd))
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

/// The connections of a listener, a stream: [`TcpListener::incoming`](crate::TcpListener::incoming) and
/// [`UnixListener::incoming`](crate::UnixListener::incoming) make it. They are taken with one multishot submission (kernel 5.19) that is renewed as long as the
/// stream is polled. It never ends.
///
/// After an error the next poll tries again. Where the process has no descriptors left, or the kernel no memory, it
/// does so after a pause of 50 ms; whoever connects meanwhile waits in the backlog and is not lost.
///
/// Dropping the future of `next()`, in `select!` or with a timeout, loses nothing: what has come is given out by the next
/// one. Dropping the stream stops accepting; connections that were accepted and not taken are closed.
///
/// ```
/// use chainring_net::{TcpListener, TcpStream};
/// use futures::StreamExt;
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// let _client = TcpStream::connect(listener.local_addr()?).await?;
/// let mut incoming = listener.incoming();
/// while let Some(accepted) = incoming.next().await {
///     match accepted {
///         Ok(stream) => println!("{} has come", stream.peer_addr()?),
///         // That of one connection; or there are no descriptors left, and it pauses before it tries again.
///         Err(error) => eprintln!("accept: {error}"),
///     }
/// #   break;
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l, S> {
    listener: &'l Acceptor,
    kept: Interest,
    accepting: Option<Multishot<AcceptMulti>>,
    rest: Option<Sleep>,
    /// Whether `accepting` was told to stop; it then ends with ECANCELED, also if accepting has been resumed.
    stopped: bool,
    paused: bool,
    make: fn(Descriptor) -> S,
}

impl<'l, S> Incoming<'l, S> {
    pub(crate) fn new(listener: &'l Acceptor, make: fn(Descriptor) -> S) -> Self {
        let kept = Interest::new(&listener.kept);
        Incoming { listener, kept, accepting: None, rest: None, stopped: false, paused: false, make }
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
        self.paused && self.accepting.is_none() && self.kept.kept.is_empty()
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
        // First those who came for an accept that was dropped, in a pause, too: they were accepted before.
        if let Poll::Ready(accepted) = this.kept.poll(cx) {
            let accepted = this.listener.mind_shortage(accepted);
            return Poll::Ready(Some(accepted.map(|fd| (this.make)(this.listener.inherit(fd)))));
        }
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

/// The descriptor of a listener, in and out.
macro_rules! listener {
    ($listener:ident, $std:ty, $family:literal) => {
        impl $listener {
            /// Takes over a listening socket of the standard library. It is made blocking, which only its operations by
            /// other means than the ring can tell.
            pub fn from_std(listener: $std) -> $listener {
                $listener(crate::accept::Acceptor::new(crate::socket::adopt(listener)))
            }

            /// The socket as one of the standard library, blocking; a duplicate of it, if operations on it are still in
            /// flight. A connection that came for an accept whose future was dropped, and that nobody has taken since, is
            /// closed.
            pub fn into_std(self) -> std::io::Result<$std> {
                self.0.into_owned().map(<$std>::from)
            }

            /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here.
            pub fn descriptor(&self) -> &chainring_runtime::Descriptor {
                &self.0.descriptor
            }
        }

        #[doc = concat!("Takes over a descriptor, which should be that of a listening ", $family, " socket in blocking mode.")]
        impl From<std::os::fd::OwnedFd> for $listener {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                $listener(crate::accept::Acceptor::new(chainring_runtime::Descriptor::new(fd)))
            }
        }

        /// The descriptor; the pause after a shortage is forgotten.
        impl From<$listener> for chainring_runtime::Descriptor {
            fn from(listener: $listener) -> Self {
                listener.0.descriptor
            }
        }

        impl std::os::fd::AsFd for $listener {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.descriptor.as_fd()
            }
        }
    };
}
pub(crate) use listener;
