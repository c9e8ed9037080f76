//! What is known of a program that has ended: how, and what it did on the way there.

use std::collections::BTreeMap;

use super::disk::Contents;
use super::program::{Event, SOCKETS};

/// Stands for any number.
pub(crate) const ANY: u32 = u32::MAX;

/// Why a program ended early.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Errno(i32),
    Short {
        done: u32,
        want: u32,
    },
    /// A transfer is free to count the fixed spans in front, `plus` bytes, in both numbers. Those of a buffer that is not
    /// there at all times have a `max` of [`ANY`].
    Bounds {
        len: u64,
        max: u32,
        plus: u32,
    },
    Division,
    Ensure(i32),
    Call,
    /// The deadline with this number, counted from the outermost.
    Deadline(usize),
    /// A recv brought on the other side what does not come here.
    NotSent,
}

impl Failure {
    /// What a handler is told.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Failure::Errno(errno) | Failure::Ensure(errno) => Some(*errno),
            Failure::Short { .. } => Some(libc::ENODATA),
            Failure::Bounds { .. } => Some(libc::EMSGSIZE),
            Failure::Division => Some(libc::EDOM),
            Failure::Call => Some(libc::EIO),
            Failure::Deadline(_) => Some(libc::ETIMEDOUT),
            Failure::NotSent => None,
        }
    }
}

/// One operation is to fail: the one that so many others of its name precede.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strike {
    pub(crate) name: &'static str,
    pub(crate) errno: i32,
    pub(crate) at: u32,
}

pub(crate) type Ended = Result<(), (u32, Failure)>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verb {
    Recv,
    RecvExact,
    Send,
    Shutdown,
}

/// A step that did I/O, once.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) step: u32,
    pub(crate) verb: Verb,
    pub(crate) socket: usize,
    /// What had been written down when it began.
    pub(crate) events: usize,
    /// What had been sent on each socket when it began.
    pub(crate) before: [usize; SOCKETS],
    /// And when it ended.
    pub(crate) after: [usize; SOCKETS],
    /// What the files held when it began.
    pub(crate) files: Contents,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) trace: Vec<Event>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) sent: [Vec<u8>; SOCKETS],
    /// The socket whose end of the stream was the end of the program.
    pub(crate) met_end: Option<usize>,
    pub(crate) loose: bool,
    /// How often steps were done that are seldom met.
    pub(crate) arms: BTreeMap<&'static str, usize>,
    /// An operation has failed, or met an end: what was to strike one behind it may not have had a chance.
    pub(crate) failed: bool,
    /// How many errors a handler has dealt with.
    pub(crate) handled: usize,
}
