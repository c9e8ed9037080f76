//! The table of direct descriptors, and who has which place of it.
//!
//! ```text
//! | places of the user | places of lists | places of direct descriptors |
//! 0                    len               first_direct
//! ```
//!
//! A ring has one table, whose size is fixed when it is made. The places of the user come first, who alone knows what is
//! in them. Those behind are lent, to lists that open a file for themselves and to whoever accepts or makes a socket.
//! The table is made with the first of these; if the user comes later, it is made anew as long as nothing is lent.
//!
//! A place that is given back may still have a file in it. One of a list is lent first, because the kernel closes what
//! is in the place that it opens into, which costs less than a request to close; what nobody has taken by the end of
//! the turn is closed by one. Whoever is lent a place must link to the opening whatever uses it: if that fails, the old
//! file is still there.
//!
//! One of a direct descriptor is closed at once, and lent when the request to close is queued, before which the request
//! that fills it cannot come: an accept may wait for long, and the peer of the old connection is to hear of its end.

use std::cell::{Cell, RefCell};
use std::io;

use io_uring::opcode;

use super::key::Key;
use super::{Driver, Phase};
use crate::direct::DirectDescriptor;
use crate::exec::Handle;
use crate::ring::Sqe;
use crate::ring::sqe::CQE_SKIP_SUCCESS;

/// Places for lists: so many files are read at once without a descriptor in the process's table.
const OWN: u32 = 256;
/// The kernel's limit of a table, `IORING_MAX_FIXED_FILES`.
pub(crate) const MAX_DIRECT: u32 = 1 << 20;
/// The number of no place.
const NOWHERE: u32 = i32::MAX as u32;

#[derive(Default)]
pub(super) struct Direct {
    table: Cell<Table>,
    /// How many direct descriptors were asked for.
    wanted: Cell<u32>,
    /// Places of lists.
    own: Cell<u32>,
    first_direct: Cell<u32>,
    /// Places of lists that are not lent, and empty, or about to be.
    spare: RefCell<Vec<u32>>,
    /// Places of lists that are not lent, with a file in them.
    full: RefCell<Vec<u32>>,
    /// Whether there is any: looked at every turn.
    any_full: Cell<bool>,
    /// Places of direct descriptors that are not lent, and empty, or about to be.
    empty: RefCell<Vec<u32>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Table {
    #[default]
    Unmade,
    /// Without places of the user.
    Own,
    /// With places of the user.
    Shared,
    /// The kernel refused to make one for lists.
    Refused,
}

impl Driver {
    /// Makes the table with `places` for direct descriptors, unless that is none.
    pub(crate) fn provide_direct(&self, places: u32) -> io::Result<()> {
        self.direct.wanted.set(places);
        if places > 0 { self.make_table(0) } else { Ok(()) }
    }

    /// Makes the table with `len` places for the user.
    pub(crate) fn register_direct(&self, len: u32) -> io::Result<()> {
        let busy = || io::Error::from_raw_os_error(libc::EBUSY);
        match self.direct.table.get() {
            Table::Shared => return Err(busy()),
            Table::Own if !self.direct.is_idle() => return Err(busy()),
            Table::Own => self.ring.submitter().unregister_files()?,
            Table::Unmade | Table::Refused => {}
        }
        self.direct.table.set(Table::Unmade);
        for places in [&self.direct.spare, &self.direct.full, &self.direct.empty] {
            places.borrow_mut().clear();
        }
        self.make_table(len)?;
        self.direct.table.set(Table::Shared);
        Ok(())
    }

    /// Makes a table with `len` places for the user, those for direct descriptors, and, as far as the limit of open
    /// files allows, those for lists.
    fn make_table(&self, len: u32) -> io::Result<()> {
        let (direct, submitter) = (&self.direct, self.ring.submitter());
        let needed = len.saturating_add(direct.wanted.get());
        let own = match submitter.register_files_sparse(needed.saturating_add(OWN)) {
            Ok(()) => OWN,
            Err(_) => submitter.register_files_sparse(needed).map(|()| 0)?,
        };
        let first_direct = len + own;
        *direct.spare.borrow_mut() = (len..first_direct).rev().collect();
        direct.full.borrow_mut().clear();
        *direct.empty.borrow_mut() = (first_direct..first_direct + direct.wanted.get()).rev().collect();
        direct.own.set(own);
        direct.first_direct.set(first_direct);
        direct.table.set(Table::Own);
        Ok(())
    }

