//! io_uring by hand, with the io-uring crate: the floor. For small files it does less than everybody else: paths are
//! ready, and a file that were longer than the buffer would not be noticed.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use io_uring::squeue::Flags;
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{IoUring, opcode};

use super::random::{BLOCK, File, is_block};
use super::small::Files;
use crate::Result;

fn ring() -> Result<IoUring> {
    Ok(IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(512)?)
}

pub(super) fn small(files: &Files, until: Instant) -> Result<u64> {
    let paths: Vec<(CString, usize)> = files
        .files
        .iter()
        .map(|(path, len)| Ok((CString::new(path.as_os_str().as_bytes())?, *len)))
        .collect::<Result<_>>()?;
    let mut ring = ring()?;
    ring.submitter().register_files_sparse(files.in_flight as u32)?;
    let mut buffers = vec![vec![0u8; 4096 + 32]; files.in_flight];
    let mut lens = vec![0; files.in_flight];
    let mut sum = vec![None; files.in_flight];
    let (mut next, mut done) = (0, 0);
    let mut idle: Vec<usize> = (0..files.in_flight).collect();
    let mut ready = Vec::new();
    loop {
        let going = Instant::now() < until;
        while let Some(slot) = idle.pop_if(|_| going) {
            let (path, len) = &paths[next % paths.len()];
            next += 1;
            lens[slot] = *len;
            sum[slot] = None;
            let at = slot as u32;
            let target = DestinationSlot::try_from_slot_target(at).map_err(|_| "no such slot")?;
            let open =
                opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).file_index(Some(target)).build();
            let room = &mut buffers[slot];
            let read = opcode::Read::new(Fixed(at), room.as_mut_ptr(), room.len() as u32).build();
            let close = opcode::Close::new(Fixed(at)).build();
            let list = [
                open.flags(Flags::IO_LINK | Flags::SKIP_SUCCESS).user_data(slot as u64 * 4),
                read.flags(Flags::IO_HARDLINK).user_data(slot as u64 * 4 + 1),
                close.user_data(slot as u64 * 4 + 2),
            ];
            // SAFETY: paths, buffers and the ring's slots outlive the ring's use: the loop ends when nothing is in
            // flight.
            unsafe { ring.submission().push_multiple(&list)? };
        }
        if idle.len() == files.in_flight {
            return Ok(done);
        }
        ring.submit_and_wait(1)?;
        ready.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (user_data, result) in ready.drain(..) {
            let slot = user_data as usize / 4;
            if result < 0 {
                return Err(std::io::Error::from_raw_os_error(-result).into());
            }
            if user_data % 4 == 1 {
                sum[slot] = Some(buffers[slot][..result as usize].to_vec());
                continue;
            }
            if sum[slot].as_ref().is_none_or(|bytes| bytes.len() != lens[slot]) {
                return Err("a file has not its length".into());
            }
            done += 1;
            idle.push(slot);
        }
    }
}

pub(super) fn random(file: &File, until: Instant) -> Result<u64> {
    let opened = file.open()?;
    let mut ring = ring()?;
    let mut memory = vec![0u8; (file.depth + 1) * BLOCK];
    let aligned = memory.as_ptr().align_offset(BLOCK);
    let memory = &mut memory[aligned..][..file.depth * BLOCK];
    let mut numbers = vec![0; file.depth];
    let mut sequences: Vec<_> = (0..file.depth).map(|reader| file.numbers(reader)).collect();
    let mut idle: Vec<usize> = (0..file.depth).collect();
    let mut ready = Vec::new();
    let mut done = 0;
    loop {
        let going = Instant::now() < until;
        while let Some(slot) = idle.pop_if(|_| going) {
            numbers[slot] = sequences[slot]();
            let block = memory[slot * BLOCK..][..BLOCK].as_mut_ptr();
            let read = opcode::Read::new(Fd(opened.as_raw_fd()), block, BLOCK as u32)
                .offset(numbers[slot] * BLOCK as u64)
                .build()
                .user_data(slot as u64);
            // SAFETY: the memory outlives the read: the loop ends when nothing is in flight.
            unsafe { ring.submission().push(&read)? };
        }
        if idle.len() == file.depth {
            return Ok(done);
        }
        ring.submit_and_wait(1)?;
        ready.extend(ring.completion().map(|cqe| (cqe.user_data() as usize, cqe.result())));
        for (slot, result) in ready.drain(..) {
            if result != BLOCK as i32 || !is_block(&memory[slot * BLOCK..][..BLOCK], numbers[slot]) {
                return Err("a block is not the one asked for".into());
            }
            done += 1;
            idle.push(slot);
        }
    }
}
