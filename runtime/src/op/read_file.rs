//! read_file: open, read and close a small file by one list of linked entries.
//!
//! ```text
//! open into a direct descriptor --(if done)--> read --(anyway)--> read again
//!   silent                                     4 KiB              what is behind: nothing, if that was all
//! ```
//!
//! The second read is what tells a whole file from a part of one. A short read alone does not: it may have stopped at
//! a page that could not be read, and special files give what they like. It goes on where the first stopped, at the
//! file's own position, so this holds for pipes as well. The link between the two is hard, because a short read would
//! sever any other.
//!
//! The reads go into room for the longest file, which is used again and again, and the file's bytes are copied out of it:
//! that costs less than to allocate so much for every file and to give most of it back.
//!
//! The close is not in the list: by then nobody knows whether there is more to read, and what was read of a pipe is
//! gone. The next list that opens into the place closes what is in it; if there is none in the same turn, a request
//! does. A longer file is first made an ordinary descriptor of.

use std::cell::RefCell;
use std::ffi::CString;
use std::io;

use super::openat2::OpenHow;
use super::{
    Completion, LONGEST, ListOp, ListOperation, Members, Then, directory, fixed_fd_install, openat2, read,
};
use crate::buf::filled_twice;
use crate::descriptor::Descriptor;
use crate::direct::DirectDescriptor;
use crate::driver::direct::Place;
use crate::exec::Handle;
use crate::ring::sqe::FIXED_FILE;
use crate::ring::{Prepared, Sqe};

/// The longest file, in bytes, that is read by the list alone; if it has just a few more, they come along too.
pub const SMALL: usize = 4096;
/// What the second read may find.
const MORE: usize = 32;
/// "At the file's own position."
const OWN: u64 = u64::MAX;

thread_local! {
    /// Room that no read uses, the most recently used last.
    static ROOM: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
/// So much of it is kept at most: 258 KiB.
const KEPT: usize = 64;

fn take_room() -> Vec<u8> {
    let used = ROOM.try_with(|room| room.borrow_mut().pop()).ok().flatten();
    used.unwrap_or_else(|| Vec::with_capacity(SMALL + MORE))
}

fn keep_room(mut used: Vec<u8>) {
    used.clear();
    // A thread that ends keeps nothing.
    let _ = ROOM.try_with(|room| {
        let mut room = room.borrow_mut();
        if room.len() < KEPT {
            room.push(used);
        }
    });
}

/// See [`read_file`].
#[derive(Debug)]
pub struct ReadFile {
    at: Option<Descriptor>,
    path: CString,
    how: OpenHow,
    bytes: Vec<u8>,
    place: Place,
}

/// A file as far as it was read.
#[derive(Debug)]
pub enum Begun {
    /// All of it; it is closed.
    Whole(Vec<u8>),
    /// The beginning, and the file, to be read on at its own position; if it has a position, and that is not behind the
    /// beginning, a read has stopped at an error and the beginning may repeat itself: start again.
    Part(Vec<u8>, DirectDescriptor),
}

/// Opens `path`, seen from the directory `at` (`None`: from the working directory), reads it from its start, and closes
/// it if that was all: in one submission. `flags` and `resolve` are those of [`OpenHow`]; nothing can be created.
///
/// `None` if it has to be done step by step: the kernel cannot make descriptors of direct ones
/// ([`FixedFdInstall`](crate::Capability::FixedFdInstall), Linux 6.8), the ring is too small, or 256 files are being
/// read in this way.
///
/// io_uring opens a named pipe without waiting for its other end. That, and an empty file, is a part with no bytes.
///
/// Dropping the future cancels; a file that was opened is closed.
///
/// # Errors
/// Those of openat2(2) and read(2). ECANCELED if the kernel could not take the list; nothing was done then.
///
/// # Panics
/// Outside of a runtime.
pub fn read_file(
    at: Option<&Descriptor>,
    path: CString,
    flags: i32,
    resolve: u64,
) -> Option<ListOp<ReadFile>> {
    let core = Handle::current();
    let ring = &core.driver().ring;
    if !ring.offers(&fixed_fd_install::FACTS) || ring.longest_list() < LONGEST as u32 {
        return None;
    }
    // A direct descriptor has no close-on-exec, and the kernel refuses to hear of it.
    let flags = (flags & !(libc::O_CLOEXEC | libc::O_CREAT)) as u64;
    let how = OpenHow { flags, mode: 0, resolve };
    let place = Place::take(core)?;
    Some(ListOp::new(ReadFile { at: at.cloned(), path, how, bytes: take_room(), place }))
}

impl ListOperation for ReadFile {
    type Output = io::Result<Begun>;
    const NAME: &'static str = "read_file";

    #[inline]
    fn prepare<'a>(&'a mut self, members: &mut Members<'a>) {
        let place = self.place.index();
        let open = Sqe { file_index: self.place.file_index(), ..Sqe::new(openat2::FACTS.opcode) };
        let open = Prepared::new(open, directory(&self.at)).path(&self.path).second_sized(&self.how);
        let (first, second) = self.bytes.spare_capacity_mut().split_at_mut(SMALL);
        let read = Sqe { flags: FIXED_FILE, ..Sqe::new(read::FACTS.opcode) };
        let read = |room| Prepared::new(read, place as i32).at(OWN).writes(room);
        members.silent(open, Then::IfDone);
        members.reporting(read(first), Then::Anyway);
        members.reporting(read(second), Then::End);
    }

    #[inline]
    fn complete(self, results: [i32; LONGEST]) -> Self::Output {
        let ReadFile { mut bytes, place, .. } = self;
        let [open, first, second, ..] = results;
        if open < 0 {
            return Err(Completion::new(open, 0).unit().expect_err("it is negative"));
        }
        let first = Completion::new(first, 0).count()?;
        // What came is whole only if the file was seen to end behind it.
        let second = Completion::new(second, 0).count()?;
        filled_twice(&mut bytes, first, SMALL, second);
        // An end that is seen at once may be that of a pipe that nobody has opened for writing yet.
        if first > 0 && second == 0 {
            // No more than the file needs: whoever keeps many small files should not keep 4 KiB for each.
            let whole = bytes.as_slice().into();
            keep_room(bytes);
            Ok(Begun::Whole(whole))
        } else {
            Ok(Begun::Part(bytes, DirectDescriptor::new(place)))
        }
    }
}
