//! All that a small file is read with (see [`read_file`](super::read_file)), used again for the next: a core that reads
//! file after file allocates none of it.

use std::cell::RefCell;
use std::fmt;

use crate::descriptor::Descriptor;
use crate::driver::direct::Place;
use crate::op::openat2::OpenHow;

/// The longest file, in bytes, that is read by the list alone; if it has just a few more, they come along too.
pub const SMALL: usize = 4096;
/// What the second read may find.
const MORE: usize = 32;
/// Bytes of the longest path, with its NUL.
const PATH: usize = 512;
/// Bytes of a path that are looked at together: one by one they would cost more than all else that is done with it.
const WORD: usize = 8;

/// So many are kept by a thread at most: 294 KiB.
const KEPT: usize = 64;

thread_local! {
    /// Those that no read uses, the most recently used last.
    static KEPT_ROOMS: RefCell<Vec<Box<Room>>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Room {
    /// Ends with the first zero byte, which the last one always is.
    pub(super) path: [u8; PATH],
    pub(super) first: [u8; SMALL],
    pub(super) second: [u8; MORE],
    pub(super) at: Option<Descriptor>,
    pub(super) how: OpenHow,
    /// There while it is in use.
    pub(super) place: Option<Place>,
}

impl Room {
    /// One that nobody uses, with the path in it; `None` if that is too long, or has a NUL byte in it.
    #[inline]
    pub(super) fn take(path: &[u8]) -> Option<Box<Room>> {
        if path.len() >= PATH {
            return None;
        }
        let kept = KEPT_ROOMS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        let mut room = kept.unwrap_or_else(Room::new);
        room.name(path).then_some(room)
    }

    #[cold]
    fn new() -> Box<Room> {
        let how = OpenHow::default();
        let (path, first, second) = ([0; PATH], [0; SMALL], [0; MORE]);
        Box::new(Room { path, first, second, at: None, how, place: None })
    }

    /// Takes the path in; false if there is a zero byte in it. It is shorter than the room for it.
    #[inline]
    fn name(&mut self, path: &[u8]) -> bool {
        let (words, _) = self.path.as_chunks_mut::<WORD>();
        let (last, end) = (path.len() / WORD, path.len() % WORD);
        words[last] = [0; WORD];
        words.as_flattened_mut()[..path.len()].copy_from_slice(path);
        let (last, whole) = words[..=last].split_last().expect("there is the last one");
        // The lowest bit that is set is in the first byte that is zero.
        whole.iter().all(|word| zeros(word) == 0) && zeros(last).trailing_zeros() as usize / WORD == end
    }

    /// Gives it back, once the kernel is done with it.
    #[inline]
    pub(super) fn keep(mut self: Box<Self>) {
        self.at = None;
        // A thread that ends keeps nothing.
        let _ = KEPT_ROOMS.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT {
                kept.push(self);
            }
        });
    }

    /// What the two reads have written.
    ///
    /// # Panics
    /// If that is more than there is room for: counts that the kernel reports are checked.
    #[inline]
    pub(super) fn filled(&self, first: usize, second: usize) -> (&[u8], &[u8]) {
        (&self.first[..first], &self.second[..second])
    }
}

/// A bit in each byte of the word that is zero, and perhaps in some behind the first of these.
#[inline]
fn zeros(word: &[u8; WORD]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; WORD]);
    const HIGH: u64 = u64::from_le_bytes([0x80; WORD]);
    let word = u64::from_le_bytes(*word);
    word.wrapping_sub(ONES) & !word & HIGH
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("at", &self.at).field("how", &self.how).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn a_path_of_any_length_that_fits_is_in_the_room_whatever_was_there_before() {
        for len in (0..PATH).chain((0..PATH).rev()) {
            let room = Room::take(&vec![b'p'; len]).unwrap();
            assert_eq!(CStr::from_bytes_until_nul(&room.path).unwrap().count_bytes(), len);
            assert_eq!(room.path.last(), Some(&0));
            room.keep();
        }
        assert!(Room::take(&[b'p'; PATH]).is_none());
    }

    #[test]
    fn a_zero_byte_anywhere_in_a_path_is_seen() {
        for len in [1, WORD - 1, WORD, WORD + 1, 3 * WORD, PATH - 1] {
            for (at, other) in (0..len).flat_map(|at| [(at, b'p'), (at, 0x01), (at, 0x80), (at, 0xff)]) {
                let mut path = vec![other; len];
                assert!(Room::take(&path).is_some(), "{other} in {len}");
                path[at] = 0;
                assert!(Room::take(&path).is_none(), "{at} of {len}");
            }
        }
    }

    #[test]
    fn as_many_are_kept_as_there_is_room_for() {
        let rooms: Vec<_> = (0..KEPT + 3).map(|_| Room::take(b"f").unwrap()).collect();
        let last: *const Room = &*rooms[KEPT - 1];
        rooms.into_iter().for_each(Room::keep);
        assert_eq!(KEPT_ROOMS.with_borrow(Vec::len), KEPT);
        assert!(std::ptr::eq(&*Room::take(b"g").unwrap(), last), "the most recently used is not the next");
    }

    #[test]
    #[should_panic(expected = "4097")]
    fn a_count_that_cannot_be_is_not_believed() {
        Room::take(b"f").unwrap().filled(SMALL + 1, 0);
    }
}
