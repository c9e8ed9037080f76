//! What is known of an opcode, in one place each.

/// What a non-negative result of an operation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// Nothing but success.
    Unit,
    /// A count of bytes (or a mask of events).
    Count,
    /// A new descriptor: closed by the runtime if nobody waits for it any more.
    Descriptor,
}

/// Whether a failure severs the link to the next member of a chain.
///
/// Proved on the running kernel by `tests/severs.rs`; an opcode that does not sever can only end a linked
/// segment, because its successor would run although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severs {
    /// An error severs, and so does a short transfer where there can be one.
    Always,
    /// An error severs; a short transfer only with `MSG_WAITALL`.
    WithWaitall,
    /// Nothing severs.
    Never,
}

/// The facts of an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The verb, as in error messages and in `explain()`.
    pub name: &'static str,
    /// The kernel release that brought it.
    pub since: (u32, u32),
    /// What its result means.
    pub returns: Returns,
    /// Whether its failure severs a link.
    pub severs: Severs,
}
