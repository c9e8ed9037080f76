//! write: write at a position of a file (pwrite(2), `IORING_OP_WRITE`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;
use crate::ring::Sqe;
use crate::ring::sqe::ASYNC;

/// See [`write_at`].
#[derive(Debug)]
pub struct Write<B> {
    file: Descriptor,
    buffer: B,
    offset: u64,
    flags: u32,
}

/// Writes at `offset` bytes into the file. Gives the number of bytes written, which may be fewer than
/// there are. An offset of `u64::MAX` writes at (and moves) the file's own position, as write(2) does.
///
/// Dropping the future asks for cancellation; it is not known how much was written.
pub fn write_at<B: IoBuf>(file: &Descriptor, buffer: B, offset: u64) -> Op<Write<B>> {
    Op::new(Write { file: file.clone(), buffer, offset, flags: 0 })
}

/// As [`write_at`], and completes when the bytes that it says are written are on the disk, with what is needed to read them
/// back: for these bytes what [`fdatasync`](super::fsync::fdatasync) is for the file (RWF_DSYNC of pwritev2(2)). A thread of the
/// kernel waits for the disk, never the core.
///
/// File systems that sync by other means than the kernel's page cache may take no notice, without a word (FUSE with direct
/// I/O, 9p): see [`honours_dsync`](super::syscall::honours_dsync).
///
/// # Errors
/// Those of write(2), and those of fdatasync(2): then it is not known what was written, nor what has reached the disk.
/// EOPNOTSUPP, with nothing done, where the kernel knows that the file cannot.
pub fn write_dsync_at<B: IoBuf>(file: &Descriptor, buffer: B, offset: u64) -> Op<Write<B>> {
    Op::new(Write { file: file.clone(), buffer, offset, flags: libc::RWF_DSYNC as u32 })
}

pub(crate) const FACTS: Facts = Facts {
    name: "write",
    opcode: opcode::Write::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<B: IoBuf> Operation for Write<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        // Some file systems (XFS) would wait for the disk while they submit, and with them the core.
        let flags = if self.flags == 0 { 0 } else { ASYNC };
        let sqe = Sqe { flags, op_flags: self.flags, ..Sqe::new(opcode::Write::CODE) };
        Prepared::new(sqe, self.file.raw()).at(self.offset).reads(&self.buffer)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_reaches_the_disk_says_so_to_the_kernel_and_keeps_no_core_waiting() {
        let file = Descriptor::new(std::fs::File::open("/dev/null").unwrap().into());
        let entry =
            |flags| Write { file: file.clone(), buffer: "text", offset: 7, flags }.prepare().into_sqe();
        let (plain, through) = (entry(0), entry(libc::RWF_DSYNC as u32));
        assert_eq!((plain.op_flags, plain.flags & ASYNC), (0, 0));
        assert_eq!((through.op_flags, through.flags & ASYNC), (libc::RWF_DSYNC as u32, ASYNC));
        assert_eq!((through.off, through.len), (plain.off, plain.len));
    }
}
