//! io_uring by hand, with the io-uring crate: what was read is searched, and the next read pushed, where its completion is
//! met.

use std::os::fd::AsRawFd as _;

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

use super::{Descent, PAGE, keys, open};
use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn cached(work: &Work) -> Result<Vec<Worker>> {
    run(work, false)
}

pub(crate) fn direct(work: &Work) -> Result<Vec<Worker>> {
    run(work, true)
}

fn run(work: &Work, direct: bool) -> Result<Vec<Worker>> {
    let (file, header) = open(work, direct)?;
    let file = Fd(file.as_raw_fd());
    let entries = u32::try_from(work.workers)?.next_power_of_two();
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
    // Never freed, so that the kernel may write to it whatever happens here.
    let memory = Vec::leak(vec![0_u8; (work.workers + 1) * PAGE]);
    let aligned = memory.as_ptr().align_offset(PAGE);
    let nodes = &mut memory[aligned..];
    let mut workers = work.workers();
    let mut sequences: Vec<_> = (0..workers.len()).map(keys).collect();
    let mut descents: Vec<Option<Descent>> = vec![None; workers.len()];
    let mut idle: Vec<usize> = (0..workers.len()).rev().collect();
    let mut ended = 0;
    loop {
        while let Some(slot) = idle.pop() {
            if descents[slot].is_none() && workers[slot].next() {
                descents[slot] = Some(Descent::new(&header, sequences[slot]()));
            }
            let Some(descent) = &descents[slot] else {
                ended += 1;
                continue;
            };
            let node = nodes[slot * PAGE..][..PAGE].as_mut_ptr();
            let read = opcode::Read::new(file, node, PAGE as u32);
            let read = read.offset(descent.offset()).build().user_data(slot as u64);
            // SAFETY: the node is never freed, and nobody touches it until the read has completed; the file is open until
            // all reads have.
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
            let descent = descents[slot].as_mut().ok_or("nothing was asked for")?;
            if descent.step(&nodes[slot * PAGE..][..read])? {
                descents[slot] = None;
            }
            idle.push(slot);
        }
    }
}
