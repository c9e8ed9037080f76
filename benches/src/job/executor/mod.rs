//! What the executors themselves cost: a round trip through the ring, a task, a timer.

pub(crate) mod chainring;
pub(crate) mod peers;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::time::Duration;

use super::Job;
use crate::workload::{Kind, Workload};

pub(crate) static NOP: Workload = Workload {
    name: "nop",
    about: "a round trip through the ring that does nothing",
    connections: 64,
    size: 0,
    kind: Kind::Alone(Job::PLAIN),
};

pub(crate) static SPAWN: Workload = Workload {
    name: "spawn",
    about: "a task is spawned and joined",
    connections: 64,
    size: 0,
    kind: Kind::Alone(Job::PLAIN),
};

pub(crate) static TIMERS: Workload = Workload {
    name: "timers",
    about: "tasks that sleep for a millisecond, again and again",
    connections: 1000,
    size: 0,
    kind: Kind::Alone(Job::PLAIN),
};

/// How long a timer runs. Its latency is this and its lateness.
const NAP: Duration = Duration::from_millis(1);
