//! recv with a pool: take a buffer only when bytes arrive (recv(2), `IORING_OP_RECV` with `IOSQE_BUFFER_SELECT`),
//! once or again and again.

use std::io;

use io_uring::opcode;

use super::multishot::Repeats;
use super::pooled::{PoolReader, Pooled};
use super::{Completion, Facts, Multishot, Op, Operation, Returns, Severs, recv};
use crate::buf::{BufferPool, PoolBuf};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// `IORING_RECV_MULTISHOT`, 6.0.
const MULTISHOT: u16 = 1 << 1;
/// `IORING_RECVSEND_BUNDLE`, 6.10.
const BUNDLE: u16 = 1 << 4;

/// See [`recv_pooled`].
#[derive(Debug)]
pub struct RecvPooled<D = Descriptor> {
    pooled: Pooled<D>,
    flags: i32,
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
    Op::new(RecvPooled { pooled: Pooled::new(socket, pool), flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "recv_pooled",
    opcode: opcode::Recv::CODE,
    since: (5, 19),
    needs: None,
    returns: Returns::Buffer,
    severs: Severs::WithWaitall,
    multishot: false,
};

pub(crate) const MULTI_FACTS: Facts = Facts { name: "recv_multi", since: (6, 0), multishot: true, ..FACTS };

fn prepare<'a>(pooled: &Pooled<impl AnyDescriptor>, ioprio: u16, flags: i32) -> Prepared<'a> {
    pooled.select(pooled.entry(Sqe { ioprio, ..recv::template(flags) }))
}

impl<D: AnyDescriptor> Operation for RecvPooled<D> {
    type Output = io::Result<PoolBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        prepare(&self.pooled, 0, self.flags)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.pooled.reader(false).read(completion)
    }

    fn unwanted(&self, completion: Completion) {
        self.pooled.discard(false, completion);
    }
}

/// See [`recv_multi`] and [`recv_bundles`].
#[derive(Debug)]
pub struct RecvMulti<D = Descriptor> {
    pooled: Pooled<D>,
    flags: i32,
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
    Multishot::new(RecvMulti { pooled: Pooled::new(socket, pool), flags, bundled: false })
}

/// As [`recv_multi`], for streams: one completion may bring several buffers, where the kernel has bundles (6.10);
/// they are given out one after the other. Below that, and from an incremental pool, it is the same as
/// `recv_multi`.
///
/// # Errors
/// As [`recv_multi`].
pub fn recv_bundles<D: AnyDescriptor>(socket: &D, pool: &BufferPool, flags: i32) -> Multishot<RecvMulti<D>> {
    let pooled = Pooled::new(socket, pool);
    let bundled = pooled.bundles();
    Multishot::new(RecvMulti { pooled, flags, bundled })
}

impl<D: AnyDescriptor> Operation for RecvMulti<D> {
    /// One buffer, of which there are many.
    type Output = io::Result<PoolBuf>;
    const FACTS: Facts = MULTI_FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let bundle = if self.bundled { BUNDLE } else { 0 };
        prepare(&self.pooled, MULTISHOT | bundle, self.flags)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.reader().read(completion)
    }

    fn unwanted(&self, completion: Completion) {
        self.pooled.discard(self.bundled, completion);
    }
}

impl<D: AnyDescriptor> Repeats for RecvMulti<D> {
    type Item = io::Result<PoolBuf>;
    type Reader = PoolReader;

    fn reader(&self) -> PoolReader {
        self.pooled.reader(self.bundled)
    }

    fn item(reader: &mut PoolReader, completion: Completion) -> Self::Item {
        reader.read(completion)
    }

    fn rest(reader: &mut PoolReader) -> Option<Self::Item> {
        reader.next()
    }
}
