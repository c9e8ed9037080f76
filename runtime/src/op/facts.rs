//! What is known of an opcode, in one place each.

use crate::ring::capabilities::Capability;

/// What a non-negative result of an operation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing but success.
    Unit,
    /// A count of bytes (or a mask of events, or an index).
    Count,
    /// A new descriptor: closed by the runtime if nobody waits for it any more.
    Descriptor,
    /// A count of bytes in a buffer of a pool, which the flags name: given back to its pool if nobody waits
    /// for it any more.
    Buffer,
    /// A count of bytes; the kernel still reads the operation's memory until a second completion, the
    /// notification.
    Notified,
}

/// Whether a failure severs the link to the next member of a chain.
///
/// Proved on the running kernel by `tests/severs.rs` and `tests/severs_multishot.rs`; an opcode that does not sever can
/// only end a linked segment, because its successor would run although it failed. The successor of a multishot operation
/// waits until that has ended; the failure that ended it severs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severs {
    /// An error severs, and so does a short transfer where there can be one.
    Always,
    /// An error severs; a short transfer only with `MSG_WAITALL`.
    WithWaitall,
    /// An error that the operation itself meets does not sever (one that keeps it from being started, such as
    /// a bad descriptor, does): the successor runs although it failed.
    Never,
}

/// The facts of an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The verb, as in error messages and in `explain()`.
    pub name: &'static str,
    /// The number of the opcode, `IORING_OP_*`.
    pub opcode: u8,
    /// The kernel release that brought it.
    pub since: (u32, u32),
    /// What a ring must be capable of to take it, where that is more than the 6.1 baseline.
    pub needs: Option<Capability>,
    /// What its result means.
    pub returns: Returns,
    /// Whether its failure severs a link.
    pub severs: Severs,
    /// Whether one submission completes again and again.
    pub multishot: bool,
}

impl Facts {
    /// Whether every kernel that chainring runs on offers the operation: looked up once when a ring is set up,
    /// and not again.
    pub(crate) const fn is_baseline(&self) -> bool {
        let (major, minor) = self.since;
        (major < 6 || major == 6 && minor <= 1) && self.needs.is_none()
    }
}
