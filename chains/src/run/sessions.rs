//! The side table: what a frame has that is not bytes.
//!
//! Entries live in chunks that never move and are shared by `Rc`, so that a call can borrow its frame's session while
//! it spawns frames, which may add chunks.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

const CHUNK: usize = 64;

type Chunk<E> = Rc<[RefCell<Option<E>>]>;

/// Entries by frame index.
pub(super) struct Sessions<E> {
    chunks: RefCell<Vec<Chunk<E>>>,
}

impl<E> Sessions<E> {
    pub(super) fn new() -> Self {
        Sessions { chunks: RefCell::new(Vec::new()) }
    }

    fn chunk(&self, index: u32) -> Chunk<E> {
        self.chunks.borrow()[index as usize / CHUNK].clone()
    }

    /// Puts the entry of a frame that has none.
    pub(super) fn put(&self, index: u32, entry: E) {
        let mut chunks = self.chunks.borrow_mut();
        while chunks.len() <= index as usize / CHUNK {
            chunks.push((0..CHUNK).map(|_| RefCell::new(None)).collect());
        }
        let chunk = chunks[index as usize / CHUNK].clone();
        drop(chunks);
        let old = chunk[index as usize % CHUNK].replace(Some(entry));
        debug_assert!(old.is_none(), "a frame is reused only after its exit");
    }

    /// Takes the entry of a frame that ends.
    pub(super) fn take(&self, index: u32) -> Option<E> {
        self.chunk(index)[index as usize % CHUNK].take()
    }

    /// Borrows the entry of a frame for a call.
    pub(super) fn with<T>(&self, index: u32, body: impl FnOnce(&mut E) -> T) -> T {
        let chunk = self.chunk(index);
        let entry = chunk[index as usize % CHUNK].borrow_mut();
        let mut entry = RefMut::map(entry, |entry| entry.as_mut().expect("a frame that runs has its entry"));
        body(&mut entry)
    }
}
