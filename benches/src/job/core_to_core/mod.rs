//! A word to another core and its answer: two threads with a runtime each, one on core 0, where the workers are, and one on
//! core 1, which answers.

pub(crate) mod chainring;
pub(crate) mod peers;
pub(crate) mod raw;

use super::{Job, Worker};
use crate::Result;
use crate::sys::affinity;
use crate::workload::{Kind, Workload};

pub(crate) static CORE_TO_CORE: Workload = Workload {
    name: "core-to-core",
    about: "a word to a pinned thread on another core, and its answer",
    connections: 1,
    size: 0,
    // It has to be let onto both cores, and pins its threads itself.
    kind: Kind::Alone(Job { pinned: false, ..Job::PLAIN }),
};

/// Runs `answer` on core 1 and `ask`, which returns the workers, on core 0.
fn on_two_cores(
    ask: impl FnOnce() -> Result<Vec<Worker>> + Send,
    answer: impl FnOnce() -> Result<()> + Send,
) -> Result<Vec<Worker>> {
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| {
            affinity::pin(1)?;
            answer()
        });
        let asking = scope.spawn(|| {
            affinity::pin(0)?;
            ask()
        });
        let asked = asking.join().unwrap_or_else(|_| Err("the thread that asks panicked".into()));
        let answered = answering.join().unwrap_or_else(|_| Err("the thread that answers panicked".into()));
        answered.and(asked)
    })
}
