//! cancel: ask the kernel to end operations early (`IORING_OP_ASYNC_CANCEL`).
//!
//! There is no awaited form. Dropping a future, or cancelling a frame, cancels; and a request can miss (it
//! finds nothing between the end of one linked member and the start of the next), so the driver repeats it
//! until the target has completed. See `driver/cancel.rs`.

use io_uring::opcode;

use crate::driver::Key;
use crate::ring::Sqe;

const TEMPLATE: Sqe = Sqe::new(opcode::AsyncCancel::CODE);

/// Cancels what was submitted with this `user_data`.
pub(crate) fn by_user_data(user_data: u64) -> Sqe {
    Sqe { addr: user_data, user_data: Key::CANCEL.with_step(0), ..TEMPLATE }
}
