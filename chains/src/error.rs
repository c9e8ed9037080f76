//! What can go wrong: with a chain that is being built, and with a frame that runs it.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use chainring_runtime::frame::{FramesError, Trap};

use crate::handle::{Buf, Place};

/// Why a frame ended early: the step at which it did, and what happened there.
pub struct ChainError {
    pub(crate) chain: Arc<str>,
    pub(crate) step: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: ErrorKind,
}

impl ChainError {
    /// The number of the step, as `explain()` shows it.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// The name of the step: `recv`, `call`, ...
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

impl ErrorKind {
    /// What a [`fail`](crate::Chain::fail) with this number is.
    pub(crate) fn failed(errno: u64) -> Self {
        let errno = i32::try_from(errno).ok().filter(|errno| (1..=4095).contains(errno));
        ErrorKind::Errno(errno.unwrap_or(libc::EINVAL))
    }

    /// What [`on_error`](crate::AttemptStep::on_error) puts into its register; `None` for what cannot be handled.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            ErrorKind::Errno(errno) | ErrorKind::Ensure(errno) => Some(*errno),
            ErrorKind::Short { .. } => Some(libc::ENODATA),
            ErrorKind::Bounds { .. } => Some(libc::EMSGSIZE),
            ErrorKind::Division => Some(libc::EDOM),
            ErrorKind::Call(_) => Some(libc::EIO),
            ErrorKind::Deadline => Some(libc::ETIMEDOUT),
            ErrorKind::Cancelled { .. } | ErrorKind::Panic(_) => None,
        }
    }
}

/// What happened to a frame.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel answered with this errno, or a [`fail`](crate::Chain::fail) named it.
    Errno(i32),
    /// The stream ended in the middle of an exact transfer.
    Short {
        /// Bytes transferred.
        done: u32,
        /// Bytes wanted.
        want: u32,
    },
    /// An offset or length in a register was more than the span or buffer has, two spans that must be of the same
    /// length are not, or a stream buffer is full.
    Bounds {
        /// Where it would have ended.
        len: u64,
        /// What fits.
        max: u32,
    },
    /// A division by zero.
    Division,
    /// An `ensure` was false.
    Ensure(i32),
    /// A `call` returned [`Flow::Fail`](crate::Flow::Fail).
    Call(Box<dyn Error + Send + Sync>),
    /// The time of a [`within`](crate::Chain::within) was up. The step is the one that was running.
    Deadline,
    /// The frame was cancelled.
    Cancelled {
        /// Bytes that the interrupted transfer had done.
        done: u32,
    },
    /// A `call`, or a part of a `call_async`, panicked with this message.
    Panic(String),
}

