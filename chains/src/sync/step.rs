//! The steps of this folder, as the compiler sees them.

use crate::handle::{Reg, Span, Word};

/// A step on something that is shared. `E` is what a number is: an expression in a chain as it was written, a register in
/// a flow. Things have the numbers that they have in the chain.
#[derive(Clone, Debug)]
pub(crate) enum Sync<E> {
    /// Waits for a group, and is inside of it afterwards.
    Enter(u16),
    /// Is inside of the group no more.
    Leave(u16),
    /// Has a record reach the disk as a part of a log.
    Commit { log: u16, longest: u32, spans: Vec<Span>, into: Option<Reg> },
    /// Takes a post of an event.
    Wait(u16),
    /// Posts an event, on its own core or on another.
    Notify { event: u16, core: Option<E> },
    /// Waits until a word is woken, if it is as expected.
    FutexWait { word: Word, expected: E },
    /// Wakes so many of those that wait for a word.
    FutexWake { word: Word, count: E, into: Option<Reg> },
}

impl<E> Sync<E> {
    /// Whether it may fail its frame.
    pub(crate) fn can_fail(&self) -> bool {
        !matches!(self, Sync::Enter(_) | Sync::Leave(_) | Sync::Wait(_) | Sync::Notify { core: None, .. })
    }

    /// Whether somebody who is outside of every group may have to come first.
    pub(crate) fn waits_for_others(&self) -> bool {
        matches!(self, Sync::Wait(_) | Sync::FutexWait { .. })
    }

    /// Its numbers.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &E> {
        let number = match self {
            Sync::Notify { core, .. } => core.as_ref(),
            Sync::FutexWait { expected: number, .. } | Sync::FutexWake { count: number, .. } => Some(number),
            Sync::Enter(_) | Sync::Leave(_) | Sync::Commit { .. } | Sync::Wait(_) => None,
        };
        number.into_iter()
    }

    /// The same with other numbers.
    pub(crate) fn try_map<F, X>(&self, mut map: impl FnMut(&E) -> Result<F, X>) -> Result<Sync<F>, X> {
        Ok(match self {
            Sync::Enter(group) => Sync::Enter(*group),
            Sync::Leave(group) => Sync::Leave(*group),
            Sync::Commit { log, longest, spans, into } => {
                Sync::Commit { log: *log, longest: *longest, spans: spans.clone(), into: *into }
            }
            Sync::Wait(event) => Sync::Wait(*event),
            Sync::FutexWait { word, expected } => Sync::FutexWait { word: *word, expected: map(expected)? },
            Sync::FutexWake { word, count, into } => {
                Sync::FutexWake { word: *word, count: map(count)?, into: *into }
            }
            Sync::Notify { event, core } => {
                Sync::Notify { event: *event, core: core.as_ref().map(&mut map).transpose()? }
            }
        })
    }
}
