//! What connections share: a counter, and a log. The competitors here are not runtimes but ways to share.
//!
//! Every connection is a frame of a chain (a task, where the way to share belongs to tasks) that does the same over and over:
//! a nop in place of what it would do with its peer, and then one piece of work on what all of them share. So what differs
//! between two rows is how they share.
//!
//! - The counter is read, calculated and written, which takes no time. Nobody may come between.
//! - The log is appended to, and an append is done when it is on the disk, which takes long.
//!
//! With two cores half of the connections are on each.

pub(crate) mod counter;
mod each;
pub(crate) mod events;
mod futex;
pub(crate) mod log;
pub(crate) mod tasks;

use super::log as appends;
use super::{Job, Work, Worker};
use crate::workload::{Kind, Workload};

pub(crate) static COUNTER: Workload =
    counter("shared-counter", "one counter, shared by the connections of a core", true);

pub(crate) static COUNTER_OF_TWO: Workload =
    counter("shared-counter-two", "one counter, shared by the connections of two cores", false);

pub(crate) static LOG: Workload = log("shared-log", "one log on disk, shared by the connections of a core");

pub(crate) static LOG_OF_TWO: Workload =
    log("shared-log-two", "one log on disk, shared by the connections of two cores");

const fn counter(name: &'static str, about: &'static str, pinned: bool) -> Workload {
    let kind = Kind::Alone(Job { pinned, ..Job::PLAIN });
    Workload { name, about, connections: 64, size: 0, kind }
}

const fn log(name: &'static str, about: &'static str) -> Workload {
    let kind = Kind::Alone(Job { check: appends::check, pinned: false, ..Job::PLAIN });
    Workload { name, about, connections: 64, size: 200, kind }
}
