//! Jobs: what a competitor does by itself, without a load from outside.
//!
//! A round of a job is a process of its own, as a round of a server is. It is handed a directory that was prepared once for
//! all competitors, does the work in so many workers that each begin the next piece when the last has ended, and reports in
//! the same form as the load generator. A worker owns its figures; they are put together when the time is over. That the
//! work was done right every competitor has to check itself, cheaply; what can be seen afterwards the job checks.

pub(crate) mod copy;
pub(crate) mod core_to_core;
pub(crate) mod executor;
pub(crate) mod log;
pub(crate) mod lookup;
pub(crate) mod random_reads;
mod run;
pub(crate) mod shared;
pub(crate) mod small_files;
mod worker;

use std::path::Path;

#[cfg(test)]
pub(crate) use run::pieces;
pub(crate) use run::{Options, run};
pub(crate) use worker::{Work, Worker, joined};

use crate::Result;
use crate::workload::Workload;

/// A workload that needs no load.
#[derive(Debug)]
pub(crate) struct Job {
    /// Makes what all competitors find in the directory.
    pub(crate) prepare: fn(&Path) -> Result<()>,
    /// Looks at what a round has left behind.
    pub(crate) check: fn(&Work, &[Worker]) -> Result<()>,
    /// Whether it has to make do with one core. Otherwise it may have all, because there is no load that needs one: the
    /// kernel's own workers are not bound to the caller's core, so it would be unfair to bind a competitor's threads.
    pub(crate) pinned: bool,
    /// Pieces that are enough for the passes that count; some take as long as a disk does.
    pub(crate) counted: u64,
}

/// Whether threads of a job wait for each other, each in its own ring.
pub(crate) fn spans_cores(workload: &Workload) -> bool {
    [&shared::COUNTER_OF_TWO, &shared::LOG_OF_TWO, &core_to_core::CORE_TO_CORE].contains(&workload)
}

/// How a competitor does a job: it returns the workers when they have all ended.
pub(crate) type Run = fn(&Work) -> Result<Vec<Worker>>;

impl Job {
    /// Nothing to make, nothing to look at, one core.
    const PLAIN: Job = Job { prepare: |_| Ok(()), check: |_, _| Ok(()), pinned: true, counted: 2000 };
}
