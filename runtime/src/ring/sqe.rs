//! The submission queue entry as the kernel reads it: 64 bytes, `struct io_uring_sqe` of
//! `<linux/io_uring.h>`.
//!
//! [`Sqe`] is the bare entry. It is what chain templates hold and what the queue is made of; it is never
//! public, because an entry that reaches the kernel can write to any address. [`Prepared`] is an entry whose
//! addresses are still known to the borrow checker: an operation can only build one from memory that it
//! borrows from itself.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use crate::buf::{IoBuf, IoBufMut};

/// Start the next entry only when this one has completed without severing the link.
pub(crate) const IO_LINK: u8 = 1 << 2;
/// Post no completion if this entry succeeds (kernel 5.17).
pub(crate) const CQE_SKIP_SUCCESS: u8 = 1 << 6;

/// One submission queue entry; field names are those of `struct io_uring_sqe`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sqe {
    pub(crate) opcode: u8,
    pub(crate) flags: u8,
    pub(crate) ioprio: u16,
    pub(crate) fd: i32,
    pub(crate) off: u64,
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) op_flags: u32,
    pub(crate) user_data: u64,
    pub(crate) buf_index: u16,
    pub(crate) personality: u16,
    pub(crate) file_index: u32,
    pub(crate) addr3: u64,
    pub(crate) pad: u64,
}

#[cfg(target_endian = "big")]
compile_error!("chainring writes submission queue entries as little-endian words");

const _: () = assert!(size_of::<Sqe>() == 64 && size_of::<io_uring::squeue::Entry>() == 64);
const _: () = assert!(std::mem::offset_of!(Sqe, user_data) == 32 && std::mem::offset_of!(Sqe, addr3) == 48);

impl Sqe {
    /// An entry of `opcode` on no descriptor, everything else zero.
    pub(crate) const fn new(opcode: u8) -> Self {
        Sqe {
            opcode,
            flags: 0,
            ioprio: 0,
            fd: -1,
            off: 0,
            addr: 0,
            len: 0,
            op_flags: 0,
            user_data: 0,
            buf_index: 0,
            personality: 0,
            file_index: 0,
            addr3: 0,
            pad: 0,
        }
    }

    /// The entry as eight words:
    ///
    /// ```text
    /// 0  opcode 8 | flags 8 | ioprio 16 | fd 32      4  user_data
    /// 1  off                                        5  buf_index 16 | personality 16 | file_index 32
    /// 2  addr                                       6  addr3
    /// 3  len 32 | op_flags 32                       7  (reserved)
    /// ```
    pub(crate) fn words(self) -> [u64; 8] {
        // SAFETY: both are 64 bytes of plain integers.
        unsafe { std::mem::transmute(self) }
    }
}

/// An entry together with the borrow `'a` of everything that the kernel may touch for it.
///
/// The addresses can only be set from references that live for `'a`, and an operation prepares with
/// `&'a mut self`: so whatever the entry points to is owned by the operation (or is static), and stays where
/// it is as long as the operation does.
#[derive(Debug)]
pub struct Prepared<'a> {
    sqe: Sqe,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Prepared<'a> {
    /// Starts from an entry that names no memory yet.
    pub(crate) fn new(sqe: Sqe, fd: RawFd) -> Self {
        debug_assert!(sqe.addr == 0 && sqe.off == 0, "an entry with addresses of unknown lifetime");
        Prepared { sqe: Sqe { fd, ..sqe }, memory: PhantomData }
    }

    /// The kernel reads from `buffer`.
    pub(crate) fn reads(mut self, buffer: &'a impl IoBuf) -> Self {
        let bytes = buffer.as_bytes();
        self.sqe.addr = bytes.as_ptr() as u64;
        self.sqe.len = transfer_len(bytes.len());
        self
    }

    /// The kernel writes into the room of `buffer`.
    pub(crate) fn writes(mut self, buffer: &'a mut impl IoBufMut) -> Self {
        // SAFETY: the kernel only ever writes bytes, and bytes that it wrote are initialised.
        let room: &mut [MaybeUninit<u8>] = unsafe { buffer.room() };
        self.sqe.addr = room.as_mut_ptr() as u64;
        self.sqe.len = transfer_len(room.len());
        self
    }

    /// The position in the file.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.sqe.off = offset;
        self
    }

    /// The finished entry, its borrow forgotten: the caller now answers for the memory.
    pub(crate) fn into_sqe(self) -> Sqe {
        self.sqe
    }
}

/// The length of one transfer: the kernel moves at most `MAX_RW_COUNT` (2 GiB less a page) at once and says
/// how much it did, so a longer buffer is a short transfer and not an error.
fn transfer_len(len: usize) -> u32 {
    const MAX_RW_COUNT: usize = 0x7fff_f000;
    len.min(MAX_RW_COUNT) as u32
}
