//! What a member of a segment can do.

use crate::op::{
    Facts, Returns, Severs, accept, close, connect, fallocate, fsync, ftruncate, nop, openat2, poll,
};
use crate::op::{read, recv, rename, send, shutdown, socket, splice, statx, unlink, write};
use crate::ring::Sqe;

/// The operation of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// Nothing, by way of the kernel.
    Nop,
    /// Receive what there is, at least one byte.
    Recv,
    /// Receive exactly the span.
    RecvExact,
    /// Send some of the span, at least one byte.
    Send,
    /// Send the whole span.
    SendAll,
    /// Send everything that is in an outbox, which is empty then.
    SendOutbox,
    /// End the sending half of the connection. Its span has no bytes.
    Shutdown,
    /// Read at a position; less than the span if the file ends.
    ReadAt,
    /// Read at a position, at least one byte.
    ReadSomeAt,
    /// Read exactly the span at a position.
    ReadExactAt,
    /// Write the whole span at a position.
    WriteAllAt,
    /// Make a file's bytes and metadata durable.
    Fsync,
    /// Make a file's bytes durable.
    Fdatasync,
    /// Reserve room for a file: from the position on, as many bytes as a register says.
    Fallocate,
    /// Set a file's length to what the position's register says (kernel 6.9: below it no frames are made).
    Ftruncate,
    /// Open the path in the span, ended by a NUL, as an `open_how` among the constants says.
    Open,
    /// Ask for a file's size, blocks and times: a `struct statx` into the span.
    Statx,
    /// Make a stream socket of this family (`AF_*`) in the place of a descriptor.
    Socket(i32),
    /// Connect a socket to the address in the span.
    Connect,
    /// Wait until one of these events (`POLL*`) holds.
    Poll(u32),
    /// Take a connection from a listening socket, the second descriptor.
    Accept,
    /// Move some bytes from the second descriptor to the descriptor, one of which is a pipe: at least one. Its length says
    /// how many at most; it has no span.
    Splice,
    /// Move exactly so many.
    SpliceAll,
    /// Give the file that the path in the span names the name of the target.
    Rename,
    /// Remove the name in the span, which is not a directory's.
    Unlink,
    /// Remove an empty directory, named in the span.
    RemoveDir,
    /// Close a descriptor and leave its place vacant.
    Close,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// From the descriptor into the frame.
    In,
    /// From the frame to the descriptor.
    Out,
    /// From one descriptor to another, past the frame.
    Past,
    /// There are none.
    Nothing,
}

/// What counts as the success of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// The whole span; less is taken up where it stopped.
    Whole,
    /// At least one byte, or event.
    Some,
    /// Any number of bytes, none of them included.
    Any,
    /// That there is no error.
    Unit,
    /// A descriptor, which goes into the member's place.
    Descriptor,
}

/// The half of a connection that a member needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The one that receives.
    Receiving,
    /// The one that sends.
    Sending,
    /// It only waits for what happens to either.
    Neither,
    /// Both, or what is no connection.
    Whole,
}

/// What is peculiar to a verb; an entry of the table that everything below asks.
struct Row {
    facts: &'static Facts,
    success: Success,
    moves: Moves,
    half: Half,
    /// Works on, or fills, the place of a descriptor.
    place: bool,
    /// Has a second descriptor.
    second: bool,
    /// Works at a position of a file, or takes a number in its place.
    position: bool,
    /// Its span is a path, ended by a NUL.
    path: bool,
}

/// `STATX_BASIC_STATS` and the birth time.
const STATX_MASK: u32 = 0xfff;

impl Verb {
    /// The table: a verb is one entry here and a template below. What is checked of its transfers is in `template/check.rs`.
    #[inline]
    fn row(self) -> Row {
        use {Half::*, Moves::*, Success::*};
        let row = |facts, success, moves, half| {
            let (place, second, position, path) = (true, false, false, false);
            Row { facts, success, moves, half, place, second, position, path }
        };
        let at = |row: Row| Row { position: true, ..row };
        let two = |row: Row| Row { second: true, ..row };
        let named = |facts| Row { place: false, path: true, ..row(facts, Unit, Out, Half::Whole) };
        match self {
            Verb::Nop => Row { place: false, ..row(&nop::FACTS, Unit, Nothing, Half::Whole) },
            Verb::Recv => row(&recv::FACTS, Some, In, Receiving),
            Verb::RecvExact => row(&recv::FACTS, Success::Whole, In, Receiving),
            Verb::Send => row(&send::FACTS, Some, Out, Sending),
            Verb::SendAll | Verb::SendOutbox => row(&send::FACTS, Success::Whole, Out, Sending),
            Verb::Shutdown => row(&shutdown::FACTS, Unit, Nothing, Sending),
            Verb::ReadAt => at(row(&read::FACTS, Any, In, Half::Whole)),
            Verb::ReadSomeAt => at(row(&read::FACTS, Some, In, Half::Whole)),
            Verb::ReadExactAt => at(row(&read::FACTS, Success::Whole, In, Half::Whole)),
            Verb::WriteAllAt => at(row(&write::FACTS, Success::Whole, Out, Half::Whole)),
            Verb::Fsync | Verb::Fdatasync => row(&fsync::FACTS, Unit, Nothing, Half::Whole),
            Verb::Fallocate => at(row(&fallocate::FACTS, Unit, Nothing, Half::Whole)),
            Verb::Ftruncate => at(row(&ftruncate::FACTS, Unit, Nothing, Half::Whole)),
            Verb::Open => Row { path: true, ..row(&openat2::FACTS, Descriptor, Out, Half::Whole) },
            Verb::Statx => row(&statx::FACTS, Unit, In, Half::Whole),
            Verb::Socket(_) => row(&socket::FACTS, Descriptor, Nothing, Half::Whole),
            Verb::Connect => row(&connect::FACTS, Unit, Out, Half::Whole),
            Verb::Poll(_) => row(&poll::FACTS, Some, Nothing, Neither),
            Verb::Accept => two(row(&accept::FACTS, Descriptor, Nothing, Half::Whole)),
            Verb::Splice => two(row(&splice::FACTS, Some, Past, Half::Whole)),
            Verb::SpliceAll => two(row(&splice::FACTS, Success::Whole, Past, Sending)),
            Verb::Rename => named(&rename::FACTS),
            Verb::Unlink | Verb::RemoveDir => named(&unlink::FACTS),
            Verb::Close => row(&close::FACTS, Unit, Nothing, Half::Whole),
        }
    }

