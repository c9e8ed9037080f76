//! io_uring by hand: a message to the other's ring, and one back.

use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};

use io_uring::squeue::Flags;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

use super::on_two_cores;
use crate::Result;
use crate::job::{Work, Worker};

/// What ends the other.
const END: u64 = u64::MAX;

/// Silent if it succeeds; marked, so that a failure is not taken for a message.
const SENT: u64 = u64::MAX - 1;

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let (to_one, at_one) = channel();
    let (to_zero, at_zero) = channel();
    let entries = u32::try_from(work.workers)?.next_power_of_two();
    on_two_cores(move || ask(work, entries, &to_one, &at_zero), move || answer(entries, &to_zero, &at_one))
}

/// A ring, which belongs to the thread that makes it, and the descriptor of the other's.
fn ring(entries: u32, tell: &Sender<RawFd>, told: &Receiver<RawFd>) -> Result<(IoUring, Fd)> {
    let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
    tell.send(ring.as_raw_fd())?;
    Ok((ring, Fd(told.recv()?)))
}

fn send(ring: &mut IoUring, to: Fd, message: u64) -> Result<()> {
    let entry = opcode::MsgRingData::new(to, 0, message, None).build();
    // SAFETY: a message refers to no memory.
    unsafe { ring.submission().push(&entry.flags(Flags::SKIP_SUCCESS).user_data(SENT))? };
    Ok(())
}

fn ask(work: &Work, entries: u32, tell: &Sender<RawFd>, told: &Receiver<RawFd>) -> Result<Vec<Worker>> {
    let (mut ring, other) = ring(entries, tell, told)?;
    let mut workers = work.workers();
    let mut idle: Vec<usize> = (0..workers.len()).rev().collect();
    let mut ended = 0;
    loop {
        while let Some(slot) = idle.pop() {
            if workers[slot].next() {
                send(&mut ring, other, slot as u64)?;
            } else {
                ended += 1;
            }
        }
        if ended == workers.len() {
            send(&mut ring, other, END)?;
            ring.submit()?;
            // The other hangs up when it needs this ring no longer.
            let _ = told.recv();
            return Ok(workers);
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            match completion.user_data() {
                SENT => return Err(std::io::Error::from_raw_os_error(-completion.result()).into()),
                slot => idle.push(slot as usize),
            }
        }
    }
}

fn answer(entries: u32, tell: &Sender<RawFd>, told: &Receiver<RawFd>) -> Result<()> {
    let (mut ring, other) = ring(entries, tell, told)?;
    let mut messages = Vec::with_capacity(entries as usize);
    loop {
        ring.submit_and_wait(1)?;
        messages.extend(ring.completion().map(|completion| (completion.user_data(), completion.result())));
        for (message, result) in messages.drain(..) {
            match message {
                END => return Ok(()),
                SENT => return Err(std::io::Error::from_raw_os_error(-result).into()),
                slot => send(&mut ring, other, slot)?,
            }
        }
    }
}
