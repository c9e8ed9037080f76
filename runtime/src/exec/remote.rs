//! The part of a core that other threads may touch: a queue of what they want of it, and a bell.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use concurrent_queue::ConcurrentQueue;

use super::Handle;
use super::bell::{self, Bell};
use super::packet::{Answer, Parcel};
use super::sleeper::Sleeper;
use super::task::TaskRef;
use crate::driver::Driver;

/// What another thread wants of a core.
pub(super) enum Message {
    /// A task was woken there.
    Wake(TaskRef),
    /// A future is to be made and run there.
    Start(Parcel),
    /// The result of what was sent from here is there.
    Answer(Answer),
    /// Something that has a word for the core.
    Post(Arc<dyn Post>),
}

/// What [`CoreHandle::post`](super::CoreHandle::post) sends.
pub trait Post: Send + Sync {
    /// Called on the core's thread, between tasks. It must not block.
    fn arrive(self: Arc<Self>, core: &Handle);
}

/// Shared by a core with every waker of its tasks, wherever they are.
pub(crate) struct Remote {
    queue: ConcurrentQueue<Message>,
    sleeper: Sleeper,
    /// Whether the ring watches the bell; used by the core's thread only.
    armed: AtomicBool,
    bell: Bell,
    /// A second descriptor of the core's ring, where other rings may send to it.
    ring: OnceLock<OwnedFd>,
}

impl Remote {
    pub(crate) fn new() -> io::Result<Remote> {
        Ok(Remote {
            queue: ConcurrentQueue::unbounded(),
            sleeper: Sleeper::new(),
            armed: AtomicBool::new(false),
            bell: Bell::lease()?,
            ring: OnceLock::new(),
        })
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Puts a woken task into the queue, from any thread.
    pub(super) fn wake_task(&self, task: TaskRef) {
        // A core that has ended has no task that is not done: the wake is void, and the reference is dropped.
        let _ = self.send(Message::Wake(task));
    }

    /// Puts a message into the queue, from any thread; gives it back if the core has ended.
    pub(super) fn send(&self, message: Message) -> Result<(), Message> {
        self.queue.push(message).map_err(|refused| refused.into_inner())?;
        if self.sleeper.mark() {
            self.ring_bell();
        }
        Ok(())
    }

    #[cold]
    fn ring_bell(&self) {
        let sent = self.ring.get().is_some_and(|ring| {
            Handle::try_current()
                .is_some_and(|sender| sender.driver().ring_other(ring.as_raw_fd(), self.bell.raw()))
        });
        if !sent {
            self.bell.ring();
        }
    }

    /// Lets other rings send to this core's.
    pub(super) fn set_ring(&self, ring: OwnedFd) {
        // Only the first counts; a core has one ring.
        let _ = self.ring.set(ring);
    }

    pub(super) fn pop(&self) -> Option<Message> {
        self.queue.pop().ok()
    }

    /// The messages that are there now. Dropped halfway, as when a message panics, it leaves the rest for later.
    pub(super) fn batch(&self) -> Batch<'_> {
        self.sleeper.begin();
        Batch { remote: self, left: self.queue.len() }
    }

    /// Whether nothing has been pushed since the last batch.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.sleeper.is_marked()
    }

    /// Announces that the core is about to sleep. Look at the queue once more afterwards.
    pub(super) fn fall_asleep(&self) {
        self.sleeper.fall_asleep();
    }

    pub(super) fn get_up(&self) {
        self.sleeper.get_up();
    }

    /// Has the core's ring watch the bell, if it does not yet. False if there was no room: the core must not
    /// sleep then.
    pub(super) fn arm_bell(&self, driver: &Driver) -> bool {
        let armed = self.is_armed() || driver.push(bell::entry(self.bell.raw()));
        self.armed.store(armed, Ordering::Relaxed);
        armed
    }

    /// Whether the core's ring watches the bell.
    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The ring's watch has ended because the bell was rung.
    pub(super) fn bell_rang(&self) {
        self.armed.store(false, Ordering::Relaxed);
        self.bell.quiet();
    }

    /// Takes no more messages; those that are in the queue are left to be popped.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Takes no more messages, and drops those that are there: nobody will come for them.
    pub(super) fn shut(&self) {
        self.close();
        while let Some(message) = self.pop() {
            drop(message);
        }
    }
}

/// See [`Remote::batch`].
pub(super) struct Batch<'r> {
    remote: &'r Remote,
    left: usize,
}

impl Iterator for Batch<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.left = self.left.checked_sub(1)?;
        self.remote.pop()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.left > 0 {
            self.remote.sleeper.leave();
        }
    }
}
