//! The few unsafe steps between a buffer and what the kernel wrote into it.

use std::mem::MaybeUninit;

use super::IoBufMut;

/// How many bytes an operation can fill in `buffer`, those counted that are initialised already.
pub fn room_of(buffer: &mut impl IoBufMut) -> usize {
    // SAFETY: it is only measured.
    unsafe { buffer.room() }.len()
}

/// Tells `buffer` that the kernel wrote `n` bytes into its room, having checked that they fit: a count that
/// the kernel reports is not trusted.
///
/// To be called once, with the count of a completion of an operation that was given this room.
pub(crate) fn filled(buffer: &mut impl IoBufMut, n: usize) {
    let room = room_of(buffer);
    assert!(n <= room, "the kernel reports {n} bytes in a buffer of {room}");
    // SAFETY: the kernel wrote the first `n` bytes of the room, and they are inside it.
    unsafe { buffer.filled(n) }
}

/// Initialised bytes as room to be written.
pub(super) fn as_room(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; the only caller is `IoBufMut::room`, whose own
    // callers promise not to uninitialise anything.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}

/// The whole capacity of `vec` as room, whatever its length.
pub(super) fn whole_capacity(vec: &mut Vec<u8>) -> &mut [MaybeUninit<u8>] {
    // SAFETY: pointer and capacity are those of one allocation that `vec` owns and is borrowed for; the
    // element type has the layout of `u8` and needs no initialisation.
    unsafe { std::slice::from_raw_parts_mut(vec.as_mut_ptr().cast(), vec.capacity()) }
}

/// # Safety
/// The first `n` bytes of the capacity must be initialised.
pub(super) unsafe fn set_len(vec: &mut Vec<u8>, n: usize) {
    debug_assert!(n <= vec.capacity());
    // SAFETY: the caller's promise.
    unsafe { vec.set_len(n) }
}

/// Tells `vec` that the kernel wrote `first` bytes at the start of its capacity, and `second` more from `gap` on;
/// brings them together, and has `vec` hold just them. Counts that the kernel reports are checked, not trusted.
///
/// To be called once, with the counts of completions of reads that were given those two parts of the capacity.
pub(crate) fn filled_twice(vec: &mut Vec<u8>, first: usize, gap: usize, second: usize) {
    let fits = first <= gap && gap.checked_add(second).is_some_and(|end| end <= vec.capacity());
    assert!(fits, "the kernel reports {first} and {second} bytes in a buffer of {}", vec.capacity());
    let start = vec.as_mut_ptr();
    if first < gap && second > 0 {
        // SAFETY: both ranges are inside the allocation, as checked above; they may overlap.
        unsafe { std::ptr::copy(start.add(gap), start.add(first), second) };
    }
    // SAFETY: the kernel wrote the first part, and the second was moved behind it.
    unsafe { vec.set_len(first + second) }
}
