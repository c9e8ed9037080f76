//! Where slots lie: chunks that never move and are only freed with their table.
//!
//! Futures point to their slots, and may outlive the core: a future that was moved out of the runtime, or leaked. They do
//! not share the core for that, which would be counted twice an operation. Instead, when the table goes, each slot that a
//! future still holds is told so: it becomes an *orphan*, and the last orphan of a chunk frees it. A leaked future leaks
//! its chunk.

use std::cell::Cell;
use std::ptr::NonNull;

use super::erased::{Store, TableOf};
use super::{Slot, Slots, State};
use crate::driver::key::{Key, MAX_INDEX};
use crate::exec::drop_each;

/// Slots a chunk.
const CHUNK: usize = 64;

#[repr(C)]
pub(super) struct Chunk {
    slots: [Slot; CHUNK],
    /// Once the table is gone: who still needs the memory.
    orphans: Cell<usize>,
}

impl Chunk {
    fn new(first: u32) -> Box<Chunk> {
        let slots = std::array::from_fn(|i| Slot {
            key: Cell::new(Key::slot(first + i as u32, 0)),
            state: Cell::new(State::Free),
            next_free: Cell::new(None),
            last: Cell::new((0, 0)),
            table: Cell::new(&TableOf::<crate::op::nop::Nop>::TABLE),
            early: Cell::new(None),
            store: Store::new(),
        });
        Box::new(Chunk { slots, orphans: Cell::new(0) })
    }

    /// One orphan less.
    ///
    /// # Safety
    /// `slot` is an orphan of this chunk that nobody uses after this.
    pub(super) unsafe fn let_go(slot: NonNull<Slot>) {
        // SAFETY: the orphan keeps the chunk's memory until this is done.
        let chunk =
            unsafe { slot.as_ref() }.next_free.get().expect("an orphan knows its chunk").cast::<Chunk>();
        // SAFETY: as above; the pointer is that of the whole chunk, which `orphan` has put there.
        let orphans = unsafe { &chunk.as_ref().orphans };
        orphans.set(orphans.get() - 1);
        if orphans.get() == 0 {
            // SAFETY: `grow` leaked this box; the table is gone, and so is the last orphan.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
    }

    /// The table goes. Frees the chunk unless somebody needs it; gives the states that may hold foreign wakers.
    ///
    /// # Safety
    /// `chunk` was leaked by `grow`, and only futures use it from now on.
    unsafe fn orphan(chunk: NonNull<Chunk>, left: &mut Vec<State>) {
        let mut orphans = 0;
        // SAFETY: the caller's promise; slots are only used through cells.
        for slot in unsafe { &chunk.as_ref().slots } {
            let state = slot.state.replace(State::Free);
            let next = match state {
                State::Free => continue,
                State::Done => State::Orphan,
                // The kernel may still write into it: leak. The runtime drains before it gets here, so this takes a
                // ring that failed.
                _ => State::Lost,
            };
            slot.next_free.set(Some(chunk.cast()));
            slot.state.set(next);
            left.push(state);
            orphans += 1;
        }
        if orphans == 0 {
            // SAFETY: the caller's promise; nobody holds a slot of it.
            return drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
        // SAFETY: as above.
        unsafe { chunk.as_ref() }.orphans.set(orphans);
    }
}

impl Slots {
    /// Adds a chunk of free slots, of which the first is given.
    #[cold]
    pub(super) fn grow(&self) -> NonNull<Slot> {
        // SAFETY: one thread; no reference into the vectors outlives the function that takes it.
        let (places, chunks) = unsafe { (&mut *self.places.get(), &mut *self.chunks.get()) };
        let first = places.len() as u32;
        assert!(first + (CHUNK as u32) <= MAX_INDEX, "more operations in flight than keys can name");
        let chunk = NonNull::from(Box::leak(Chunk::new(first)));
        chunks.push(chunk);
        // SAFETY: as in `slot`.
        let slots = unsafe { &chunk.as_ref().slots };
        for pair in slots.windows(2) {
            pair[0].next_free.set(Some(NonNull::from(&pair[1])));
        }
        places.extend(slots.iter().map(NonNull::from));
        let first = NonNull::from(&slots[0]);
        self.free.set(Some(first));
        first
    }

    /// All slots.
    #[inline]
    pub(in crate::driver) fn places(&self) -> &[NonNull<Slot>] {
        // SAFETY: one thread, and the vector is only written in `grow`: no caller calls that, or anything foreign, before
        // it has done with the slice.
        unsafe { &*self.places.get() }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Slot> {
        // SAFETY: slots lie in leaked boxes, freed with the table at the earliest, and are only used through cells.
        self.places().iter().map(|slot| unsafe { slot.as_ref() })
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut left = Vec::new();
        for chunk in self.chunks.get_mut().drain(..) {
            // SAFETY: `grow` leaked it; the table is going.
            unsafe { Chunk::orphan(chunk, &mut left) };
        }
        // Foreign wakers, of operations that were not drained: now that every slot is told.
        drop_each(left);
    }
}
