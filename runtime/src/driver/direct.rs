//! The table of direct descriptors, and who has which place of it.
//!
//! A ring has one table, whose size is fixed when it is made. The places of the user come first; those behind are
//! lent to lists that open a file for themselves. The table is made with the first of either; if the user comes
//! later, it is made anew as long as nothing is lent.

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
    /// Places that are not lent, the most recently used last.
    spare: RefCell<Vec<u32>>,
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
            Table::Own if self.direct.spare.borrow().len() < OWN as usize => return Err(busy()),
            Table::Own => submitter.unregister_files()?,
            Table::Unmade | Table::Refused => {}
        }
        self.direct.table.set(Table::Unmade);
        self.direct.spare.borrow_mut().clear();
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

    /// Closes what is in a place, and takes the place back. The kernel does it on the spot when it comes to the
    /// entry, so whoever is lent the place next cannot come before.
    fn vacate(&self, place: u32) {
        if self.phase.get() == Phase::Closed {
            // The table goes with the ring.
            return;
        }
        let key = Key::direct(place);
        if self.backlogged.get() || !self.push_close(key) {
            self.put_off(key);
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

/// A place in the table of direct descriptors, lent to whoever owns this. Dropping it closes what is in it, through the
/// ring and without waiting.
#[derive(Debug)]
pub(crate) struct Place {
    core: Handle,
    index: u32,
    /// Whether something may be in it.
    occupied: bool,
}

impl Place {
    /// A place on this core, unless all are lent.
    #[inline]
    pub(crate) fn take(core: Handle) -> Option<Place> {
        let index = core.driver().take_place()?;
        Some(Place { core, index, occupied: true })
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Nothing was put into it.
    pub(crate) fn stayed_empty(mut self) {
        self.occupied = false;
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        let driver = self.core.driver();
        if self.occupied {
            driver.vacate(self.index);
        } else {
            driver.direct.spare.borrow_mut().push(self.index);
        }
    }
}
