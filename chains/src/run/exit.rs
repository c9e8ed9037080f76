//! How a frame ends, and who learns of it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use chainring_net::TcpStream;
use chainring_runtime::frame::Frame;

use super::control::{Gatekeeper, is_cancelled};
use super::runner::Runner;
use crate::error::ChainError;
use crate::future::Pending;
use crate::handle::{BuilderId, File, Place, Socket};
use crate::native::quietly;

/// What a frame that was spawned leaves behind.
#[derive(Debug)]
pub struct Exit<S> {
    /// Its session.
    pub session: S,
    /// The sockets and files that it owned.
    pub sockets: Sockets,
    /// Success, or the step that failed and why.
    pub result: Result<(), ChainError>,
}

/// The sockets and files of a frame that has ended. Those that are not taken are closed.
pub struct Sockets {
    pub(super) builder: BuilderId,
    pub(super) fds: Vec<Option<OwnedFd>>,
}

impl Sockets {
    /// Takes one. `None` if the frame had none there, or it was taken before.
    pub fn take(&mut self, socket: Socket) -> Option<TcpStream> {
        self.take_place(socket.0).map(TcpStream::from)
    }

    /// Takes a file. `None` if the frame had none there, or it was taken before.
    pub fn take_file(&mut self, file: File) -> Option<OwnedFd> {
        self.take_place(file.0)
    }

    fn take_place(&mut self, place: Place) -> Option<OwnedFd> {
        let own = place.builder == self.builder;
        self.fds.get_mut(usize::from(place.index)).filter(|_| own)?.take()
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.fds).finish()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Through the ring, as all sockets of the core are closed.
        self.fds.drain(..).flatten().for_each(|fd| drop(TcpStream::from(fd)));
    }
}

/// The side table's entry of a frame.
pub(super) struct Entry<S> {
    pub(super) session: S,
    pub(super) goes_to: GoesTo<S>,
    /// The future that it waits for.
    pub(super) pending: Option<Rc<dyn Pending<S>>>,
}

impl<S> Entry<S> {
    pub(super) fn new(session: S, goes_to: GoesTo<S>) -> Self {
        Entry { session, goes_to, pending: None }
    }
}

/// Who learns of a frame's end.
pub(super) enum GoesTo<S> {
    /// A `ChainHandle`, if it is still there.
    Handle(Rc<Awaited<S>>),
    /// The `serve` that accepted the connection.
    Server(Rc<Server<S>>),
}

/// Between a frame and its `ChainHandle`.
pub(super) struct Awaited<S> {
    pub(super) exit: RefCell<Option<Exit<S>>>,
    /// The frame has ended: its key may soon be another's.
    pub(super) ended: Cell<bool>,
    pub(super) waker: Cell<Option<Waker>>,
    pub(super) detached: Cell<bool>,
}

pub(super) type OnExit<S> = dyn Fn(S, Result<(), ChainError>);

/// Between the frames of a `serve` and its accepting side.
pub(super) struct Server<S> {
    pub(super) on_exit: Option<Box<OnExit<S>>>,
    pub(super) gatekeeper: Rc<Gatekeeper>,
}

impl<S: 'static> Runner<S> {
    /// The frame ends: it is freed first, so that whoever learns of it finds the room.
    pub(super) fn end(&self, mut frame: Frame<'_>, result: Result<(), ChainError>) {
        self.leave_groups(&frame);
        let program = &self.program.0;
        self.disarm(&frame, 0);
        let Some(Entry { session, goes_to, pending }) = self.sessions.take(frame.key().index()) else {
            return frame.free();
        };
        pending.into_iter().for_each(|pending| pending.abandon());
        match goes_to {
            GoesTo::Server(server) => {
                frame.free();
                let was_cancelled = is_cancelled(&result);
                quietly(|| match &server.on_exit {
                    Some(on_exit) => on_exit(session, result),
                    None => drop(session),
                });
                server.gatekeeper.ended(was_cancelled);
                // With the last frame of a server that is gone, what its closures have captured goes.
                quietly(|| drop(server));
            }
            GoesTo::Handle(awaited) => {
                let fds = (0..program.layout.descriptors).map(|i| frame.take_descriptor(i)).collect();
                frame.free();
                let exit = Exit { session, sockets: Sockets { builder: program.id, fds }, result };
                if awaited.detached.get() {
                    return quietly(|| drop((exit, awaited)));
                }
                awaited.ended.set(true);
                awaited.exit.replace(Some(exit));
                if let Some(waker) = awaited.waker.take() {
                    quietly(|| waker.wake());
                }
                // The handle may be gone by now.
                quietly(|| drop(awaited));
            }
        }
    }
}
