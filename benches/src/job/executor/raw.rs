//! io_uring by hand: as many nops in flight as there are workers.

use io_uring::{IoUring, opcode};

use crate::Result;
use crate::job::{Work, Worker};

pub(crate) fn nops(work: &Work) -> Result<Vec<Worker>> {
    let entries = u32::try_from(work.workers)?.next_power_of_two();
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
    let mut workers = work.workers();
    let mut idle: Vec<usize> = (0..workers.len()).rev().collect();
    let mut ended = 0;
    loop {
        while let Some(slot) = idle.pop() {
            if workers[slot].next() {
                // SAFETY: a nop refers to no memory.
                unsafe { ring.submission().push(&opcode::Nop::new().build().user_data(slot as u64))? };
            } else {
                ended += 1;
            }
        }
        if ended == workers.len() {
            return Ok(workers);
        }
        ring.submit_and_wait(1)?;
        idle.extend(ring.completion().map(|completion| completion.user_data() as usize));
    }
}
