//! write_sync: write at a position of a file and have the bytes reach the disk, by one list of linked entries.
//!
//! ```text
//! write --(if done, in full)--> fdatasync
//! ```
//!
//! Both report. A write that fails or comes short severs the link (io_uring_enter(2)), so nothing is synced that is not
//! written whole; a sync that fails is the last of the list, and seen.

use super::{LONGEST, ListOp, ListOperation, Members, Then, fsync, write};
use crate::buf::IoBuf;
use crate::descriptor::Descriptor;
use crate::exec::Handle;
use crate::ring::{Prepared, Sqe};

/// See [`write_sync`].
#[derive(Debug)]
pub struct WriteSync<B> {
    file: Descriptor,
    buffer: B,
    skip: usize,
    offset: u64,
}

/// What became of a [`write_sync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenSynced {
    /// What the write has given: how many bytes, or a negated errno. ECANCELED if nothing of the list could be run.
    pub written: i32,
    /// What the sync has given: 0, or a negated errno. ECANCELED if it was not run because the write was not whole.
    pub synced: i32,
}

impl WrittenSynced {
    /// Whether all of `len` bytes are on the disk.
    pub fn is_whole(self, len: usize) -> bool {
        self.synced == 0 && usize::try_from(self.written).is_ok_and(|written| written == len)
    }
}

/// Writes `buffer`, without its first `skip` bytes, at `offset` of the file, and then has it reach the disk
/// (fdatasync(2)): in one submission. No more than 2 GiB are written at once.
///
/// Gives the buffer back if the ring is too small for lists.
///
/// Dropping the future asks for cancellation; it is not known what was written.
///
/// # Panics
/// Outside of a runtime, or if there are not as many bytes to be skipped.
pub fn write_sync<B: IoBuf>(
    file: &Descriptor,
    buffer: B,
    skip: usize,
    offset: u64,
) -> Result<ListOp<WriteSync<B>>, B> {
    assert!(skip <= buffer.as_bytes().len(), "there are not {skip} bytes to be skipped");
    if Handle::current().longest_list() < LONGEST as u32 {
        return Err(buffer);
    }
    Ok(ListOp::new(WriteSync { file: file.clone(), buffer, skip, offset }))
}

impl<B: IoBuf> ListOperation for WriteSync<B> {
    type Output = (WrittenSynced, B);
    const NAME: &'static str = "write_sync";

    fn prepare<'a>(&'a mut self, members: &mut Members<'a>) {
        let file = self.file.raw();
        let write = Prepared::new(Sqe::new(write::FACTS.opcode), file).at(self.offset);
        members.reporting(write.reads_from(&self.buffer, self.skip), Then::IfDone);
        members.reporting(Prepared::new(fsync::template(true), file), Then::End);
    }

    fn complete(self, results: [i32; LONGEST]) -> Self::Output {
        let [written, synced, ..] = results;
        (WrittenSynced { written, synced }, self.buffer)
    }
}
