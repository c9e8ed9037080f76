//! A core as the others see it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::exec::packet::{Packet, Parcel};
use crate::exec::remote::{Message, Post, Remote};
use crate::exec::{Handle, JoinHandle};

/// One core of a [`Cores`](crate::Cores), for any thread. Cheap to clone.
#[derive(Clone)]
pub struct CoreHandle {
    all: Arc<[Arc<Remote>]>,
    index: usize,
}

impl CoreHandle {
    pub(super) fn new(all: Arc<[Arc<Remote>]>, index: usize) -> Self {
        CoreHandle { all, index }
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.all[self.index]
    }

    /// The remote of another core of the group, if there is such a one.
    pub(in crate::exec) fn other(&self, index: usize) -> Option<&Remote> {
        self.all.get(index).filter(|_| index != self.index).map(Arc::as_ref)
    }

    /// The number of the core that runs the caller, if it is of the same group.
    fn home(&self) -> Option<u16> {
        Handle::try_with_current(|core| {
            let own = core?.group.get().filter(|own| Arc::ptr_eq(&own.all, &self.all))?;
            u16::try_from(own.index).ok()
        })
    }

    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many cores there are, this one included.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Another core of the same group, or this one.
    ///
    /// # Panics
    /// If there is none of this number.
    pub fn core(&self, index: usize) -> CoreHandle {
        assert!(index < self.all.len(), "core {index} of {}", self.all.len());
        CoreHandle { all: self.all.clone(), index }
    }

    /// All cores of the group, in the order of their numbers.
    pub fn cores(&self) -> impl ExactSizeIterator<Item = CoreHandle> + '_ {
        (0..self.count()).map(|index| self.core(index))
    }

    /// Has this core make a future and run it as one of its tasks, from wherever this is called. `start` travels,
    /// the future does not: it may hold what is not `Send`.
    ///
    /// A panic, in `start` too, reaches the handle, as [`abort`](JoinHandle::abort) reaches the task. If the core
    /// has ended, or ends before the task does, the handle gives a cancelled error. A core that is there for
    /// the others must stay: it ends when the future it was started with does.
    pub fn spawn<F, Fut>(&self, start: F) -> JoinHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let packet = Packet::new(start, self.home());
        // A message that is refused is dropped, and whoever waits hears of it.
        let _ = self.remote().send(Message::Start(Parcel::new(packet.clone())));
        JoinHandle::of_packet(packet)
    }
}

impl CoreHandle {
    /// Sends a message to this core, from wherever this is called, without an allocation: it
    /// [arrives](Post::arrive) there once. Messages of one thread arrive in order.
    ///
    /// Gives it back if the core has ended. If it ends before the message arrives, the message is dropped.
    pub fn post(&self, message: Arc<dyn Post>) -> Result<(), Arc<dyn Post>> {
        match self.remote().send(Message::Post(message)) {
            Err(Message::Post(message)) => Err(message),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for CoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoreHandle({} of {})", self.index, self.all.len())
    }
}
