//! Pools of provided buffers: memory that a receive takes only when bytes arrive.
//!
//! Who owns what: a pool owns its memory and keeps it until nobody uses it any more: the [`BufferPool`] handles,
//! the operations in flight that may take from it, and the [`PoolBuf`](super::PoolBuf)s that are out, each holds a share. Then it
//! is taken back from the kernel and unmapped.
//!
//! A buffer is in one of three places:
//!
//! ```text
//!             offer                  a completion names it
//!   spare ------------> ready (kernel's) ------------> lent (a PoolBuf's) --\
//!     ^                                                                     | dropped
//!     \---------------------------------------------------------------------/
//! ```
//!
//! Spare buffers are offered most recent first, and only so many that a window of them is ready: so a pool with
//! little traffic keeps touching the same few pages, although the kernel takes what is ready in order. Buffers
//! are made when there is no spare one, up to a limit.
//!
//! A completion says which buffer, and is not trusted: a number that does not exist or is not ready, or a length
//! that does not fit, is an error of that receive and lends nothing.
//!
//! With *bundles* (6.10) one completion covers a row of buffers, in the order in which they were offered. Each
//! buffer remembers the one that was offered after it; it keeps that until it is offered again, which is not
//! before the completion was read. With *incremental use* (6.12) the kernel fills a buffer bit by bit, and each
//! completion starts where the one before has ended. That is only known if they are read in the order in which
//! they came, so such a pool serves one receive at a time.

mod options;
mod shared;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::Poll;

pub use options::PoolOptions;
pub(crate) use shared::{Lease, Shared};

/// A pool of buffers of one size, for receives that take one when bytes arrive. A handle: cloning it shares the
/// pool. It belongs to one core.
#[derive(Clone)]
pub struct BufferPool(pub(crate) Rc<Shared>);

/// Where the buffers of a pool are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// All that were made so far.
    pub made: usize,
    /// With the kernel, or in completions that nobody has read yet.
    pub ready: usize,
    /// Held by a [`PoolBuf`](super::PoolBuf).
    pub lent: usize,
    /// Waiting to be offered to the kernel.
    pub spare: usize,
}

impl BufferPool {
    /// A pool with the default sizes; see [`PoolOptions`].
    ///
    /// # Errors
    /// As [`PoolOptions::build`].
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new() -> io::Result<BufferPool> {
        PoolOptions::new().build()
    }

    /// Where the buffers are now.
    pub fn usage(&self) -> PoolUsage {
        let inner = self.0.inner.borrow();
        let made = inner.buffers.len();
        let (ready, spare) = (usize::from(inner.ready), inner.spare.len());
        PoolUsage { made, ready, spare, lent: made - ready - spare }
    }

    /// Whether the kernel fills buffers bit by bit; see [`PoolOptions::incremental`].
    pub fn is_incremental(&self) -> bool {
        self.0.incremental
    }

    /// Waits until a buffer is ready for the kernel: what to do after a receive has failed with ENOBUFS.
    ///
    /// Dropping the future is harmless.
    pub async fn available(&self) {
        std::future::poll_fn(|cx| {
            let mut inner = self.0.inner.borrow_mut();
            if inner.ready > 0 {
                return Poll::Ready(());
            }
            // A waker's clone may run foreign code.
            drop(inner);
            let waker = cx.waker().clone();
            inner = self.0.inner.borrow_mut();
            if inner.ready > 0 {
                return Poll::Ready(());
            }
            inner.waiting.push(waker);
            Poll::Pending
        })
        .await
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = self.usage();
        write!(f, "BufferPool({} bytes a buffer, {usage:?})", self.0.size)
    }
}
