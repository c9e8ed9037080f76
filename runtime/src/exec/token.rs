//! Cancellation that many can wait for, as a tree.
//!
//! A token's clones share one node. A child's node holds its parent's, and the parent lists its children by
//! weak references: cancelling goes down the tree, never up, and a token that nobody holds any more takes
//! itself off its parent's list. Locks are held for a few moves, of one node at a time, and never while a waker
//! runs.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker, ready};

use futures::future::{Either, select};
use slab::Slab;

use super::{budget, wake_all};

/// Tells any number of tasks, on any core or thread, that they are to end.
///
/// ```
/// # use chainring_runtime::{CancellationToken, Runtime, spawn};
/// # Runtime::new()?.block_on(async {
/// let stop = CancellationToken::new();
/// let connection = stop.child_token();
/// let task = spawn(async move {
///     connection.cancelled().await;
/// });
/// stop.cancel();
/// task.await.unwrap();
/// # });
/// # Ok::<(), chainring_runtime::SetupError>(())
/// ```
#[derive(Clone)]
pub struct CancellationToken(Arc<Node>);

struct Node {
    /// Set once, under the lock.
    cancelled: AtomicBool,
    inner: Mutex<Inner>,
    /// Above, and this node's place in its list.
    parent: Option<(Arc<Node>, usize)>,
}

#[derive(Default)]
struct Inner {
    wakers: Slab<Option<Waker>>,
    children: Slab<Weak<Node>>,
}

impl Node {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Marks this node, and gives those to be woken and those to be cancelled next.
    fn cancel(&self) -> (Vec<Waker>, Slab<Weak<Node>>) {
        let mut inner = self.lock();
        if self.cancelled.swap(true, Ordering::Release) {
            return Default::default();
        }
        let wakers = inner.wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        (wakers, std::mem::take(&mut inner.children))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Link by link: a long line of descendants must not take the stack along.
        let mut parent = self.parent.take();
        while let Some((node, place)) = parent {
            node.lock().children.try_remove(place);
            parent = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}

impl CancellationToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        CancellationToken(Arc::new(Node {
            cancelled: AtomicBool::new(false),
            inner: Mutex::default(),
            parent: None,
        }))
    }

    /// A token that is cancelled together with this one, and can be cancelled alone.
    #[must_use]
    pub fn child_token(&self) -> CancellationToken {
        let mut inner = self.0.lock();
        let cancelled = self.0.is_cancelled();
        let entry = inner.children.vacant_entry();
        let child = Arc::new(Node {
            cancelled: AtomicBool::new(cancelled),
            inner: Mutex::default(),
            parent: (!cancelled).then(|| (self.0.clone(), entry.key())),
        });
        if !cancelled {
            entry.insert(Arc::downgrade(&child));
        }
        CancellationToken(child)
    }

    /// Cancels this token, its clones and its descendants, and wakes everybody who waits. From any thread; again
    /// and again without effect.
    pub fn cancel(&self) {
        let mut next = vec![self.0.clone()];
        let mut wakers = Vec::new();
        while let Some(node) = next.pop() {
            let (waiting, children) = node.cancel();
            next.extend(children.into_iter().filter_map(|(_, child)| child.upgrade()));
            wakers.extend(waiting);
        }
        wake_all(wakers);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is cancelled. Dropping the future stops waiting.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { node: self.0.clone(), entry: None }
    }

    /// Runs `future` until it ends or the token is cancelled, whichever comes first; `None` if that was the token.
    /// The future is dropped then.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        match select(self.cancelled(), pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }

    /// Cancels it when the guard is dropped.
    pub fn drop_guard(self) -> CancelOnDrop {
        CancelOnDrop(Some(self))
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Cancels a token when it is dropped; made by [`CancellationToken::drop_guard`].
#[derive(Debug)]
#[must_use = "dropping the guard cancels at once"]
pub struct CancelOnDrop(Option<CancellationToken>);

impl CancelOnDrop {
    /// Gives the token back without cancelling it.
    pub fn disarm(mut self) -> CancellationToken {
        self.0.take().expect("only taken once")
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(token) = &self.0 {
            token.cancel();
        }
    }
}

/// Waits for a token; made by [`CancellationToken::cancelled`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Cancelled {
    node: Arc<Node>,
    entry: Option<usize>,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.node.is_cancelled() {
            ready!(budget::spend_if_any(cx));
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let node = self.node.clone();
        let mut inner = node.lock();
        // Looked at again under the lock: whoever cancels takes the wakers under it.
        if node.is_cancelled() {
            return Poll::Ready(());
        }
        let old = match self.entry {
            Some(entry) => inner.wakers[entry].replace(waker),
            None => {
                self.entry = Some(inner.wakers.insert(Some(waker)));
                None
            }
        };
        drop(inner);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let waker = self.node.lock().wakers.try_remove(entry);
            drop(waker);
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("cancelled", &self.node.is_cancelled()).finish()
    }
}
