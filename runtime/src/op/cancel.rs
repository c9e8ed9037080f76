//! cancel: ask the kernel to end operations early (`IORING_OP_ASYNC_CANCEL`).
//!
//! There is no awaited form. Dropping a future, or cancelling a frame, cancels; and a request can miss (it
//! finds nothing between the end of one linked member and the start of the next), so the driver repeats it
//! until the target has completed. See `driver/cancel.rs`.

use std::os::fd::RawFd;

use io_uring::opcode;

use crate::driver::Key;
use crate::ring::Sqe;

/// `IORING_ASYNC_CANCEL_ALL`: every match, not only the first (5.19).
const ALL: u32 = 1 << 0;
/// `IORING_ASYNC_CANCEL_FD`: match by descriptor instead of `user_data` (5.19).
const BY_FD: u32 = 1 << 1;

const TEMPLATE: Sqe = Sqe::new(opcode::AsyncCancel::CODE);

/// Cancels what was submitted with this `user_data`.
pub(crate) fn by_user_data(user_data: u64) -> Sqe {
    Sqe { addr: user_data, user_data: Key::CANCEL.with_step(0), ..TEMPLATE }
}

/// Cancels everything in flight on `fd`, which must belong to the one who cancels alone.
pub(crate) fn by_descriptor(fd: RawFd) -> Sqe {
    Sqe { fd, op_flags: ALL | BY_FD, user_data: Key::CANCEL.with_step(0), ..TEMPLATE }
}
