//! An entry whose addresses are still known to the borrow checker.
//!
//! An operation prepares with `&'a mut self`, and every setter below takes what the kernel is to touch as a
//! reference of the same `'a`. So whatever a finished entry points to is owned by the operation (or is
//! static), and stays where it is as long as the operation does, which the driver promises: operations lie
//! unmoved in their slots until the last completion.
//!
//! Several fields of an entry are addresses for some opcodes and numbers for others. The setters are named
//! after what the kernel takes them for; that an operation uses those of its opcode is for its file to see to.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU32;

use io_uring::opcode;
use socket2::SockAddr;

use super::sqe::{BUFFER_SELECT, Sqe};
use crate::buf::{Gathered, IoBuf, Plain, PoolShared};
use crate::descriptor::AnyDescriptor;
use crate::op::message::Header;

/// A submission together with the borrow `'a` of everything that the kernel may touch for it.
///
/// Only the operations of this crate can make one.
///
/// ```compile_fail,E0603
/// // There is no way to an entry from outside: safe code cannot hand addresses to the kernel.
/// let prepared = chainring_runtime::ring::Prepared::new(Default::default(), -1);
/// ```
#[derive(Debug)]
pub struct Prepared<'a> {
    sqe: Sqe,
    memory: PhantomData<&'a mut [u8]>,
}

/// Opcodes that read the field `addr` as a number.
const NUMBER_IN_ADDR: [u8; 5] = [
    opcode::Fallocate::CODE,
    opcode::Splice::CODE,
    opcode::Tee::CODE,
    opcode::MsgRingData::CODE,
    opcode::UringCmd16::CODE,
];

impl<'a> Prepared<'a> {
    /// Starts from an entry that names no memory yet.
    pub(crate) fn new(sqe: Sqe, fd: RawFd) -> Self {
        debug_assert!(
            sqe.addr == 0 && sqe.off == 0 && sqe.addr3 == 0 && sqe.pad == 0,
            "an entry with addresses of unknown lifetime"
        );
        Prepared { sqe: Sqe { fd, ..sqe }, memory: PhantomData }
    }

    /// As [`new`](Prepared::new), on either kind of descriptor.
    #[inline]
    pub(crate) fn on(sqe: Sqe, descriptor: &impl AnyDescriptor) -> Self {
        let (flags, fd) = descriptor.target();
        Prepared::new(Sqe { flags: sqe.flags | flags, ..sqe }, fd)
    }

    /// An entry whose memory is vouched for elsewhere; see `op/raw.rs`.
    ///
    /// # Safety
    /// What the entry points to must be valid for what the kernel does with it, and stay so for `'a` and as
    /// long as the operation that prepared it lies in its slot.
    pub(crate) unsafe fn vouched(sqe: Sqe) -> Self {
        Prepared { sqe, memory: PhantomData }
    }

    // ---- bytes ----

    /// The kernel reads from `buffer`.
    pub(crate) fn reads(mut self, buffer: &'a impl IoBuf) -> Self {
        let bytes = buffer.as_bytes();
        self.sqe.addr = bytes.as_ptr() as u64;
        self.sqe.len = transfer_len(bytes.len());
        self
    }

    /// Does nothing, with success, if the buffer is empty.
    #[inline]
    pub(crate) fn unless_empty(mut self) -> Self {
        if self.sqe.len == 0 {
            self.sqe.opcode = io_uring::opcode::Nop::CODE;
            // Flags that NOP does not know are refused.
            self.sqe.op_flags = 0;
        }
        self
    }

    /// The kernel reads from `buffer` what comes behind its first `done` bytes.
    pub(crate) fn reads_from(mut self, buffer: &'a impl IoBuf, done: usize) -> Self {
        let bytes = buffer.as_bytes();
        let bytes = &bytes[done.min(bytes.len())..];
        self.sqe.addr = bytes.as_ptr() as u64;
        self.sqe.len = transfer_len(bytes.len());
        self
    }

    /// The kernel writes into `room`.
    pub(crate) fn writes(mut self, room: &'a mut [MaybeUninit<u8>]) -> Self {
        self.sqe.addr = room.as_mut_ptr() as u64;
        self.sqe.len = transfer_len(room.len());
        self
    }

    /// The kernel overwrites `bytes`.
    pub(crate) fn overwrites(mut self, bytes: &'a mut [u8]) -> Self {
        self.sqe.addr = bytes.as_mut_ptr() as u64;
        self.sqe.len = transfer_len(bytes.len());
        self
    }

    /// The kernel reads from, or writes into, several buffers.
    pub(crate) fn vectored(mut self, parts: Gathered<'a>) -> Self {
        let parts = parts.iovecs();
        self.sqe.addr = parts.as_ptr() as u64;
        self.sqe.len = parts.len() as u32;
        self
    }

    /// The kernel takes a buffer of `pool` when it has data. If the pool is another ring's, the operation has no
    /// descriptor, and fails with EBADF: here its number names somebody else's buffers, or none.
    pub(crate) fn selects(mut self, pool: &PoolShared) -> Self {
        if !pool.is_here() {
            self.sqe.fd = -1;
        }
        self.sqe.flags |= BUFFER_SELECT;
        self.sqe.buf_index = pool.group();
        self
    }

    /// The buffer given to `reads` or `writes` lies in the registered buffer `index`, or the kernel refuses.
    pub(crate) fn registered(mut self, index: u16) -> Self {
        self.sqe.buf_index = index;
        self
    }

    /// The second buffer of opcodes that have two (the value of an extended attribute), read.
    pub(crate) fn second_reads(mut self, buffer: &'a impl IoBuf) -> Self {
        let bytes = buffer.as_bytes();
        self.sqe.off = bytes.as_ptr() as u64;
        self.sqe.len = transfer_len(bytes.len());
        self
    }

