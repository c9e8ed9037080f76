//! Synchronization groups: one frame at a time, in order of arrival.
//!
//! ```text
//! enter, and nobody is inside          the frame holds the group and goes on at once
//! enter, and somebody is               it waits at the end of the queue
//! the holder leaves, or ends           the first of the queue holds the group, and is called
//! a waiting frame is interrupted       it leaves the queue; if it was just made the holder, it passes the group on
//! ```
//!
//! The group changes hands when the holder leaves, and not when the next one runs: nobody who comes in between overtakes.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use chainring_runtime::{Handle, Key};

use super::queue::Queue;

/// A synchronization group, for [`serial`](crate::Chain::serial): among all frames inside of it on a core there is one at a
/// time. Cheap to clone; a clone is the same group. It may be given to several chains, and has a queue on each core.
#[derive(Clone)]
pub struct Group(Arc<Name>);

#[derive(Debug)]
struct Name(Box<str>);

impl Group {
    /// A new group. The name is for messages.
    pub fn new(name: &str) -> Group {
        Group(Arc::new(Name(name.into())))
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// How many frames wait for it on the core that runs the caller.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn waiting(&self) -> usize {
        self.on(&Handle::current()).queue.len()
    }

    pub(crate) fn on(&self, core: &Handle) -> Rc<Turns> {
        core.core_local(&self.0, Turns::default)
    }

    pub(crate) fn is(&self, other: &Group) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Group").field(&self.name()).finish()
    }
}

/// A group on a core.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    holder: Cell<Option<Key>>,
    queue: Queue,
}

impl Turns {
    /// Whether the frame holds the group.
    pub(crate) fn is_held_by(&self, frame: Key) -> bool {
        self.holder.get() == Some(frame)
    }

    /// The frame enters, if nobody is inside; else it waits in the queue from now on.
    pub(crate) fn enter(&self, frame: Key) -> bool {
        if self.holder.get().is_none() {
            self.holder.set(Some(frame));
            return true;
        }
        self.queue.push(frame);
        false
    }

    /// The frame is inside no more, if it was: the next one is.
    pub(crate) fn leave(&self, core: &Handle, frame: Key) {
        if self.is_held_by(frame) {
            let next = self.queue.pop();
            self.holder.set(next);
            if let Some(next) = next {
                core.call_frame(next);
            }
        }
    }

    /// The frame waits no more.
    pub(crate) fn give_up(&self, core: &Handle, frame: Key) {
        if !self.queue.remove(frame) {
            self.leave(core, frame);
        }
    }
}