    /// The facts of the opcode.
    pub fn facts(self) -> &'static Facts {
        self.row().facts
    }

    /// What counts as its success.
    pub fn success(self) -> Success {
        self.row().success
    }

    /// Whether its result is known before it runs, if it succeeds: only then can another member follow it.
    pub fn result_is_known(self) -> bool {
        matches!(self.success(), Success::Whole | Success::Unit)
    }

    /// Whether its result counts bytes of its span.
    pub fn transfers(self) -> bool {
        self.moves() != Moves::Nothing
            && matches!(self.success(), Success::Whole | Success::Some | Success::Any)
    }

    /// Which way the bytes of its span go.
    pub fn moves(self) -> Moves {
        self.row().moves
    }

    /// The half of a connection that it needs, if its descriptor is one.
    pub fn half(self) -> Half {
        self.row().half
    }

    /// Whether it works at a position of a file, or takes a number in its place.
    pub fn has_position(self) -> bool {
        self.row().position
    }

    /// Whether its span is a path, ended by a NUL.
    pub fn takes_path(self) -> bool {
        self.row().path
    }

    /// Whether it works on, or fills, the place of a descriptor.
    pub fn has_place(self) -> bool {
        self.row().place
    }

    /// Whether it has a second descriptor.
    pub fn has_second(self) -> bool {
        self.row().second
    }

    /// Whether it leaves the place of its descriptor vacant.
    pub fn closes(self) -> bool {
        self == Verb::Close
    }

    /// Whether its place must be vacant before, and has a descriptor afterwards.
    pub fn opens(self) -> bool {
        self.facts().returns == Returns::Descriptor
    }

    /// Whether every failure of a member, a short transfer included, keeps its successor from running.
    pub fn severs(self) -> bool {
        match self.facts().severs {
            Severs::Always => self.result_is_known(),
            Severs::WithWaitall => self.success() == Success::Whole,
            Severs::Never => false,
        }
    }

    fn plain(self) -> Sqe {
        Sqe::new(self.facts().opcode)
    }

    /// The entry without descriptor, span, position and `user_data`. Named one by one: a receive whose flags are forgotten
    /// would be another receive.
    pub(super) fn template(self) -> Sqe {
        match self {
            Verb::Nop => nop::TEMPLATE,
            Verb::Recv => recv::template(0),
            Verb::RecvExact => recv::template(libc::MSG_WAITALL),
            Verb::Send => send::template(0),
            Verb::SendAll | Verb::SendOutbox => send::template(libc::MSG_WAITALL),
            Verb::Shutdown => shutdown::template(std::net::Shutdown::Write),
            Verb::Fdatasync => fsync::template(true),
            Verb::Statx => statx::template(libc::AT_EMPTY_PATH, STATX_MASK),
            Verb::Socket(family) => {
                let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
                Sqe { off: kind, ..socket::template(family, 0) }
            }
            Verb::Poll(events) => poll::template(events),
            Verb::Accept => accept::template(0),
            // Both at the position that they have.
            Verb::Splice | Verb::SpliceAll => Sqe { off: u64::MAX, ..Sqe::new(splice::FACTS.opcode) },
            Verb::RemoveDir => Sqe { op_flags: libc::AT_REMOVEDIR as u32, ..Sqe::new(unlink::FACTS.opcode) },
            Verb::ReadAt | Verb::ReadSomeAt | Verb::ReadExactAt | Verb::WriteAllAt | Verb::Fsync => {
                self.plain()
            }
            Verb::Fallocate | Verb::Ftruncate | Verb::Open | Verb::Connect => self.plain(),
            Verb::Rename | Verb::Unlink | Verb::Close => self.plain(),
        }
    }
}
