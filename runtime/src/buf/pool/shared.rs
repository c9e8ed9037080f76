//! What the handles of a pool, its buffers and its receives share: the memory, and who has which part of it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::mem::forget;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

use super::PoolOptions;
use crate::buf::ring::BufRing;
use crate::buf::{Pages, PoolBuf};
use crate::exec::{Handle, wake_all};

/// `IOU_PBUF_RING_INC`.
const INC: u16 = 2;

pub(crate) struct Shared {
    core: Handle,
    group: u16,
    pub(super) size: u32,
    limit: u16,
    pub(super) incremental: bool,
    /// Whether an incremental pool serves a receive.
    leased: Cell<bool>,
    pub(super) inner: RefCell<Inner>,
}

pub(super) struct Inner {
    ring: BufRing,
    pub(super) buffers: Vec<Buffer>,
    steps: Vec<Pages>,
    pub(super) spare: Vec<u16>,
    /// How many are in the ring.
    pub(super) ready: u16,
    /// The one that was offered last.
    newest: u16,
    pub(super) waiting: Vec<Waker>,
}

pub(super) struct Buffer {
    start: NonNull<u8>,
    /// In the ring: the kernel may write behind `filled`.
    ready: bool,
    /// The one that was offered after this one.
    next: u16,
    /// What the kernel has filled, as completions told so far; more than 0 only with incremental use.
    filled: u32,
    /// How many `PoolBuf`s have a part of it.
    holders: u32,
}

impl Shared {
    pub(crate) fn new(options: PoolOptions) -> io::Result<Rc<Shared>> {
        let PoolOptions { buffer_size: size, ready, limit, incremental } = options;
        if !(1..=1 << 30).contains(&size) || !(1..=32_768).contains(&ready) || limit == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "sizes of a buffer pool"));
        }
        let core = Handle::current();
        let driver = core.driver();
        let incremental = incremental && driver.ring.capabilities().incremental_buffers();
        let ring = BufRing::map(ready.next_power_of_two())?;
        let group = driver.take_group()?;
        let (address, entries) = (ring.address(), ring.entries());
        let flags = if incremental { INC } else { 0 };
        // SAFETY: the ring's memory has that many entries, and is unmapped by `Drop` only after the kernel
        // has given it up.
        let registered =
            unsafe { driver.ring.submitter().register_buf_ring_with_flags(address, entries, group, flags) };
        if let Err(error) = registered {
            driver.return_group(group);
            return Err(error);
        }
        let inner = Inner {
            ring,
            buffers: Vec::new(),
            steps: Vec::new(),
            spare: Vec::new(),
            ready: 0,
            newest: 0,
            waiting: Vec::new(),
        };
        let leased = Cell::new(false);
        let shared = Shared { core, group, size, limit, incremental, leased, inner: RefCell::new(inner) };
        shared.inner.borrow_mut().top_up(size, limit)?;
        Ok(Rc::new(shared))
    }

    /// Whether it is a pool of the core that the thread runs at the moment.
    pub(crate) fn is_here(&self) -> bool {
        self.core.is_current()
    }

    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    /// Whether a buffer is with the kernel.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.inner.borrow().ready > 0
    }

    /// Whether a buffer is lent, and will come back.
    pub(crate) fn has_lent(&self) -> bool {
        let inner = self.inner.borrow();
        inner.buffers.len() > inner.spare.len() + usize::from(inner.ready)
    }

    /// The right to receive from an incremental pool, of which there is one; any number for others.
    pub(crate) fn lease(self: &Rc<Self>) -> Option<Lease> {
        if !self.incremental {
            return Some(Lease { _held: None });
        }
        let free = !self.leased.replace(true);
        free.then(|| Lease { _held: Some(Rc::new(Held(self.clone()))) })
    }

    /// Whether completions may cover several buffers.
    pub(crate) fn bundles(&self) -> bool {
        !self.incremental && self.core.driver().ring.capabilities().bundles()
    }

    /// Takes the `len` bytes that a completion says are in buffer `id`. The kernel goes on in it if `goes_on`.
    pub(crate) fn take(self: &Rc<Self>, id: u16, len: u32, goes_on: bool) -> io::Result<PoolBuf> {
        let Some(start) = self.lend(id, len, goes_on) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the kernel reports {len} bytes in buffer {id} of a pool, which is not so"),
            ));
        };
        // What is lent is written by nobody else: without incremental use all of the buffer.
        let room = if self.incremental { len } else { self.size };
        Ok(PoolBuf::new(self.clone(), id, start, len, room))
    }

    /// The same for who keeps the pool, and will [give it back](Shared::give_back): where the bytes start. `None` if the
    /// kernel's word cannot be true.
    #[inline(always)]
    pub(crate) fn lend(&self, id: u16, len: u32, goes_on: bool) -> Option<NonNull<u8>> {
        let mut inner = self.inner.borrow_mut();
        let buffer = inner.buffers.get_mut(usize::from(id)).filter(|buffer| buffer.ready)?;
        if len > self.size - buffer.filled {
            return None;
        }
        let from = buffer.filled;
        buffer.holders += 1;
        buffer.filled += len;
        // SAFETY: inside the buffer, checked above.
        let start = unsafe { buffer.start.add(from as usize) };
        if !(goes_on && self.incremental) {
            buffer.ready = false;
            inner.ready -= 1;
            // Without memory the window gets smaller, and receives fail with ENOBUFS.
            let _ = inner.top_up(self.size, self.limit);
        }
        Some(start)
    }

    /// The buffers of a bundle that starts with `id`: the one that follows.
    pub(crate) fn after(&self, id: u16) -> u16 {
        self.inner.borrow().buffers.get(usize::from(id)).map_or(u16::MAX, |buffer| buffer.next)
    }

    pub(crate) fn buffer_size(&self) -> u32 {
        self.size
    }

    /// What was lent is done with: a `PoolBuf` is gone.
    #[inline(always)]
    pub(crate) fn give_back(&self, id: u16) {
        let mut inner = self.inner.borrow_mut();
        let buffer = &mut inner.buffers[usize::from(id)];
        buffer.holders -= 1;
        if buffer.holders > 0 || buffer.ready {
            return;
        }
        buffer.filled = 0;
        inner.spare.push(id);
        let _ = inner.top_up(self.size, self.limit);
        if !inner.waiting.is_empty() {
            let waiting = std::mem::take(&mut inner.waiting);
            drop(inner);
            wake_all(waiting);
        }
    }
}

