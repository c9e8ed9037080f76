//! What is known of a program that has ended: how, and what it did on the way there.

use super::program::{Event, SOCKETS};

/// Why a program ended early.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Errno(i32),
    Short {
        done: u32,
        want: u32,
    },
    /// A transfer is free to count the fixed spans in front, `plus` bytes, in both numbers.
    Bounds {
        len: u64,
        max: u32,
        plus: u32,
    },
    Ensure(i32),
    Call,
    /// A recv brought on the other side what does not come here.
    NotSent,
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
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) trace: Vec<Event>,
    pub(crate) visits: Vec<Visit>,
    pub(crate) sent: [Vec<u8>; SOCKETS],
    /// What a step of several spans may send before the one that does not fit, and the errno that this may fail with.
    pub(crate) optional: [Vec<u8>; SOCKETS],
    pub(crate) or_errno: Option<i32>,
    /// The socket whose end of the stream was the end of the program.
    pub(crate) met_end: Option<usize>,
    pub(crate) loose: bool,
}
