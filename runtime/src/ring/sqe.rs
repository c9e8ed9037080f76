//! The submission queue entry as the kernel reads it: 64 bytes, `struct io_uring_sqe` of
//! `<linux/io_uring.h>`.
//!
//! [`Sqe`] is the bare entry. It is what chain templates hold and what the queue is made of; it is never
//! public, because an entry that reaches the kernel can write to any address. What operations build is a
//! [`Prepared`](super::Prepared), whose addresses are still known to the borrow checker.

/// The descriptor is a place in the table of direct descriptors.
pub(crate) const FIXED_FILE: u8 = 1 << 0;
/// Start the next entry only when this one has completed without severing the link.
pub(crate) const IO_LINK: u8 = 1 << 2;
/// Start the next entry when this one has completed, whatever became of it.
pub(crate) const IO_HARDLINK: u8 = 1 << 3;
/// Have a thread of the kernel do it, which may wait.
pub(crate) const ASYNC: u8 = 1 << 4;
/// Take a buffer out of the pool that `buf_index` names.
pub(crate) const BUFFER_SELECT: u8 = 1 << 5;
/// Post no completion if this entry succeeds (kernel 5.17).
pub(crate) const CQE_SKIP_SUCCESS: u8 = 1 << 6;

/// One submission queue entry; field names are those of `struct io_uring_sqe`.
#[repr(C, align(16))]
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