impl Inner {
    /// Offers spare buffers until the window is full, making some if need be.
    #[inline(always)]
    fn top_up(&mut self, size: u32, limit: u16) -> io::Result<()> {
        // The usual two: none is missing, or the one that was just taken, for which there is a spare one.
        let missing = self.ring.entries() - self.ready;
        if missing == 1
            && let Some(id) = self.spare.pop()
        {
            self.offer(id, size);
            self.ring.publish();
            return Ok(());
        }
        if missing == 0 { Ok(()) } else { self.offer_many(size, limit) }
    }

    #[inline(never)]
    fn offer_many(&mut self, size: u32, limit: u16) -> io::Result<()> {
        let before = self.ready;
        let mut result = Ok(());
        while self.ready < self.ring.entries() {
            let id = match self.spare.pop() {
                Some(id) => id,
                None => match self.make(size, limit) {
                    Ok(Some(id)) => id,
                    Ok(None) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                },
            };
            self.offer(id, size);
        }
        if self.ready != before {
            self.ring.publish();
        }
        result
    }

    /// Puts a spare buffer into the ring.
    #[inline]
    fn offer(&mut self, id: u16, size: u32) {
        let newest = usize::from(std::mem::replace(&mut self.newest, id));
        self.buffers[newest].next = id;
        let buffer = &mut self.buffers[usize::from(id)];
        buffer.ready = true;
        self.ring.add(buffer.start, size, id);
        self.ready += 1;
    }

    /// Makes one buffer, if there may be more.
    fn make(&mut self, size: u32, limit: u16) -> io::Result<Option<u16>> {
        let made = self.buffers.len();
        if made >= usize::from(limit) {
            return Ok(None);
        }
        let step = usize::from(self.ring.entries());
        if made.is_multiple_of(step) {
            self.steps.push(Pages::map(step.min(usize::from(limit) - made) * size as usize)?);
        }
        let pages = &self.steps[made / step];
        // SAFETY: the step was mapped for at least as many buffers as are made in it.
        let start = unsafe { pages.start().add(made % step * size as usize) };
        self.buffers.push(Buffer { start, ready: false, next: u16::MAX, filled: 0, holders: 0 });
        Ok(Some(made as u16))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody receives from it: operations in flight hold a share.
        let driver = self.core.driver();
        match driver.ring.submitter().unregister_buf_ring(self.group) {
            Ok(()) => driver.return_group(self.group),
            Err(_) => {
                // The kernel may still look at it: leak the memory and the number.
                let inner = self.inner.get_mut();
                let empty = BufRing::map(1).expect("a page of memory");
                forget(std::mem::replace(&mut inner.ring, empty));
                forget(std::mem::take(&mut inner.steps));
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}", self.group)
    }
}

/// The right to receive from a pool; shared by the operation and by whoever reads its completions.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    _held: Option<Rc<Held>>,
}

#[derive(Debug)]
struct Held(Rc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.leased.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;

    #[test]
    fn a_completion_that_cannot_be_lends_nothing() {
        Runtime::new().unwrap().block_on(async {
            let pool = PoolOptions::new().buffer_size(100).ready(2).limit(3).build().unwrap();
            let before = pool.usage();
            for (id, len) in [(3, 1), (u16::MAX, 1), (0, 101), (1, u32::MAX)] {
                assert_eq!(pool.0.take(id, len, false).unwrap_err().kind(), io::ErrorKind::InvalidData);
            }
            assert_eq!(pool.usage(), before);
            // Named twice, a buffer is lent once.
            let lent = pool.0.take(0, 100, false).unwrap();
            assert!(pool.0.take(0, 100, false).is_err());
            drop(lent);
            assert_eq!(pool.usage().lent, 0);
        });
    }
}
