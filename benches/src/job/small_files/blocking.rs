//! The standard library on one thread: nothing is in flight but what it does itself.

use super::{share, whole};
use crate::Result;
use crate::job::{Work, Worker};

/// The workers take turns, so that each waits for all the others as it would for a queue.
pub(crate) fn run(work: &Work) -> Result<Vec<Worker>> {
    let mut all: Vec<_> =
        work.workers().into_iter().map(|worker| (share(work, worker.index), worker)).collect();
    loop {
        let mut busy = false;
        for (files, worker) in &mut all {
            if worker.next()
                && let Some((path, len)) = files.next()
            {
                busy = true;
                whole(std::fs::read(path)?.len(), len)?;
            }
        }
        if !busy {
            return Ok(all.into_iter().map(|(_, worker)| worker).collect());
        }
    }
}
