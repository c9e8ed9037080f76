//! read with a pool, again and again: pipes, terminals and whatever else can be polled (read(2),
//! `IORING_OP_READ_MULTISHOT`).

use std::io;

use io_uring::opcode;

use super::multishot::Repeats;
use super::pooled::{PoolReader, Pooled};
use super::{Completion, Facts, Multishot, Operation, Returns, Severs};
use crate::buf::{BufferPool, PoolBuf};
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`read_multi`].
#[derive(Debug)]
pub struct ReadMulti(Pooled);

/// Reads into buffers of `pool` until it is dropped or fails, with one submission. Empty bytes are the end of the
/// stream. After either, and now and then without one, it ends; start another to go on.
///
/// Dropping the stream cancels it; buffers that were filled and not taken are back in the pool, their bytes are
/// lost.
///
/// # Errors
/// Those of read(2); EBADFD if the file cannot be polled (a regular file); ENOBUFS if the pool has no buffer ready
/// ([`BufferPool::available`] waits for one); EBUSY if the pool is incremental and serves another.
/// [`Unsupported`](io::ErrorKind::Unsupported) below Linux 6.7: [`recv_pooled`](super::recv_multi::recv_pooled) and
/// [`read`](super::read) are there.
pub fn read_multi(file: &Descriptor, pool: &BufferPool) -> Multishot<ReadMulti> {
    Multishot::new(ReadMulti(Pooled::new(file, pool)))
}

pub(crate) const FACTS: Facts = Facts {
    name: "read_multi",
    opcode: opcode::ReadMulti::CODE,
    since: (6, 7),
    needs: Some(Capability::ReadMulti),
    returns: Returns::Buffer,
    severs: Severs::Always,
    multishot: true,
};

/// Where the file stands, which is the only position that a stream has.
const HERE: u64 = u64::MAX;

impl Operation for ReadMulti {
    /// One buffer, of which there are many.
    type Output = io::Result<PoolBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        self.0.select(self.0.entry(Sqe::new(opcode::ReadMulti::CODE)).at(HERE))
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.reader().read(completion)
    }

    fn unwanted(&self, completion: Completion) {
        self.0.discard(false, completion);
    }
}

impl Repeats for ReadMulti {
    type Item = io::Result<PoolBuf>;
    type Reader = PoolReader;

    fn reader(&self) -> PoolReader {
        self.0.reader(false)
    }

    fn item(reader: &mut PoolReader, completion: Completion) -> Self::Item {
        reader.read(completion)
    }
}
