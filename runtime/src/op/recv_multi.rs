//! recv with a pool: take a buffer only when bytes arrive (recv(2), `IORING_OP_RECV` with `IOSQE_BUFFER_SELECT`),
//! once or again and again.

use std::io;
use std::rc::Rc;

use io_uring::opcode;

use super::multishot::Repeats;
use super::{Completion, Facts, Multishot, Op, Operation, Returns, Severs, recv};
use crate::buf::{BufferPool, Lease, PoolBuf, PoolShared};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// `IORING_RECV_MULTISHOT`, 6.0.
const MULTISHOT: u16 = 1 << 1;
/// `IORING_RECVSEND_BUNDLE`, 6.10.
const BUNDLE: u16 = 1 << 4;

/// See [`recv_pooled`].
#[derive(Debug)]
pub struct RecvPooled<D = Descriptor> {
    socket: D,
    pool: Rc<PoolShared>,
    flags: i32,
    lease: Option<Lease>,
}

/// Receives into a buffer of `pool`, which is taken when bytes have arrived: a socket that is silent holds none. No
/// bytes are the end of the stream. `flags` are the `MSG_*` of recv(2).
///
/// Dropping the future cancels; bytes that were taken from the socket already are lost, their buffer is back in
/// the pool.
///
/// `MSG_TRUNC` is ignored: [`recvmsg_multi`](super::recvmsg_multi) tells whether a datagram was cut off.
///
/// # Errors
/// Those of recv(2); ENOBUFS if the pool has no buffer ready ([`BufferPool::available`] waits for one); EBUSY if the
/// pool is incremental and serves another receive; EBADF if the pool is another runtime's.
pub fn recv_pooled<D: AnyDescriptor>(socket: &D, pool: &BufferPool, flags: i32) -> Op<RecvPooled<D>> {
    Op::new(pooled(socket, pool, flags))
}

fn pooled<D: AnyDescriptor>(socket: &D, pool: &BufferPool, flags: i32) -> RecvPooled<D> {
    let pool = pool.0.clone();
    let lease = pool.lease();
    RecvPooled { socket: socket.clone(), pool, flags, lease }
}

pub(crate) const FACTS: Facts = Facts {
    name: "recv_pooled",
    opcode: opcode::Recv::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Buffer,
    severs: Severs::WithWaitall,
};

pub(crate) const MULTI_FACTS: Facts =
    Facts { name: "recv_multi", since: (6, 0), severs: Severs::Never, ..FACTS };

/// The submission for one of these, or one that does nothing if the pool is taken.
fn prepare<'a>(
    socket: &impl AnyDescriptor,
    pool: &PoolShared,
    ioprio: u16,
    flags: i32,
    leased: bool,
) -> Prepared<'a> {
    if !leased {
        return Prepared::new(super::nop::TEMPLATE, -1);
    }
    let sqe = Sqe { ioprio, ..recv::template(flags) };
    Prepared::on(sqe, socket).selects(pool)
}

/// Reads the completions of a receive that takes buffers from a pool.
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
    pub(super) fn new(pool: &Rc<PoolShared>, lease: &Option<Lease>, bundled: bool) -> Self {
        PoolReader { pool: pool.clone(), bundled, rest: None, lease: lease.clone() }
    }

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
    pub(super) fn discard(&mut self, completion: Completion) {
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

impl<D: AnyDescriptor> Operation for RecvPooled<D> {
    type Output = io::Result<PoolBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        prepare(&self.socket, &self.pool, 0, self.flags, self.lease.is_some())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        PoolReader::new(&self.pool, &self.lease, false).read(completion)
    }

    fn unwanted(&self, completion: Completion) {
        PoolReader::new(&self.pool, &self.lease, false).discard(completion);
    }
}

/// See [`recv_multi`] and [`recv_bundles`].
#[derive(Debug)]
pub struct RecvMulti<D = Descriptor> {
    recv: RecvPooled<D>,
    bundled: bool,
}

/// Receives into buffers of `pool` until it is dropped or fails, with one submission. Empty bytes are the end of the
/// stream (on a datagram socket, an empty datagram). After an error, ENOBUFS among them, and now and then without
/// one, it ends; start another to go on. `flags` are the `MSG_*` of recv(2) without `MSG_WAITALL`.
///
/// Dropping the stream cancels it; buffers that were filled and not taken are back in the pool, their bytes are
/// lost.
///
/// # Errors
/// As [`recv_pooled`]; EINVAL with `MSG_WAITALL`.
pub fn recv_multi<D: AnyDescriptor>(socket: &D, pool: &BufferPool, flags: i32) -> Multishot<RecvMulti<D>> {
    Multishot::new(RecvMulti { recv: pooled(socket, pool, flags), bundled: false })
}

/// As [`recv_multi`], for streams: one completion may bring several buffers, where the kernel has bundles (6.10);
/// they are given out one after the other. Below that, and from an incremental pool, it is the same as
/// `recv_multi`.
///
/// # Errors
/// As [`recv_multi`].
pub fn recv_bundles<D: AnyDescriptor>(socket: &D, pool: &BufferPool, flags: i32) -> Multishot<RecvMulti<D>> {
    let recv = pooled(socket, pool, flags);
    let bundled = recv.pool.bundles();
    Multishot::new(RecvMulti { recv, bundled })
}

impl<D: AnyDescriptor> Operation for RecvMulti<D> {
    /// One buffer, of which there are many.
    type Output = io::Result<PoolBuf>;
    const FACTS: Facts = MULTI_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let RecvPooled { socket, pool, flags, lease } = &self.recv;
        let bundle = if self.bundled { BUNDLE } else { 0 };
        prepare(socket, pool, MULTISHOT | bundle, *flags, lease.is_some())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.reader().read(completion)
    }

    fn unwanted(&self, completion: Completion) {
        self.reader().discard(completion);
    }
}

impl<D: AnyDescriptor> Repeats for RecvMulti<D> {
    type Item = io::Result<PoolBuf>;
    type Reader = PoolReader;

    fn reader(&self) -> PoolReader {
        PoolReader::new(&self.recv.pool, &self.recv.lease, self.bundled)
    }

    fn item(reader: &mut PoolReader, completion: Completion) -> Self::Item {
        reader.read(completion)
    }

    fn rest(reader: &mut PoolReader) -> Option<Self::Item> {
        reader.next()
    }
}