impl From<Trap> for ErrorKind {
    fn from(trap: Trap) -> Self {
        match trap {
            Trap::Bounds { end, room } => ErrorKind::Bounds { len: end, max: room },
            Trap::Division => ErrorKind::Division,
        }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}, step {} ({}): ", self.chain, self.step, self.name)?;
        match &self.kind {
            ErrorKind::Errno(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
            ErrorKind::Short { done, want } => write!(f, "the stream ended after {done} of {want} bytes"),
            ErrorKind::Bounds { len, max } => write!(f, "a span of {len} bytes does not fit into {max}"),
            ErrorKind::Division => write!(f, "a division by zero"),
            ErrorKind::Ensure(code) => {
                write!(f, "a condition does not hold: {}", io::Error::from_raw_os_error(*code))
            }
            ErrorKind::Call(error) => write!(f, "{error}"),
            ErrorKind::Deadline => write!(f, "its time was up"),
            ErrorKind::Cancelled { done } => write!(f, "cancelled after {done} bytes"),
            ErrorKind::Panic(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// The text, as of all errors here: it is what `main` prints of one that it returns.
impl fmt::Debug for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainError({self})")
    }
}

impl Error for ChainError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            ErrorKind::Call(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Why a chain cannot be built.
#[derive(Clone, PartialEq, Eq)]
pub struct BuildError {
    pub(crate) chain: Arc<str>,
    /// The step at fault, where it is a step's.
    pub(crate) step: Option<(u32, &'static str)>,
    pub(crate) reason: Reason,
}

impl BuildError {
    /// The number of the step at fault.
    pub fn step(&self) -> Option<u32> {
        self.step.map(|(number, _)| number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Foreign,
    SpanTooLong {
        from: u32,
        len: u32,
        capacity: u32,
    },
    LoadOutside {
        offset: u32,
        width: u32,
        capacity: u32,
    },
    /// Of numbers that are searched.
    Stride {
        stride: u32,
        width: u32,
    },
    EmptySpan,
    Path,
    RegUnwritten(u16),
    BufUnwritten(Buf),
    ShutDown(u16),
    Closed(u16),
    Constant(u16),
    Pooled(u16),
    Unreachable,
    NoLoop,
    GroupInside,
    PeerInside,
    NoWord(u16),
    NoFutex(u16),
    RecordTooLong {
        len: u64,
        longest: u32,
    },
    Overlap,
    /// A kind of step that no branch can have.
    InBranch(&'static str),
    Shared(Shared, (u32, &'static str)),
    /// How many are to succeed of how many.
    Quorum(usize, usize),
    TooMuch(&'static str),
    Empty,
}

/// What two branches touch that run side by side, and one of them changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    Register(u16),
    Buffer(u16),
    Outbox(u16),
    /// A socket or file that one of them opens, closes or shuts down.
    Descriptor(Place),
    /// A socket on which both send, or both receive.
    Half(Place),
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shared::Register(reg) => write!(f, "register r{reg}"),
            Shared::Buffer(buf) => write!(f, "buffer b{buf}"),
            Shared::Outbox(outbox) => write!(f, "outbox o{outbox}"),
            Shared::Descriptor(place) => write!(f, "the descriptor of {place}"),
            Shared::Half(place) => write!(f, "one half of {place}"),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}", self.chain)?;
        if let Some((number, name)) = self.step {
            write!(f, ", step {number} ({name})")?;
        }
        write!(f, ": ")?;
        match &self.reason {
            Reason::Foreign => write!(f, "a handle was made by another builder"),
            Reason::SpanTooLong { from, len: u32::MAX, .. } => {
                write!(f, "a range that starts at {from} ends before it starts")
            }
            Reason::SpanTooLong { from, len, capacity } => {
                write!(f, "a span of {len} bytes at {from} can never fit into a buffer of {capacity}")
            }
            Reason::LoadOutside { offset, width, capacity } => {
                write!(f, "a load of {width} bytes at {offset} lies outside of a buffer of {capacity}")
            }
            Reason::Stride { stride, width } => {
                write!(f, "numbers of {width} bytes cannot start every {stride} bytes")
            }
            Reason::EmptySpan => write!(f, "it can never transfer a byte: the span is empty"),
            Reason::Path => write!(f, "a path is a span of fixed place and length, and not empty"),
            Reason::RegUnwritten(reg) => write!(f, "register r{reg} is read before it is written"),
            Reason::BufUnwritten(buf) => write!(f, "buffer {buf} is read before it is written"),
            Reason::ShutDown(socket) => {
                write!(f, "the sending half of socket s{socket} was shut down on every path to it")
            }
            Reason::Closed(place) => write!(f, "descriptor {place} is closed on every path to it"),
            Reason::Constant(constant) => {
                write!(f, "constant k{constant} can be sent, copied, compared and lent, and nothing else")
            }
            Reason::Pooled(buf) => {
                write!(
                    f,
                    "pooled buffer p{buf} can be filled, sent, written, computed with and lent, and nothing else"
                )
            }
            Reason::Unreachable => write!(f, "the step can never be reached"),
            Reason::NoLoop => write!(f, "it must stand inside of a repeat"),
            Reason::GroupInside => {
                write!(f, "inside of a group there can be no other, nor the same once more")
            }
            Reason::PeerInside => {
                write!(f, "it may wait for others, and everybody who waits for the group with it")
            }
            Reason::NoWord(word) => {
                write!(f, "word w{word} is behind the last of those that it was to be one of")
            }
            Reason::NoFutex(word) => {
                write!(f, "word w{word} cannot be waited for: only an atomic one of 32 bits can")
            }
            Reason::RecordTooLong { len, longest } => {
                write!(f, "a record of {len} bytes, and the log takes {longest} at most")
            }
            Reason::Overlap => write!(f, "it borrows the same bytes or register twice, once to write"),
            Reason::InBranch(why) => write!(f, "it cannot stand in a branch: {why}"),
            Reason::Shared(what, (number, name)) => {
                write!(f, "{what} is shared with step {number} ({name}), which runs beside it")
            }
            Reason::Quorum(need, of) => write!(f, "{need} of {of} branches can never succeed"),
            Reason::TooMuch(what) => write!(f, "too many {what}"),
            Reason::Empty => write!(f, "there is no step"),
        }
    }
}

impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildError({self})")
    }
}

impl Error for BuildError {}

/// Why a program cannot be started on a core.
pub struct StartError(pub(crate) Refused);

/// What a core cannot do for a program.
#[derive(Debug)]
pub(crate) enum Refused {
    Frames(FramesError),
    /// The log of this name is not open here.
    NoLog(Box<str>),
    /// The kernel cannot wait for futexes by the ring.
    NoFutex,
    /// The ring does not offer what a step does.
    NotOffered {
        chain: Arc<str>,
        step: u32,
        name: &'static str,
        /// The kernel release that brought it.
        since: (u32, u32),
    },
}

impl From<Refused> for StartError {
    fn from(refused: Refused) -> Self {
        StartError(refused)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the program cannot be started here: ")?;
        match &self.0 {
            Refused::Frames(error) => write!(f, "{error}"),
            Refused::NoLog(name) => write!(f, "the log {name} is not open on this core"),
            Refused::NoFutex => write!(f, "it waits for futexes or wakes them, which takes Linux 6.7"),
            Refused::NotOffered { chain, step, name, since: (major, minor) } => {
                write!(f, "chain {chain}, step {step} ({name}): it takes Linux {major}.{minor}")
            }
        }
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartError({self})")
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Refused::Frames(error) => Some(error),
            Refused::NoLog(_) | Refused::NoFutex | Refused::NotOffered { .. } => None,
        }
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        io::Error::other(error)
    }
}
