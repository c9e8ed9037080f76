//! The end of a server: whoever holds its control stops it, and waits for its connections.
//!
//! The gate is shared by the server's accepting side, by its frames, which tell it of their ends, and by its controls. It
//! says what is wanted, and is told what is so:
//!
//! ```text
//! open -- stop --> stopped: accepts no more; whom the kernel has accepted already is still served
//!                     `-- cut --> closed: nobody gets a frame any more, and those that run are cancelled
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use chainring_runtime::frame::Frames;
use chainring_runtime::time::timeout;

use super::runner::Runner;
use crate::error::{ChainError, ErrorKind};
use crate::native::quietly;

/// What is wanted of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    #[default]
    Open,
    Stopped,
    Closed,
}

/// All frames of a server, whatever their session.
pub(super) trait CancelAll {
    fn cancel_all(&self);
}

impl<S: 'static> CancelAll for Frames<Runner<S>> {
    fn cancel_all(&self) {
        Frames::cancel_all(self);
    }
}

/// Between a server, its frames and its controls.
#[derive(Default)]
pub(super) struct Gatekeeper {
    gate: Cell<Gate>,
    /// Whether somebody accepts, or gives frames to whom was accepted.
    accepts: Cell<bool>,
    /// Frames that have not ended.
    live: Cell<u32>,
    /// Frames that ended by being cancelled.
    cancelled: Cell<u32>,
    frames: RefCell<Option<Weak<dyn CancelAll>>>,
    /// The accepting side, which waits for room, for connections or for the gate.
    accepting: Cell<Option<Waker>>,
    /// Those who wait for the end.
    waiting: RefCell<Vec<Waker>>,
}

impl Gatekeeper {
    pub(super) fn gate(&self) -> Gate {
        self.gate.get()
    }

    /// Moves the gate, never back.
    fn move_to(&self, gate: Gate) {
        if self.gate.get() < gate {
            self.gate.set(gate);
            self.wake_accepting();
        }
    }

    /// A server has begun to accept: these are its frames. It is over when the value is dropped.
    pub(super) fn begin(self: &Rc<Self>, frames: Weak<dyn CancelAll>) -> Accepts {
        self.frames.replace(Some(frames));
        self.accepts.set(true);
        Accepts(self.clone())
    }

    pub(super) fn await_as_accepting(&self, waker: &Waker) {
        drop(self.accepting.replace(Some(waker.clone())));
    }

    fn wake_accepting(&self) {
        if let Some(waker) = self.accepting.take() {
            quietly(|| waker.wake());
        }
    }

    /// A frame starts.
    pub(super) fn started(&self) {
        self.live.set(self.live.get() + 1);
    }

    /// A frame that was counted has ended, or never started.
    pub(super) fn ended(&self, was_cancelled: bool) {
        self.live.set(self.live.get() - 1);
        self.cancelled.set(self.cancelled.get() + u32::from(was_cancelled));
        self.wake_accepting();
        if self.live.get() == 0 {
            self.wake_waiting();
        }
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waker in waiting {
            quietly(|| waker.wake());
        }
    }

    /// Waits until no frame is there, and none will come.
    pub(super) async fn is_empty(&self) {
        poll_fn(|cx| {
            let none_comes = !self.accepts.get() || self.gate.get() == Gate::Closed;
            if self.live.get() == 0 && none_comes {
                return Poll::Ready(());
            }
            let knows = self.waiting.borrow().iter().any(|waker| waker.will_wake(cx.waker()));
            if !knows {
                let waker = cx.waker().clone();
                self.waiting.borrow_mut().push(waker);
            }
            Poll::Pending
        })
        .await;
    }
}

/// Whether a frame that ended like this was cancelled.
pub(super) fn is_cancelled(result: &Result<(), ChainError>) -> bool {
    matches!(result, Err(error) if matches!(error.kind(), ErrorKind::Cancelled { .. }))
}

/// The accepting side of a server.
pub(super) struct Accepts(Rc<Gatekeeper>);

impl Drop for Accepts {
    fn drop(&mut self) {
        self.0.accepts.set(false);
        self.0.wake_waiting();
    }
}

/// Stops a server from outside of it. Made by [`Serve::control`](crate::Serve::control); clones do the same, and belong to
/// the core that serves. Dropping it does nothing.
#[derive(Clone)]
pub struct ServeControl(pub(super) Rc<Gatekeeper>);

impl ServeControl {
    /// Accepts no more. Whom the kernel has accepted by then is still served; whoever waits in its queue is turned away
    /// when the listener is closed, which is as soon as the kernel has heard of it. The server's future ends with the last
    /// connection.
    ///
    /// Before the server is awaited, it then ends at once; when it has ended, nothing happens.
    pub fn stop_accepting(&self) {
        self.0.move_to(Gate::Stopped);
    }

    /// Accepts no more and gives the connections `limit` to end by themselves; those that have not are cancelled then, and
    /// waited for. Gives how many were cancelled.
    ///
    /// Nobody else is told: a connection that waits for the next request of its peer waits until the limit, and is broken
    /// off then. A chain ends earlier if it looks between two requests, at a word of the core that whoever drains sets:
    /// `c.when(ending.ne(0), |c| c.finish())` with `ending` of a [`Shared`](crate::Shared).
    ///
    /// Dropping the future cancels nobody; accepting stays stopped. It may be called more than once: each call waits, and
    /// the shortest limit counts.
    ///
    /// # Panics
    /// When awaited outside of a runtime.
    pub async fn drain(&self, limit: Duration) -> u32 {
        let gatekeeper = &self.0;
        let before = gatekeeper.cancelled.get();
        gatekeeper.move_to(Gate::Stopped);
        if timeout(limit, gatekeeper.is_empty()).await.is_err() {
            gatekeeper.move_to(Gate::Closed);
            let frames = gatekeeper.frames.borrow().as_ref().and_then(Weak::upgrade);
            if let Some(frames) = frames {
                frames.cancel_all();
            }
            gatekeeper.is_empty().await;
        }
        gatekeeper.cancelled.get() - before
    }

    /// Connections that have a frame now.
    pub fn connections(&self) -> u32 {
        self.0.live.get()
    }
}

impl fmt::Debug for ServeControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gate, connections) = (self.0.gate.get(), self.0.live.get());
        f.debug_struct("ServeControl").field("gate", &gate).field("connections", &connections).finish()
    }
}
