//! What the hand-written io_uring loops share: setting a ring up, turning it, and keeping connections.

pub(super) mod buffers;
pub(super) mod connections;
pub(super) mod ring;
