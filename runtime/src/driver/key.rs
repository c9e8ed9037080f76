//! `user_data`: what a completion belongs to.
//!
//! ```text
//!  63     60 59       48 47    44 43           24 23              0
//! +---------+-----------+--------+---------------+-----------------+
//! |  kind   |   owner   |  step  |  generation   |      index      |
//! +---------+-----------+--------+---------------+-----------------+
//! ```
//!
//! *index* and *generation* name a slot or a frame; the generation counts its uses, so that a late completion
//! never reaches the next user. *owner* is the number of a frame's region, *step* the member of its segment.

use std::os::fd::RawFd;

/// A slot's or frame's key: `user_data` without the step.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// The kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An operation in a slot.
    Slot,
    /// A segment member of a frame.
    Frame,
    /// The answer to a cancel request: the request repeats until its target completes, so it says nothing.
    Cancel,
    /// The core's bell.
    Bell,
    /// Another core's ring has told this one to look around.
    Heard,
    /// This ring could not tell another.
    Unheard,
    /// A member of a list.
    List,
    /// The closing of a direct descriptor that a list was done with, which says something only if it fails.
    Direct,
    /// No kind of ours.
    Unknown,
}

const STEP_SHIFT: u32 = 44;
const OWNER_SHIFT: u32 = 48;
const KIND_SHIFT: u32 = 60;
const INDEX_MASK: u64 = (1 << 24) - 1;
const GENERATION_SHIFT: u32 = 24;
const GENERATION_MASK: u64 = (1 << 20) - 1;
const STEP_MASK: u64 = 0xf << STEP_SHIFT;
const OWNER_MASK: u64 = 0xfff;

/// The number of slots, and of frames of one region, that an index can name.
pub(crate) const MAX_INDEX: u32 = 1 << 24;
/// The number of regions that a ring can have.
pub(crate) const MAX_OWNERS: u32 = 1 << 12;
/// The number of members that a segment's steps can name.
pub(crate) const MAX_STEPS: u32 = 16;

impl Key {
    pub(crate) const CANCEL: Key = Key(2 << KIND_SHIFT);
    pub(crate) const BELL: Key = Key(3 << KIND_SHIFT);
    pub(crate) const HEARD: Key = Key(4 << KIND_SHIFT);
    /// Not 0, which no key is: a frame that expects nothing has it in place of a key.
    const SLOT: u64 = 8;
    const UNHEARD: u64 = 5;
    const LIST: u64 = 6;
    const DIRECT: u64 = 7;

    /// What no completion bears.
    pub(crate) const NOBODY: u64 = u64::MAX;

    /// For a message to the ring of a core whose bell this is; `None` if the number is too large to be kept.
    pub(crate) fn unheard(bell: RawFd) -> Option<Key> {
        let bell = u64::try_from(bell).ok().filter(|bell| *bell <= INDEX_MASK)?;
        Some(Key(Key::UNHEARD << KIND_SHIFT | bell))
    }

    #[inline]
    pub(crate) fn slot(index: u32, generation: u32) -> Key {
        Key::new(Key::SLOT, 0, index, generation)
    }

    pub(crate) fn list(index: u32, generation: u32) -> Key {
        Key::new(Key::LIST, 0, index, generation)
    }

    pub(crate) fn direct(place: u32) -> Key {
        Key::new(Key::DIRECT, 0, place, 0)
    }

    pub(crate) fn frame(owner: u32, index: u32, generation: u32) -> Key {
        Key::new(1, owner, index, generation)
    }

    #[inline]
    fn new(kind: u64, owner: u32, index: u32, generation: u32) -> Key {
        debug_assert!(index < MAX_INDEX && owner < MAX_OWNERS);
        Key(kind << KIND_SHIFT
            | (u64::from(owner) & OWNER_MASK) << OWNER_SHIFT
            | (u64::from(generation) & GENERATION_MASK) << GENERATION_SHIFT
            | u64::from(index) & INDEX_MASK)
    }

    /// The key of the next use of the same slot or frame.
    #[inline]
    pub(crate) fn next_use(self) -> Key {
        // A generation that overflows carries into the step, which is zero in a key.
        Key((self.0 + (1 << GENERATION_SHIFT)) & !STEP_MASK)
    }

    /// What to put into an SQE's `user_data` for member `step`.
    #[inline]
    pub(crate) fn with_step(self, step: u32) -> u64 {
        debug_assert!(step < MAX_STEPS);
        self.0 | Key::step_bits(step)
    }

    /// A step where `user_data` has it.
    #[inline]
    pub(crate) fn step_bits(step: u32) -> u64 {
        u64::from(step) << STEP_SHIFT
    }

    /// The `user_data` of the member behind that of `user_data`.
    #[inline]
    pub(crate) fn next_step(user_data: u64) -> u64 {
        user_data.wrapping_add(1 << STEP_SHIFT)
    }

    /// All of a completion's `user_data`, to be compared with a slot's key: a slot's operation has neither owner nor steps.
    #[inline]
    pub(crate) fn of_completion(user_data: u64) -> Key {
        Key(user_data)
    }

    /// Takes a completion's `user_data` apart.
    #[inline]
    pub(crate) fn split(user_data: u64) -> (Key, u32) {
        (Key(user_data & !STEP_MASK), ((user_data & STEP_MASK) >> STEP_SHIFT) as u32)
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self.0 >> KIND_SHIFT {
            Key::SLOT => Kind::Slot,
            1 => Kind::Frame,
            2 => Kind::Cancel,
            3 => Kind::Bell,
            4 => Kind::Heard,
            Key::UNHEARD => Kind::Unheard,
            Key::LIST => Kind::List,
            Key::DIRECT => Kind::Direct,
            _ => Kind::Unknown,
        }
    }

    /// The index that the key names. May be anything if the key came out of a completion.
    #[inline]
    pub fn index(self) -> u32 {
        (self.0 & INDEX_MASK) as u32
    }

    #[inline]
    pub(crate) fn owner(self) -> u32 {
        ((self.0 >> OWNER_SHIFT) & OWNER_MASK) as u32
    }

    #[inline]
    pub(crate) fn generation(self) -> u32 {
        ((self.0 >> GENERATION_SHIFT) & GENERATION_MASK) as u32
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}.{} generation {}", self.kind(), self.owner(), self.index(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_nothing() {
        for key in [Key::slot(0, 0), Key::frame(0, 0, 0), Key::list(0, 0), Key::direct(0), Key::CANCEL] {
            assert_ne!(key.with_step(0), 0, "{key:?}");
        }
    }

    #[test]
    fn a_key_survives_the_round_trip_through_user_data() {
        for (owner, index, generation, step) in
            [(0, 0, 0, 0), (MAX_OWNERS - 1, MAX_INDEX - 1, 0xf_ffff, MAX_STEPS - 1), (7, 1234, 99, 3)]
        {
            let key = Key::frame(owner, index, generation);
            let (back, back_step) = Key::split(key.with_step(step));
            assert_eq!((back, back_step), (key, step));
            assert_eq!((back.owner(), back.index(), back.generation()), (owner, index, generation));
            assert_eq!(back.kind(), Kind::Frame);
        }
    }

    #[test]
    fn the_generation_wraps_without_touching_its_neighbours() {
        assert_eq!(Key::slot(5, 1 << 20), Key::slot(5, 0));
        assert_eq!(Key::slot(5, (1 << 20) + 3).generation(), 3);
        assert_eq!(Key::frame(9, 5, 0xf_ffff).next_use(), Key::frame(9, 5, 0));
        assert_eq!(Key::frame(9, 5, 7).next_use(), Key::frame(9, 5, 8));
    }
}
