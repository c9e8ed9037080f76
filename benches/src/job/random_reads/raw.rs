//! io_uring by hand, with the io-uring crate.

use std::os::fd::AsRawFd as _;

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

use super::{BLOCK, check, numbers, open};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let file = open(work, direct)?;
    let entries = u32::try_from(work.workers)?.next_power_of_two();
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
    // Never freed, so that the kernel may write to it whatever happens here.
    let memory = Vec::leak(vec![0_u8; (work.workers + 1) * BLOCK]);
    let aligned = memory.as_ptr().align_offset(BLOCK);
    let blocks = &mut memory[aligned..];
    let mut workers = work.workers();
    let mut sequences: Vec<_> = (0..workers.len()).map(numbers).collect();
    let mut asked = vec![0; workers.len()];
    let mut idle: Vec<usize> = (0..workers.len()).rev().collect();
    let mut ended = 0;
    loop {
        while let Some(slot) = idle.pop() {
            if !workers[slot].next() {
                ended += 1;
                continue;
            }
            asked[slot] = sequences[slot]();
            let block = blocks[slot * BLOCK..][..BLOCK].as_mut_ptr();
            let read = opcode::Read::new(Fd(file.as_raw_fd()), block, BLOCK as u32)
                .offset(asked[slot] * BLOCK as u64)
                .build()
                .user_data(slot as u64);
            // SAFETY: the block is never freed, and nobody touches it until the read has completed.
            unsafe { ring.submission().push(&read)? };
        }
        if ended == workers.len() {
            return Ok(workers);
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            let slot = completion.user_data() as usize;
            let read = usize::try_from(completion.result())
                .map_err(|_| std::io::Error::from_raw_os_error(-completion.result()))?;
            check(&blocks[slot * BLOCK..][..read], asked[slot])?;
            idle.push(slot);
        }
    }
}