    /// The second buffer of opcodes that have two, written.
    pub(crate) fn second_writes(mut self, room: &'a mut [MaybeUninit<u8>]) -> Self {
        self.sqe.off = room.as_mut_ptr() as u64;
        self.sqe.len = transfer_len(room.len());
        self
    }

    // ---- names ----

    /// The path, target or name that the opcode reads first.
    pub(crate) fn path(mut self, path: &'a CStr) -> Self {
        self.sqe.addr = path.as_ptr() as u64;
        self
    }

    /// As [`path`](Prepared::path), for a path that ends with the first zero byte in `bytes`.
    ///
    /// # Panics
    /// If the last byte is not zero: the kernel would read on.
    pub(crate) fn path_within(mut self, bytes: &'a [u8]) -> Self {
        assert!(bytes.last() == Some(&0), "a path without an end");
        self.sqe.addr = bytes.as_ptr() as u64;
        self
    }

    /// The path that the opcode reads second: where to rename, link or symlink to.
    pub(crate) fn second_path(mut self, path: &'a CStr) -> Self {
        self.sqe.off = path.as_ptr() as u64;
        self
    }

    /// The path of an opcode whose first string is the name of an attribute.
    pub(crate) fn third_path(mut self, path: &'a CStr) -> Self {
        self.sqe.addr3 = path.as_ptr() as u64;
        self
    }

    /// The address to bind or connect to.
    pub(crate) fn address(mut self, address: &'a SockAddr) -> Self {
        self.sqe.addr = address.as_ptr() as u64;
        self.sqe.off = u64::from(address.len());
        self
    }

    /// The address that a send with a buffer of its own goes to.
    pub(crate) fn destination(mut self, address: &'a SockAddr) -> Self {
        self.sqe.off = address.as_ptr() as u64;
        // `__u16 addr_len` is the lower half of this field on little-endian machines, the upper on others.
        let len = address.len();
        self.sqe.file_index = if cfg!(target_endian = "big") { len << 16 } else { len };
        self
    }

    // ---- structures ----

    /// The message to send, or the places to receive one into.
    pub(crate) fn message(mut self, header: Header<'a>) -> Self {
        self.sqe.addr = header.as_ptr() as u64;
        self.sqe.len = 1;
        self
    }

    /// A structure that the kernel fills.
    pub(crate) fn fills<T: Plain>(mut self, value: &'a mut T) -> Self {
        self.sqe.addr = std::ptr::from_mut(value) as u64;
        self
    }

    /// An array that the kernel reads.
    pub(crate) fn array<T: Plain>(mut self, values: &'a [T]) -> Self {
        self.sqe.addr = values.as_ptr() as u64;
        self.sqe.len = values.len() as u32;
        self
    }

    /// An array that the kernel fills.
    pub(crate) fn fills_array<T: Plain>(mut self, values: &'a mut [T]) -> Self {
        self.sqe.addr = values.as_mut_ptr() as u64;
        self.sqe.len = values.len() as u32;
        self
    }

    /// A structure beside the path, that the kernel reads: its size goes with it.
    pub(crate) fn second_sized<T: Plain>(mut self, value: &'a T) -> Self {
        self.sqe.off = std::ptr::from_ref(value) as u64;
        self.sqe.len = size_of::<T>() as u32;
        self
    }

    /// A structure beside the path, that the kernel fills.
    pub(crate) fn second_fills<T: Plain>(mut self, value: &'a mut T) -> Self {
        self.sqe.off = std::ptr::from_mut(value) as u64;
        self
    }

    /// The value of a socket option, read or filled by the kernel, at the place that `IORING_OP_URING_CMD` has
    /// for it, with its length.
    pub(crate) fn option_value(mut self, value: &'a mut [u8]) -> Self {
        self.sqe.addr3 = value.as_mut_ptr() as u64;
        self.sqe.file_index = value.len() as u32;
        self
    }

    /// The word that a futex waits on. The kernel only reads it.
    pub(crate) fn futex(mut self, word: &'a AtomicU32, value: u64) -> Self {
        self.sqe.addr = word.as_ptr() as u64;
        self.sqe.off = value;
        self.sqe.addr3 = u64::from(u32::MAX);
        self
    }

    /// The pages that advice is given for, from the start of `memory`.
    pub(crate) fn pages(mut self, memory: &'a mut [u8]) -> Self {
        self.sqe.addr = memory.as_mut_ptr() as u64;
        self.sqe.len = memory.len().min(u32::MAX as usize & !4095) as u32;
        self
    }

    // ---- numbers ----

    /// The position in the file, or whatever else the opcode has at its place that is not an address.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.sqe.off = offset;
        self
    }

    /// The field `addr`, for opcodes that do not take it for an address.
    ///
    /// # Panics
    /// For others.
    pub(crate) fn number(mut self, number: u64) -> Self {
        assert!(NUMBER_IN_ADDR.contains(&self.sqe.opcode), "this opcode takes addr for an address");
        self.sqe.addr = number;
        self
    }

    /// The finished entry, its borrow forgotten: the caller now answers for the memory.
    pub(crate) fn into_sqe(self) -> Sqe {
        self.sqe
    }
}

/// The length of one transfer: the kernel moves at most `MAX_RW_COUNT` (2 GiB less a page) at once and says
/// how much it did, so a longer buffer is a short transfer and not an error.
pub(crate) fn transfer_len(len: usize) -> u32 {
    const MAX_RW_COUNT: usize = 0x7fff_f000;
    len.min(MAX_RW_COUNT) as u32
}
