//! io_uring by hand: open, read and close are one linked list into a slot of the ring's own file table. It does less than
//! the others: paths are ready, and a file longer than the buffer would not be noticed.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

use io_uring::squeue::Flags;
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{IoUring, opcode};

use super::{share, whole};
use crate::Result;
use crate::job::{Work, Worker};

const BUFFER: usize = 4096 + 32;

/// One worker's place: its buffer, and the file that it has open in the slot of the same number.
struct Place {
    worker: Worker,
    files: Vec<(CString, usize)>,
    at: usize,
    /// Never freed, so that the kernel may write to it whatever happens here.
    buffer: &'static mut [u8],
    read: usize,
}

pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let entries = u32::try_from(3 * work.workers)?.next_power_of_two();
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries)?;
    ring.submitter().register_files_sparse(u32::try_from(work.workers)?)?;
    let mut places: Vec<_> = work.workers().into_iter().map(|worker| place(work, worker)).collect();
    let mut idle: Vec<usize> = (0..places.len()).rev().collect();
    let mut ended = Vec::new();
    loop {
        while let Some(slot) = idle.pop() {
            if places[slot].worker.next() {
                begin(&mut ring, slot, &mut places[slot])?;
            } else {
                ended.push(slot);
            }
        }
        if ended.len() == places.len() {
            return Ok(places.into_iter().map(|place| place.worker).collect());
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            let (slot, result) = (completion.user_data() as usize / 2, completion.result());
            if result < 0 {
                return Err(std::io::Error::from_raw_os_error(-result).into());
            }
            let place = &mut places[slot];
            if completion.user_data() % 2 == 1 {
                place.read = result as usize;
                continue;
            }
            whole(place.read, place.files[place.at].1)?;
            place.at = (place.at + 1) % place.files.len();
            idle.push(slot);
        }
    }
}

fn place(work: &Work, worker: Worker) -> Place {
    let count = super::COUNT.div_ceil(work.workers);
    let files = share(work, worker.index).take(count);
    let files = files.map(|(path, len)| {
        (CString::new(path.as_os_str().as_bytes()).expect("a path has no zero byte"), len)
    });
    Place { files: files.collect(), worker, at: 0, buffer: Vec::leak(vec![0; BUFFER]), read: 0 }
}

fn begin(ring: &mut IoUring, slot: usize, place: &mut Place) -> Result<()> {
    let number = slot as u32;
    let target = DestinationSlot::try_from_slot_target(number).map_err(|_| "no such slot")?;
    let path = place.files[place.at].0.as_ptr();
    let open = opcode::OpenAt::new(Fd(libc::AT_FDCWD), path).file_index(Some(target)).build();
    let read = opcode::Read::new(Fixed(number), place.buffer.as_mut_ptr(), BUFFER as u32).build();
    let close = opcode::Close::new(Fixed(number)).build();
    let list = [
        open.flags(Flags::IO_LINK | Flags::SKIP_SUCCESS).user_data(slot as u64 * 2),
        read.flags(Flags::IO_HARDLINK).user_data(slot as u64 * 2 + 1),
        close.user_data(slot as u64 * 2),
    ];
    // SAFETY:
    // - the path is read when the list is submitted, and its place lives longer than the loop that does so;
    // - the buffer is never freed, and nobody touches it until the list has completed.
    unsafe { ring.submission().push_multiple(&list)? };
    Ok(())
}
