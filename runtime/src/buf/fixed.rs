//! Pools of registered buffers: memory whose pages the kernel has looked up and pinned once
//! (io_uring_register_buffers(3)), for reads, writes and zero-copy sends that do so often.
//!
//! Who owns what: a pool owns its memory and keeps it until nobody uses it any more: the [`FixedPool`] handles and
//! the [`FixedBuf`]s that are out (an operation in flight has one) each hold a share. Then it is taken back from
//! the kernel and unmapped. A ring has one table of registered memory; a pool has an entry in it for each step it
//! was grown by.
//!
//! Registered memory counts against the limit of locked memory (RLIMIT_MEMLOCK) from the moment it is registered,
//! touched or not.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::mem::{MaybeUninit, forget};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use super::{IoBuf, IoBufMut, Pages, fill};
use crate::exec::Handle;

/// A pool of registered buffers of one size. A handle: cloning it shares the pool. It belongs to one core.
#[derive(Clone)]
pub struct FixedPool(Rc<Shared>);

struct Shared {
    core: Handle,
    size: u32,
    step: u32,
    limit: u32,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Memory, and its place in the ring's table.
    steps: Vec<(Pages, u16)>,
    made: u32,
    spare: Vec<u32>,
}

impl FixedPool {
    /// A pool of buffers of `size` bytes (rounded up to whole pages), registered `step` at a time, `limit` at
    /// most. The first step is registered at once.
    ///
    /// # Errors
    /// ENOMEM beyond the limit of locked memory; EFAULT or E2BIG if a step has more than 1 GiB; and if the sizes are
    /// zero, or the ring has 256 steps registered.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(size: u32, step: u32, limit: u32) -> io::Result<FixedPool> {
        let size = size.checked_next_multiple_of(super::PAGE as u32).filter(|size| *size > 0);
        let (Some(size), 1.., 1..) = (size, step, limit) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "sizes of a pool of registered buffers"));
        };
        let shared = Shared { core: Handle::current(), size, step, limit, inner: RefCell::default() };
        shared.grow()?;
        Ok(FixedPool(Rc::new(shared)))
    }

    /// A buffer, the most recently used one first. The pool grows if all are out.
    ///
    /// # Errors
    /// `WouldBlock` if the limit is reached and all buffers are out; those of [`new`](FixedPool::new) if the pool
    /// cannot grow.
    pub fn get(&self) -> io::Result<FixedBuf> {
        let spare = self.0.inner.borrow_mut().spare.pop();
        let number = match spare {
            Some(number) => number,
            None => {
                self.0.grow()?;
                let number = self.0.inner.borrow_mut().spare.pop();
                number.ok_or(io::ErrorKind::WouldBlock)?
            }
        };
        let inner = self.0.inner.borrow();
        let (pages, index) = &inner.steps[(number / self.0.step) as usize];
        // SAFETY: the step has that many buffers.
        let start = unsafe { pages.start().add((number % self.0.step) as usize * self.0.size as usize) };
        Ok(FixedBuf { pool: self.0.clone(), number, index: *index, start, len: 0 })
    }

    /// How many buffers there are, and how many of them are out.
    pub fn usage(&self) -> (usize, usize) {
        let inner = self.0.inner.borrow();
        (inner.made as usize, inner.made as usize - inner.spare.len())
    }
}

impl Shared {
    /// Registers another step, if there may be more.
    fn grow(&self) -> io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        let first = inner.made;
        let count = self.step.min(self.limit - first);
        if count == 0 {
            return Ok(());
        }
        let pages = Pages::map(self.size as usize * count as usize)?;
        let driver = self.core.driver();
        let index = driver.take_registered()?;
        let memory = libc::iovec { iov_base: pages.start().as_ptr().cast(), iov_len: pages.len() };
        // SAFETY: the memory is mapped, and unmapped by `Drop` only after the kernel has given it up.
        let done = unsafe { driver.ring.submitter().register_buffers_update(index.into(), &[memory], None) };
        if let Err(error) = done {
            driver.return_registered(index);
            return Err(error);
        }
        inner.steps.push((pages, index));
        inner.made += count;
        // Reversed, so that the lowest is used first.
        inner.spare.extend((first..first + count).rev());
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let driver = self.core.driver();
        let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        for (pages, index) in self.inner.get_mut().steps.drain(..) {
            // SAFETY: an empty range registers no memory. Nobody uses the old one: operations in flight hold
            // a share.
            let done =
                unsafe { driver.ring.submitter().register_buffers_update(index.into(), &[nothing], None) };
            match done {
                Ok(()) => driver.return_registered(index),
                // The kernel may still use it: leak the memory and its place.
                Err(_) => forget(pages),
            }
        }
    }
}

impl fmt::Debug for FixedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (made, out) = self.usage();
        write!(f, "FixedPool({} bytes a buffer, {out} of {made} out)", self.0.size)
    }
}

/// A registered buffer out of a [`FixedPool`]. Dropping it gives it back.
///
/// Like a vector it has a length, 0 at first: the bytes that a write sends, or that a read has filled.
pub struct FixedBuf {
    pool: Rc<Shared>,
    number: u32,
    index: u16,
    start: NonNull<u8>,
    len: u32,
}

impl FixedBuf {
    /// The place of its memory in the ring's table.
    pub(crate) fn index(&self) -> u16 {
        self.index
    }

    /// Sets how many bytes count. Bytes that were never written are zero, or left over from an earlier use.
    ///
    /// # Panics
    /// If there is no room for so many.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "{len} bytes in a buffer of {}", self.capacity());
        self.len = len as u32;
    }

    /// The bytes that there is room for.
    pub fn capacity(&self) -> usize {
        self.pool.size as usize
    }
}

impl Deref for FixedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: a part of the pool's mapping that is lent to this value alone, mapped as long as its share in
        // the pool lasts, and initialised (to zero at first).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for FixedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len as usize) }
    }
}

impl IoBuf for FixedBuf {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for FixedBuf {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        let capacity = self.capacity();
        // SAFETY: as in `deref_mut`; all of the buffer is initialised.
        fill::as_room(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), capacity) })
    }

    unsafe fn filled(&mut self, n: usize) {
        self.set_len(n);
    }
}

impl Drop for FixedBuf {
    fn drop(&mut self) {
        self.pool.inner.borrow_mut().spare.push(self.number);
    }
}

impl fmt::Debug for FixedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FixedBuf({} of {} bytes)", self.len, self.capacity())
    }
}
