//! The kernel's interface without a crate between: structures, setup, mappings, enter.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// Entries of the submission queue.
pub(super) const SUBMISSIONS: u32 = 256;
/// Entries of the completion queue.
pub(super) const COMPLETIONS: u32 = 4096;

const SETUP_CQSIZE: u32 = 1 << 3;
const SETUP_SUBMIT_ALL: u32 = 1 << 7;
const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
const SETUP_NO_SQARRAY: u32 = 1 << 16;
const OFFSET_RINGS: i64 = 0;
const OFFSET_ENTRIES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;

/// `struct io_uring_sqe`, the fields by the names of their use here.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    pub(super) ioprio: u16,
    pub(super) fd: i32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) length: u32,
    pub(super) operation_flags: u32,
    pub(super) user_data: u64,
    pub(super) rest: [u64; 3],
}

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// `struct io_uring_params` with its two tables of offsets.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq_off: SubmissionOffsets,
    cq_off: CompletionOffsets,
}

#[repr(C)]
#[derive(Default)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Default)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: [u32; 3],
}

/// A ring and the addresses of its shared memory, which stays mapped for as long as the process lives.
pub(super) struct Queues {
    /// Keeps the ring open.
    _fd: OwnedFd,
    /// The index under which `_fd` is registered.
    index: u32,
    pub(super) entries: NonNull<Entry>,
    pub(super) submission_tail: &'static AtomicU32,
    pub(super) completions: NonNull<Completion>,
    pub(super) completion_head: &'static AtomicU32,
    pub(super) completion_tail: &'static AtomicU32,
}

impl Queues {
    pub(super) fn map() -> io::Result<Self> {
        let mut parameters = Parameters {
            cq_entries: COMPLETIONS,
            flags: SETUP_CQSIZE
                | SETUP_SUBMIT_ALL
                | SETUP_SINGLE_ISSUER
                | SETUP_DEFER_TASKRUN
                | SETUP_NO_SQARRAY,
            ..Parameters::default()
        };
        // SAFETY: the structure is the one that the kernel expects, and the returned descriptor, once
        // checked, is ours alone.
        let fd = unsafe {
            let fd = check(libc::syscall(libc::SYS_io_uring_setup, SUBMISSIONS, &raw mut parameters))?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        let Parameters { sq_off, cq_off, .. } = parameters;
        let rings =
            map(&fd, OFFSET_RINGS, cq_off.cqes as usize + COMPLETIONS as usize * size_of::<Completion>())?;
        let entries = map(&fd, OFFSET_ENTRIES, SUBMISSIONS as usize * size_of::<Entry>())?;
        let index = register(&fd)?;
        // SAFETY: the kernel vouches for offsets within the mapping, which is never undone; it accesses the
        // words atomically.
        let word = |offset: u32| unsafe { rings.add(offset as usize).cast::<AtomicU32>().as_ref() };
        Ok(Self {
            _fd: fd,
            index,
            entries: entries.cast(),
            submission_tail: word(sq_off.tail),
            // SAFETY: as above.
            completions: unsafe { rings.add(cq_off.cqes as usize) }.cast(),
            completion_head: word(cq_off.head),
            completion_tail: word(cq_off.tail),
        })
    }

    /// Submits `submissions` published entries and waits until there are `wanted` completions. Returns how
    /// many it took.
    #[inline]
    pub(super) fn enter(&self, submissions: u32, wanted: u32) -> io::Result<u32> {
        let flags = ENTER_GETEVENTS | ENTER_REGISTERED_RING;
        let nothing = std::ptr::null::<libc::c_void>();
        // SAFETY: the call takes no memory but the rings'; whoever publishes an entry vouches for what it
        // refers to.
        let taken = unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.index, submissions, wanted, flags, nothing, 0_usize)
        };
        match check(taken) {
            Ok(taken) => Ok(taken as u32),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}

fn map(fd: &OwnedFd, offset: i64, length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh mapping of a ring's memory overlaps nothing.
    let address = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_POPULATE;
        libc::mmap(std::ptr::null_mut(), length, protection, kind, fd.as_raw_fd(), offset)
    };
    if address == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(NonNull::new(address).expect("mapped").cast())
    }
}

/// Registers the ring's own descriptor, which spares every enter its lookup.
fn register(fd: &OwnedFd) -> io::Result<u32> {
    /// `struct io_uring_rsrc_update`.
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let mut update = Update { offset: u32::MAX, reserved: 0, data: fd.as_raw_fd() as u64 };
    // SAFETY: the structure is the one that the kernel expects, and it is told that there is one of it.
    check(unsafe {
        libc::syscall(libc::SYS_io_uring_register, fd.as_raw_fd(), REGISTER_RING_FDS, &raw mut update, 1)
    })?;
    Ok(update.offset)
}

fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
