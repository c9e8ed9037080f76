//! Events: messages without content, counted.
//!
//! An event has a count on each core, and a queue of those who wait. A post adds one to the count, and somebody takes it,
//! now or later, so none is lost; and only one does, so none is doubled.
//!
//! ```text
//! count     posts that nobody has taken
//! queue     those who wait, in order; each of the first `count` has been called, and its post is reserved
//!
//! post                       count + 1; calls number `count` of the queue, if there are as many
//! wait, count > queue        takes one and goes on
//! wait, else                 to the end of the queue
//! called                     if it is among the first `count`: takes one, and leaves the queue
//! interrupted                leaves the queue; if it was among the first `count`, the next one is called in its place
//! ```
//!
//! A post to another core is a message to it, which carries no memory: it comes in the order in which it was sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chainring_runtime::{CoreHandle, Handle, Post};

use super::queue::Waiter;

/// An event: frames and tasks [wait](Event::wait) for it, and frames, tasks and other cores [post](Event::notify) it. Cheap to
/// clone; a clone is the same event. It may be given to several chains.
///
/// Each core has its own count. Posts are counted: each lets one waiter of its core go on, the one that has waited longest,
/// or the next that comes. They are kept as long as the event is.
#[derive(Clone)]
pub struct Event(Arc<Name>);

#[derive(Debug)]
struct Name(Box<str>);

impl Event {
    /// A new event. The name is for messages.
    pub fn new(name: &str) -> Event {
        Event(Arc::new(Name(name.into())))
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// Posts it on the core that runs the caller.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn notify(&self) {
        let core = Handle::current();
        self.on(&core).post(&core);
    }

    /// Posts it on a core, from any thread. False if that core has ended. If it ends before the post arrives, nobody hears
    /// of it.
    pub fn notify_on(&self, core: &CoreHandle) -> bool {
        core.post(self.0.clone()).is_ok()
    }

    /// Waits for a post on the core that runs the caller when it is first polled, and takes it. Dropping the future takes
    /// none: one that was meant for it goes to the next.
    ///
    /// # Panics
    /// When it is first polled outside of a runtime.
    pub fn wait(&self) -> Waiting {
        Waiting { event: self.clone(), begun: None }
    }

    /// Posts on the core that runs the caller that nobody has taken yet.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn count(&self) -> u64 {
        self.on(&Handle::current()).count.get()
    }

    pub(crate) fn on(&self, core: &Handle) -> Rc<Posts> {
        core.core_local(&self.0, Posts::default)
    }

    pub(crate) fn is(&self, other: &Event) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Post for Name {
    fn arrive(self: Arc<Self>, core: &Handle) {
        core.core_local(&self, Posts::default).post(core);
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.name()).finish()
    }
}

/// An event on a core.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    count: Cell<u64>,
    /// By numbers that rise.
    queue: RefCell<VecDeque<(u64, Waiter)>>,
    next_number: Cell<u64>,
}

impl Posts {
    pub(crate) fn post(&self, core: &Handle) {
        self.count.set(self.count.get() + 1);
        self.call_last(core);
    }

    /// Takes a post, if there is one that is reserved for nobody; else waits in the queue, under the number given.
    pub(crate) fn wait(&self, waiter: impl FnOnce() -> Waiter) -> Result<(), u64> {
        let mut queue = self.queue.borrow_mut();
        if self.count.get() > queue.len() as u64 {
            self.count.set(self.count.get() - 1);
            return Ok(());
        }
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        queue.push_back((number, waiter()));
        Err(number)
    }

    /// Whether a post is reserved for whoever waits under this number.
    pub(crate) fn has_come(&self, number: u64) -> bool {
        self.place(number).is_some_and(|place| (place as u64) < self.count.get())
    }

    /// Whoever waits under this number takes its post, if it has come.
    pub(crate) fn take(&self, number: u64) -> bool {
        let has_come = self.has_come(number);
        if has_come {
            self.count.set(self.count.get() - 1);
            self.remove(number);
        }
        has_come
    }

    /// Whoever waits under this number waits no more.
    pub(crate) fn give_up(&self, core: &Handle, number: u64) {
        let had_come = self.has_come(number);
        self.remove(number);
        if had_come {
            self.call_last(core);
        }
    }

    /// Calls another in place of the one that waits under this number.
    fn replace(&self, number: u64, waiter: Waiter) {
        let place = self.place(number);
        let before = place.map(|place| std::mem::replace(&mut self.queue.borrow_mut()[place].1, waiter));
        drop(before);
    }

    /// The last one of those for whom there is a post has not been called.
    fn call_last(&self, core: &Handle) {
        let last = usize::try_from(self.count.get() - 1).ok();
        let called = last.and_then(|last| self.queue.borrow().get(last).map(|(_, waiter)| waiter.again()));
        if let Some(called) = called {
            called.call(core);
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.queue.borrow().binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    fn remove(&self, number: u64) {
        let place = self.place(number);
        let removed = place.and_then(|place| self.queue.borrow_mut().remove(place));
        drop(removed);
    }
}

/// The future of [`Event::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Waiting {
    event: Event,
    begun: Option<Begun>,
}

/// A wait in the queue of a core.
struct Begun {
    core: Handle,
    posts: Rc<Posts>,
    number: u64,
    waker: Waker,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let waiter = || Waiter::Task(cx.waker().clone());
        if let Some(begun) = &mut this.begun {
            if begun.posts.take(begun.number) {
                this.begun = None;
                return Poll::Ready(());
            }
            if !begun.waker.will_wake(cx.waker()) {
                begun.waker = cx.waker().clone();
                begun.posts.replace(begun.number, waiter());
            }
            return Poll::Pending;
        }
        let core = Handle::current();
        let posts = this.event.on(&core);
        match posts.wait(waiter) {
            Ok(()) => Poll::Ready(()),
            Err(number) => {
                this.begun = Some(Begun { core, posts, number, waker: cx.waker().clone() });
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Begun { core, posts, number, .. }) = &self.begun {
            posts.give_up(core, *number);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.event.name()).finish()
    }
}
