//! io_uring by hand: a commit is a write linked to an fdatasync.

use std::os::fd::AsRawFd as _;

use io_uring::squeue::Flags;
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode};

use super::{HEAD, create, record};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let file = create(&work.dir)?;
    let fd = Fd(file.as_raw_fd());
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8)?;
    let mut workers = work.workers();
    // Never freed, so that the kernel may read it whatever happens here.
    let batch = Vec::leak(vec![0; work.workers * work.size.max(HEAD)]);
    let mut end = 0;
    loop {
        let mut len = 0;
        // All have been acknowledged, so all append again.
        for worker in &mut workers {
            if worker.next() {
                let record = record(worker, work.size);
                batch[len..][..record.len()].copy_from_slice(&record);
                len += record.len();
            }
        }
        if len == 0 {
            return Ok(workers);
        }
        let write = opcode::Write::new(fd, batch.as_ptr(), len as u32).offset(end).build();
        let sync = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build();
        // SAFETY: the batch is never freed, and nobody touches it until both have completed.
        unsafe {
            ring.submission().push_multiple(&[write.flags(Flags::IO_LINK).user_data(len as u64), sync])?
        };
        ring.submit_and_wait(2)?;
        for completion in ring.completion() {
            // The write's user data is what it has to write, that of the fdatasync 0.
            if completion.result() < 0 {
                return Err(std::io::Error::from_raw_os_error(-completion.result()).into());
            }
            if completion.result() as u64 != completion.user_data() {
                return Err("the batch was not written whole".into());
            }
        }
        end += len as u64;
    }
}
