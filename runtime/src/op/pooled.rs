//! What operations share that take a buffer of a pool when bytes have arrived.

use std::io;
use std::rc::Rc;

use super::{Completion, nop};
use crate::buf::{BufferPool, Lease, PoolBuf, PoolShared};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// Where the bytes come from and where they go, as part of an operation.
#[derive(Debug)]
pub(super) struct Pooled<D = Descriptor> {
    from: D,
    pool: Rc<PoolShared>,
    /// `None` if the pool serves another operation and cannot serve two.
    lease: Option<Lease>,
}

impl<D: AnyDescriptor> Pooled<D> {
    pub(super) fn new(from: &D, pool: &BufferPool) -> Self {
        let pool = pool.0.clone();
        let lease = pool.lease();
        Pooled { from: from.clone(), pool, lease }
    }

    pub(super) fn entry<'a>(&self, sqe: Sqe) -> Prepared<'a> {
        Prepared::on(sqe, &self.from)
    }

    /// Whether one completion may cover several of the pool's buffers.
    pub(super) fn bundles(&self) -> bool {
        self.pool.bundles()
    }

    /// Has the kernel take a buffer of the pool; or do nothing if the pool is taken, which the reader reports.
    pub(super) fn select<'a>(&self, entry: Prepared<'a>) -> Prepared<'a> {
        match self.lease {
            Some(_) => entry.selects(&self.pool),
            None => Prepared::new(nop::TEMPLATE, -1),
        }
    }

    pub(super) fn reader(&self, bundled: bool) -> PoolReader {
        PoolReader { pool: self.pool.clone(), bundled, rest: None, lease: self.lease.clone() }
    }

    /// Gives back what a completion brought that nobody reads.
    pub(super) fn discard(&self, bundled: bool, completion: Completion) {
        self.reader(bundled).discard(completion);
    }
}

/// Reads the completions of an operation that takes buffers from a pool.
#[derive(Debug)]
pub struct PoolReader {
    pool: Rc<PoolShared>,
    /// Whether a completion may cover several buffers.
    bundled: bool,
    /// Buffers of the completion before that have not been given out: the first, and the bytes in all of them.
    rest: Option<(u16, u32)>,
    lease: Option<Lease>,
}

impl PoolReader {
    pub(super) fn read(&mut self, completion: Completion) -> io::Result<PoolBuf> {
        if self.lease.is_none() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        let (id, goes_on) = (completion.buffer(), completion.buffer_goes_on());
        let result = completion.count();
        let Some(id) = id else {
            return match result {
                Ok(0) => Ok(PoolBuf::empty()),
                Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "bytes arrived in no buffer")),
                Err(error) => Err(error),
            };
        };
        let len = result.as_ref().map_or(0, |n| *n as u32);
        let first = if self.bundled { len.min(self.pool.buffer_size()) } else { len };
        // Where it is in a row is known until it is offered again.
        let next = self.pool.after(id);
        let buffer = self.pool.take(id, first, goes_on);
        self.rest = (len > first && buffer.is_ok()).then_some((next, len - first));
        result.and(buffer)
    }

    pub(super) fn next(&mut self) -> Option<io::Result<PoolBuf>> {
        let (id, len) = self.rest.take()?;
        let here = len.min(self.pool.buffer_size());
        let next = self.pool.after(id);
        let buffer = self.pool.take(id, here, false);
        self.rest = (len > here && buffer.is_ok()).then_some((next, len - here));
        Some(buffer)
    }

    /// Gives back what a completion brought.
    fn discard(&mut self, completion: Completion) {
        drop(self.read(completion));
        while let Some(buffer) = self.next() {
            drop(buffer);
        }
    }
}

impl Drop for PoolReader {
    fn drop(&mut self) {
        while let Some(buffer) = self.next() {
            drop(buffer);
        }
    }
}
