//! The loop by hand, on the `io-uring` crate: a count in the place of a task.

use std::io;

use io_uring::{IoUring, opcode};

pub(super) fn run(tasks: u32, each: u64) -> io::Result<()> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(tasks.next_power_of_two())?;
    let mut left = vec![each; tasks as usize];
    let mut in_flight = 0;
    let (submitter, mut queue, mut completions) = ring.split();
    let nop = |task: u64| opcode::Nop::new().build().user_data(task);
    for task in 0..u64::from(tasks).min(u64::from(tasks) * each) {
        // SAFETY: a nop names no memory.
        unsafe { queue.push(&nop(task)) }.map_err(io::Error::other)?;
        in_flight += 1;
    }
    while in_flight > 0 {
        queue.sync();
        submitter.submit_and_wait(1)?;
        queue.sync();
        completions.sync();
        for completion in completions.by_ref() {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            let task = completion.user_data();
            let left = &mut left[task as usize];
            *left -= 1;
            if *left == 0 {
                in_flight -= 1;
                continue;
            }
            // SAFETY: a nop names no memory.
            unsafe { queue.push(&nop(task)) }.map_err(io::Error::other)?;
        }
    }
    Ok(())
}
