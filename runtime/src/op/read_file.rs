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
//! that costs less than to allocate so much for every file and to give most of it back. Whatever else the operation has
//! lies in there too: it is one pointer to be moved about, and all that is allocated for a file is what holds its bytes in
//! the end.
//!
//! The close is not in the list: by then nobody knows whether there is more to read, and what was read of a pipe is
//! gone. The next list that opens into the place closes what is in it; if there is none in the same turn, a request
//! does. A longer file is first made an ordinary descriptor of.

use std::io;

use super::openat2::OpenHow;
use super::room::Room;
pub use super::room::SMALL;
use super::{
    Completion, LONGEST, ListOp, ListOperation, Members, Then, directory, fixed_fd_install, openat2, read,
};
use crate::descriptor::Descriptor;
use crate::direct::DirectDescriptor;
use crate::driver::direct::Place;
use crate::exec::Handle;
use crate::ring::sqe::FIXED_FILE;
use crate::ring::{Prepared, Sqe};

/// "At the file's own position."
const OWN: u64 = u64::MAX;

/// See [`read_file`].
#[derive(Debug)]
pub struct ReadFile(Box<Room>);

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
/// ([`FixedFdInstall`](crate::Capability::FixedFdInstall), Linux 6.8), the ring is too small, 256 files are being read in
/// this way, or the path is longer than 511 bytes or has a NUL byte in it.
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
#[inline]
pub fn read_file(at: Option<&Descriptor>, path: &[u8], flags: i32, resolve: u64) -> Option<ListOp<ReadFile>> {
    let core = Handle::current();
    let ring = &core.driver().ring;
    if !ring.offers(&fixed_fd_install::FACTS) || ring.longest_list() < LONGEST as u32 {
        return None;
    }
    // A direct descriptor has no close-on-exec, and the kernel refuses to hear of it.
    let flags = (flags & !(libc::O_CLOEXEC | libc::O_CREAT)) as u64;
    let mut room = Room::take(path)?;
    room.how = OpenHow { flags, mode: 0, resolve };
    room.at = at.cloned();
    room.place = Some(Place::take(core)?);
    Some(ListOp::new(ReadFile(room)))
}

impl ListOperation for ReadFile {
    type Output = io::Result<Begun>;
    const NAME: &'static str = "read_file";

    #[inline(always)]
    fn prepare<'a>(&'a mut self, members: &mut Members<'a>) {
        let Room { path, first, second, at, how, place } = &mut *self.0;
        let place = place.as_ref().expect("a room in use has a place");
        let (index, file_index) = (place.index() as i32, place.file_index());
        let open = Sqe { file_index, ..Sqe::new(openat2::FACTS.opcode) };
        let open = Prepared::new(open, directory(at)).path_within(path).second_sized(how);
        let read = Sqe { flags: FIXED_FILE, ..Sqe::new(read::FACTS.opcode) };
        members.silent(open, Then::IfDone);
        members.reporting(Prepared::new(read, index).at(OWN).overwrites(first), Then::Anyway);
        members.reporting(Prepared::new(read, index).at(OWN).overwrites(second), Then::End);
    }

    #[inline]
    fn complete(self, results: [i32; LONGEST]) -> Self::Output {
        let ReadFile(mut room) = self;
        let begun = begun(&mut room, results);
        room.keep();
        begun
    }
}

#[inline]
fn begun(room: &mut Room, results: [i32; LONGEST]) -> io::Result<Begun> {
    let [open, first, second, ..] = results;
    let place = room.place.take().expect("a room in use has a place");
    Completion::new(open, 0).unit()?;
    let first = Completion::new(first, 0).count()?;
    // What came is whole only if the file was seen to end behind it.
    let second = Completion::new(second, 0).count()?;
    let (first, second) = room.filled(first, second);
    // An end that is seen at once may be that of a pipe that nobody has opened for writing yet.
    if !first.is_empty() && second.is_empty() {
        // No more than the file needs: whoever keeps many small files should not keep 4 KiB for each.
        Ok(Begun::Whole(first.to_vec()))
    } else {
        Ok(Begun::Part([first, second].concat(), DirectDescriptor::new(place)))
    }
}
