//! What is registered with the ring, by number: groups of provided buffers, and places in the table of registered
//! buffers.

use std::cell::{Cell, RefCell};
use std::io;

use slab::Slab;

use super::Driver;

/// Groups below this are not used: old kernels (6.1 among them) keep them in an array, and when such a number is
/// registered again they go on from where its last ring was read to, past the entries of the new one.
const FIRST_GROUP: u16 = 64;
/// Places in the table of registered buffers, made when the first is taken.
const PLACES: u32 = 256;

#[derive(Default)]
pub(super) struct Registered {
    groups: RefCell<Slab<()>>,
    places: RefCell<Slab<()>>,
    has_table: Cell<bool>,
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, "the ring has as many buffers registered as it can number")
}

impl Driver {
    /// A number for a ring of provided buffers.
    pub(crate) fn take_group(&self) -> io::Result<u16> {
        let mut groups = self.registered.groups.borrow_mut();
        let number = u16::try_from(groups.vacant_key()).ok().and_then(|n| n.checked_add(FIRST_GROUP));
        let number = number.ok_or_else(full)?;
        groups.insert(());
        Ok(number)
    }

    pub(crate) fn return_group(&self, group: u16) {
        self.registered.groups.borrow_mut().try_remove(usize::from(group - FIRST_GROUP));
    }

    /// A place for registered memory.
    pub(crate) fn take_registered(&self) -> io::Result<u16> {
        if !self.registered.has_table.get() {
            self.ring.submitter().register_buffers_sparse(PLACES)?;
            self.registered.has_table.set(true);
        }
        let mut places = self.registered.places.borrow_mut();
        if places.len() >= PLACES as usize {
            return Err(full());
        }
        Ok(places.insert(()) as u16)
    }

    pub(crate) fn return_registered(&self, place: u16) {
        self.registered.places.borrow_mut().try_remove(place.into());
    }
}