    /// Closes everything in the table. The ring would do so as well, but in its own time, and not as long as somebody has
    /// leaked what keeps it.
    pub(super) fn unmake_table(&self) {
        let made = matches!(self.direct.table.get(), Table::Own | Table::Shared);
        // An older kernel waits until nothing in flight uses the table.
        if made && self.is_drained() {
            let _ = self.ring.submitter().unregister_files();
        }
    }

    /// Lends an empty place to a direct descriptor.
    fn take_empty(&self) -> io::Result<u32> {
        let direct = &self.direct;
        if direct.wanted.get() == 0 {
            let why = "the runtime was built without direct descriptors (Builder::direct_descriptors)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        if direct.table.get() == Table::Unmade {
            // The user wanted more than the kernel gives.
            self.make_table(0)?;
        }
        let place = direct.empty.borrow_mut().pop();
        place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENFILE))
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
        if self.make_table(0).is_err() {
            self.direct.table.set(Table::Refused);
        }
    }

    /// Takes a place back.
    #[inline]
    fn vacate(&self, place: u32) {
        // Once nobody looks at the ring any more, the table goes with it.
        if self.phase.get() == Phase::Closed {
            return;
        }
        if self.direct.is_direct(place) {
            self.close_place(place);
        } else {
            self.direct.full.borrow_mut().push(place);
            self.direct.any_full.set(true);
        }
    }

    /// Closes the files that are left in places.
    #[inline]
    pub(crate) fn close_left(&self) {
        if self.direct.has_left() {
            self.close_full();
        }
    }

    fn close_full(&self) {
        self.direct.any_full.set(false);
        loop {
            let Some(place) = self.direct.full.borrow_mut().pop() else { return };
            self.close_place(place);
        }
    }

    fn close_place(&self, place: u32) {
        let key = Key::direct(place);
        // The kernel does it on the spot when it comes to the entry, so whoever is lent the place next cannot come
        // before.
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
            let direct = &self.direct;
            let list = if direct.is_direct(place) { &direct.empty } else { &direct.spare };
            list.borrow_mut().push(place);
        }
        pushed
    }
}

impl Direct {
    /// Whether a file is left in a place that is not lent.
    #[inline]
    pub(super) fn has_left(&self) -> bool {
        self.any_full.get()
    }

    /// Whether nothing is lent.
    fn is_idle(&self) -> bool {
        let lists = self.spare.borrow().len() + self.full.borrow().len();
        lists == self.own.get() as usize && self.empty.borrow().len() == self.wanted.get() as usize
    }

    fn is_direct(&self, place: u32) -> bool {
        place >= self.first_direct.get()
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
    /// A list's place on this core, unless all are lent.
    #[inline]
    pub(crate) fn take(core: Handle) -> Option<Place> {
        let index = core.driver().take_place()?;
        Some(Place { core, index })
    }

    /// An empty place on this core, for a direct descriptor.
    pub(crate) fn take_empty(core: Handle) -> io::Result<Place> {
        let index = core.driver().take_empty()?;
        Ok(Place { core, index })
    }

    /// Its number; while another core runs on this thread, that of no place: what is submitted then goes to that core's
    /// ring, where the number means something else.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        if self.is_here() { self.index } else { NOWHERE }
    }

    /// Whether its core is the one that runs.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.core.is_current()
    }

    /// Its number as an entry names what it fills.
    #[inline]
    pub(crate) fn file_index(&self) -> u32 {
        self.index() + 1
    }

    /// What the kernel has put into an empty place.
    pub(crate) fn filled(self, result: io::Result<()>) -> io::Result<DirectDescriptor> {
        // If there is none after all, the request to close what is dropped here finds nothing.
        result.map(|()| DirectDescriptor::new(self))
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        self.core.driver().vacate(self.index);
    }
}
