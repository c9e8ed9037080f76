//! The table of direct descriptors, and who has which place of it.
//!
//! A ring has one table, whose size is fixed when it is made. The places of the user come first; those behind are
//! lent to lists that open a file for themselves. The table is made with the first of either; if the user comes
//! later, it is made anew as long as nothing is lent.
//!
//! A place that is given back may still have a file in it. It is lent first, because the kernel closes what is in the
//! place that it opens into, which costs less than a request to close; what nobody has taken by the end of the turn
//! is closed by one. Whoever is lent a place must link to the opening whatever uses it: if that fails, the old file is
//! still there.

use std::cell::{Cell, RefCell};
use std::io;

use io_uring::opcode;

use super::key::Key;
use super::{Driver, Phase};
use crate::exec::Handle;
use crate::ring::Sqe;
use crate::ring::sqe::CQE_SKIP_SUCCESS;

/// Places for lists: so many files are read at once without a descriptor in the process's table.
const OWN: u32 = 256;

#[derive(Default)]
pub(super) struct Direct {
    table: Cell<Table>,
    /// Places that are not lent, and empty, or about to be.
    spare: RefCell<Vec<u32>>,
    /// Places that are not lent, with a file in them.
    full: RefCell<Vec<u32>>,
    /// Whether there is any: looked at every turn.
    any_full: Cell<bool>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Table {
    #[default]
    Unmade,
    /// For lists only.
    Own,
    /// With places of the user.
    Shared,
    /// The kernel refused to make one for lists.
    Refused,
}

impl Driver {
    /// Makes the table with `len` places for the user.
    pub(crate) fn register_direct(&self, len: u32) -> io::Result<()> {
        let busy = || io::Error::from_raw_os_error(libc::EBUSY);
        let submitter = self.ring.submitter();
        match self.direct.table.get() {
            Table::Shared => return Err(busy()),
            Table::Own if self.direct.idle() < OWN as usize => return Err(busy()),
            Table::Own => submitter.unregister_files()?,
            Table::Unmade | Table::Refused => {}
        }
        self.direct.table.set(Table::Unmade);
        self.direct.spare.borrow_mut().clear();
        self.direct.full.borrow_mut().clear();
        match submitter.register_files_sparse(len.saturating_add(OWN)) {
            Ok(()) => self.direct.spare.borrow_mut().extend((len..len + OWN).rev()),
            // Beyond the limit of open files, perhaps only by what was added.
            Err(_) => submitter.register_files_sparse(len)?,
        }
        self.direct.table.set(Table::Shared);
        Ok(())
    }

    /// Lends a place, unless all are lent or there can be none.
    fn take_place(&self) -> Option<u32> {
        if let Some(place) = self.direct.full.borrow_mut().pop() {
            return Some(place);
        }
        if self.direct.table.get() == Table::Unmade {
            self.make_own();
        }
        self.direct.spare.borrow_mut().pop()
    }

    #[cold]
    fn make_own(&self) {
        let made = self.ring.submitter().register_files_sparse(OWN).is_ok();
        if made {
            self.direct.spare.borrow_mut().extend((0..OWN).rev());
        }
        self.direct.table.set(if made { Table::Own } else { Table::Refused });
    }

    /// Takes a place back.
    #[inline]
    fn vacate(&self, place: u32) {
        // Once nobody looks at the ring any more, the table goes with it.
        if self.phase.get() != Phase::Closed {
            self.direct.full.borrow_mut().push(place);
            self.direct.any_full.set(true);
        }
    }

    /// Closes the files that are left in places.
    #[inline]
    pub(crate) fn close_left(&self) {
        if self.direct.any_full.get() {
            self.close_full();
        }
    }

    fn close_full(&self) {
        self.direct.any_full.set(false);
        loop {
            let Some(place) = self.direct.full.borrow_mut().pop() else { return };
            let key = Key::direct(place);
            // The kernel does it on the spot when it comes to the entry, so whoever is lent the place next cannot come
            // before.
            if self.backlogged.get() || !self.push_close(key) {
                self.put_off(key);
            }
        }
    }

    /// Queues the closing of a place; false if there is no room.
    pub(super) fn push_close(&self, key: Key) -> bool {
        let place = key.index();
        let close = Sqe {
            flags: CQE_SKIP_SUCCESS,
            fd: 0,
            file_index: place + 1,
            user_data: key.with_step(0),
            ..Sqe::new(opcode::Close::CODE)
        };
        let pushed = self.push(close);
        if pushed {
            self.direct.spare.borrow_mut().push(place);
        }
        pushed
    }
}

impl Direct {
    /// Places that are not lent.
    fn idle(&self) -> usize {
        self.spare.borrow().len() + self.full.borrow().len()
    }
}

/// A place in the table of direct descriptors, lent to whoever owns this. A file that is still in it is none of theirs.
/// Dropping it closes what is in it, through the ring and without waiting.
#[derive(Debug)]
pub(crate) struct Place {
    core: Handle,
    index: u32,
}

impl Place {
    /// A place on this core, unless all are lent.
    #[inline]
    pub(crate) fn take(core: Handle) -> Option<Place> {
        let index = core.driver().take_place()?;
        Some(Place { core, index })
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        self.core.driver().vacate(self.index);
    }
}
