//! How a core that falls asleep and a thread that has something for it never miss each other.
//!
//! ```text
//! a thread:  put it into the queue;  fence;  marked?  -> if it is not: mark; fence
//!                                            asleep?  -> if it was: ring the bell
//! the core:                          asleep = 1;  fence;  marked?  -> if it is not: wait for the bell
//!            take the mark away;     fence;  empty the queue
//! ```
//!
//! Of two fences one comes first, so one of the two sides sees what the other wrote. Whoever takes `asleep` back rings, so
//! a sleep costs one ring however many threads come. What was in the queue before a mark is seen by the core once it has
//! taken the mark away; and what was put there under a mark that was standing, too: had the core taken it away before the
//! fence of that thread, the thread would not have seen it stand. So of those who come between two turns one writes to
//! words that the core looks at, and the others only read them. Whoever finds a mark asks whether the core sleeps all the
//! same: whoever set it does, too, but may have been interrupted before.
//!
//! Every write is a swap. For `marked` it has to be: each continues the release sequence of those before it, so that one look
//! at the mark sees what everybody pushed whose mark it covers, also that of a thread whose mark [`leave`](Sleeper::leave)
//! has covered. For `asleep` it makes the order of all writes plain to see, for loom too; a sleep is a system call, to
//! which a swap adds nothing.
//!
//! Nothing but two atomics, over the shim `super::atomic`: `runtime/models` puts loom's in their place and runs through all
//! that threads can do to each other here.

use super::atomic::{AtomicBool, Ordering, fence};

/// What is known of a core's sleep by everybody, and of its queue by the core without a look at it.
pub(crate) struct Sleeper {
    /// Set behind a push, cleared before the queue is emptied.
    marked: AtomicBool,
    asleep: AtomicBool,
}

impl Sleeper {
    pub(crate) fn new() -> Self {
        Sleeper { marked: AtomicBool::new(false), asleep: AtomicBool::new(false) }
    }

    /// Something is in the queue, put there by the caller. True if the core has to be told by its bell.
    #[must_use]
    pub(crate) fn mark(&self) -> bool {
        // Pairs with that in `begin`.
        fence(Ordering::SeqCst);
        if !self.marked.load(Ordering::Relaxed) {
            self.marked.swap(true, Ordering::Release);
            // Pairs with the fence in `fall_asleep`.
            fence(Ordering::SeqCst);
        }
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }

    /// Whether something has been marked that the core has not begun to take.
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Relaxed)
    }

    /// The core begins to take what is in the queue.
    pub(crate) fn begin(&self) {
        self.marked.swap(false, Ordering::Acquire);
        // Pairs with the first one in `mark`.
        fence(Ordering::SeqCst);
    }

    /// The core has left something in the queue.
    pub(crate) fn leave(&self) {
        self.marked.swap(true, Ordering::Relaxed);
    }

    /// The core announces that it is about to sleep. It must not if something is marked afterwards.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The core is awake, whatever has woken it.
    pub(crate) fn get_up(&self) {
        self.asleep.swap(false, Ordering::Relaxed);
    }
}
