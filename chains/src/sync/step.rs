//! The steps of this folder, as the compiler sees them.

use crate::handle::{Reg, Span};

/// A step on something that is shared. Things have the numbers that they have in the chain.
#[derive(Clone, Debug)]
pub(crate) enum Sync {
    /// Waits for a group, and is inside of it afterwards.
    Enter(u16),
    /// Is inside of the group no more.
    Leave(u16),
    /// Has a record reach the disk as a part of a log.
    Commit { log: u16, longest: u32, spans: Vec<Span>, into: Option<Reg> },
}

impl Sync {
    /// Whether it may fail its frame.
    pub(crate) fn can_fail(&self) -> bool {
        matches!(self, Sync::Commit { .. })
    }

    /// Whether somebody who is outside of every group may have to come first.
    pub(crate) fn waits_for_others(&self) -> bool {
        false
    }
}
